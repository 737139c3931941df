"""Speed against accuracy: as released, and measured on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from explorer.text import in_markdown, legible
from explorer.types import Floats, Pixels
from explorer.ui.actions.comparison import WIDTH_PX
from explorer.ui.actions.models import Models, trained_on
from explorer.ui.actions.number_format import number_format
from explorer.ui.actions.progress import ProgressBar, part_of
from explorer.zoo.registry import ZooEntry, entries

if TYPE_CHECKING:
    import plotly.graph_objects as go

Task = Literal["Faster R-CNN", "Mask R-CNN", "Panoptic FPN"]
TASKS: tuple[Task, ...] = get_args(Task)
TIMES = {"V100, as released": "", "2 CPU cores, float32": "fast-fp32", "2 CPU cores, bfloat16": "fast-bf16"}
"""Whose times can be drawn, and the benchmark's mode where the project measured them itself."""
ROUNDS = 7
_NOT_DRAWN = (
    "These models have no box AP on COCO and are therefore not drawn above. Where known, their AP on test images "
    "of their own domain is listed below; it cannot be compared across domains. Their time is measured on this "
    "machine."
)


def pareto(task: Task, times: str, names: Sequence[str] = (), *, width_px: int = WIDTH_PX) -> tuple[go.Figure, str]:
    """Draws box AP on COCO val2017, as released, against seconds per image, the models chosen with a ring.

    Args:
        task: what the models do.
        times: whose, among `TIMES`.
        names: the models chosen.
        width_px: how wide the figure will be.

    Returns:
        The figure, and which of the models chosen are not in it and why, in Markdown.
    """
    from explorer.figures.words import waiting
    from explorer.report.speed import recorded_pareto

    ringed = {entry.backbone for entry in _released(task) if entry.name in names}
    drawn = {entry.name for entry in _released(task)}
    others = [in_markdown(name) for name in names if name not in drawn]
    words = f"**Chosen, without AP on COCO**: {', '.join(others)}. {_NOT_DRAWN}" if others else ""
    if not TIMES[times]:
        return _as_released(task, ringed, width_px), words
    try:
        return recorded_pareto(task, TIMES[times], chosen=ringed, width_px=width_px), words
    except ValueError as error:
        return waiting(str(error)), words


def _released(task: Task) -> list[ZooEntry]:
    return [entry for entry in entries() if entry.released and entry.task.startswith(task)]


def on_own_images(names: Sequence[str]) -> go.Figure | None:
    """Draws the AP of those of the models whose card has it, on test images of their own kind; None without any."""
    from explorer.figures.speed import OwnAccuracy, own_accuracy

    known = {entry.name: (entry, entry.card.measured) for entry in entries() if entry.card}
    rows = [
        OwnAccuracy(name, f"{trained_on(entry)}, {measured.images} images", ap, (low, high))
        for name in names
        if name in known
        for entry, measured in [known[name]]
        for ap, low, high in [measured.box["AP"]]
        if low is not None and high is not None
    ]
    return own_accuracy(rows) if rows else None


def _as_released(task: Task, ringed: set[str], width_px: int) -> go.Figure:
    from explorer.figures.speed import SpeedPoint, speed_against_accuracy

    points = [
        SpeedPoint(entry.backbone, float(entry.released["inference_s_v100"]), float(entry.released["box_ap"]))
        for entry in _released(task)
        if entry.released
    ]
    machine = "a V100, as released"
    return speed_against_accuracy(
        points, accuracy="box AP on COCO val2017", machine=machine, chosen=ringed, width_px=width_px
    )


def measure(
    models: Models,
    names: Sequence[str],
    image_bgr: Pixels,
    *,
    rounds: int = ROUNDS,
    progress: ProgressBar | None = None,
) -> dict[str, Floats]:
    """Times models on one photo in interleaved rounds, whole detector, decoding left out.

    Args:
        models: where detectors are kept.
        names: one to four.
        image_bgr: the photo.
        rounds: how many.
        progress: called with the share that is done and what is being done.

    Returns:
        Seconds `(rounds,)` by model.

    Raises:
        ValueError: no model, too many, or one that cannot be used.
        DownloadError: a model's weights cannot be downloaded.
    """
    from explorer.engine.speed.interleaved import interleaved

    wanted = models.networks(names)
    detectors = [models.get(name, part_of(progress, 0, 1, name)) for name in wanted]
    calls = {detector.name: (lambda detector=detector: detector.detect(image_bgr)) for detector in detectors}
    return interleaved(calls, rounds=rounds, progress=part_of(progress, 0, 1, "measuring"))


def inputs_of(models: Models, names: Sequence[str], image_bgr: Pixels) -> dict[str, str]:
    """Says by model what it scales a photo to, `width × height` in pixels, and in what it computes if not float32."""
    said = {}
    for detector in map(models.get, models.networks(names)):
        rows, columns = detector.model_input.size_for(*image_bgr.shape[:2])
        number = number_format(detector).partition(",")[0].partition(":")[0] or "float32"
        said[detector.name] = f"{columns:,} × {rows:,}" + (f", {number}" if number != "float32" else "")
    return said


def as_rows(seconds: dict[str, Floats], inputs: Mapping[str, str]) -> list[list[str]]:
    """One row per model: input, median, fastest and slowest in ms, and the median of the ratios to the first one."""
    first = next(iter(seconds.values()))
    rows = []
    for name, own in seconds.items():
        ratios = own / first
        ends = f"{ratios.min():.2f} to {ratios.max():.2f}"
        milliseconds = [f"{1000 * value:.0f}" for value in (np.median(own), own.min(), own.max())]
        rows.append([legible(name), inputs[name], *milliseconds, f"{np.median(ratios):.2f} ({ends})"])
    return rows
