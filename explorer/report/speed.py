"""A benchmark as tables and as a document for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.engine.artifacts import provenance
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.speed.benchmark import Accuracy, Row, Timings
from explorer.errors.bootstrap import bootstrap
from explorer.report.tables import Grid
from explorer.scoring.matching import match
from explorer.types import Progress
from explorer.zoo.registry import BACKBONE_PREFIX, entries

if TYPE_CHECKING:
    import plotly.graph_objects as go

_PACKAGE = Path(__file__).resolve().parents[1]
_RESULTS = next(path for path in (_PACKAGE / "results", _PACKAGE.parent / "docs" / "results") if path.is_dir())
RECORDED = _RESULTS / "speed-cpu.json"
"""Times of the released detectors, as `tools/speed.py` measured them: in a wheel, or in a checkout's docs."""
TIE = 0.05
"""Times that differ by less than this share are called a tie.

Source: the latency protocol of RF-DETR's benchmark."""


def speed_tables(found: Timings) -> list[Grid]:
    """The time of each model and mode, AP where it was measured, and the times of detectors' stages."""
    scored = [accuracy_grid(found)] if any(row.accuracy for row in found.rows) else []
    stages = [stage_grid(found)] if any(row.stages_s for row in found.rows) else []
    return [speed_grid(found), *scored, *stages]


def speed_grid(found: Timings) -> Grid:
    """One row per model and mode: time, ratio to the baseline with its interval, share of the ceiling, error."""
    bare = all(name.startswith(BACKBONE_PREFIX) for name in found.sizes)
    what = "whole detector" if found.stage == "detector" else "backbone" if bare else "backbone and FPN"
    head = (what, "mode", "ms", "p95", f"× {found.baseline}", "of peak", "error", "MB")
    return Grid(head, tuple(_cells(row, found.baseline) for row in found.rows))


def _cells(row: Row, baseline: str) -> tuple[str, ...]:
    if row.median_s is None or row.p95_s is None or row.ratio_to_baseline is None or row.ceiling_fraction is None:
        return (row.model, row.mode, "not measured", *["–"] * 5)
    tie = " tie" if row.mode != baseline and abs(row.ratio_to_baseline - 1) < TIE else ""
    return (
        row.model,
        f"{row.mode} ({row.engine})" if row.mode.startswith("fast") else row.mode,
        f"{1000 * row.median_s:.0f}",
        f"{1000 * row.p95_s:.0f}",
        f"{row.ratio_to_baseline:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]{tie}",
        f"{100 * row.ceiling_fraction:.0f} %",
        f"{row.max_rel_error:.0e}" if row.max_rel_error else "–",
        f"{row.peak_memory_mb:.0f}" if row.peak_memory_mb else "–",
    )


def accuracy_grid(found: Timings) -> Grid:
    """One row per model and mode whose AP was measured: its time, AP and AP small with intervals, its file's size."""
    head = ("AP, percent", "mode", "ms", "box AP", "AP small", "images", "file MB")
    return Grid(head, tuple(_scored(row, row.accuracy) for row in found.rows if row.accuracy))


def _scored(row: Row, accuracy: Accuracy) -> tuple[str, ...]:
    return (
        row.model,
        row.mode,
        f"{1000 * row.median_s:.0f}" if row.median_s else "–",
        with_interval(accuracy.ap, accuracy.ap_interval),
        with_interval(accuracy.ap_small, accuracy.ap_small_interval),
        f"{accuracy.images:,}",
        f"{row.file_mb:.1f}" if row.file_mb else "–",
    )


def with_interval(value: float, ends: Sequence[float]) -> str:
    """A figure with its interval, as tables show it."""
    if math.isnan(value):
        return "–"
    return f"{value:.1f} (too few images)" if math.isnan(ends[0]) else f"{value:.1f} [{ends[0]:.1f}, {ends[1]:.1f}]"


def accuracy_on(
    data: str, limit: int | None = None, progress: Progress | None = None
) -> Callable[[Detector], Accuracy]:
    """Returns a function that evaluates a detector, the way it runs, for `explorer.engine.speed.benchmark.benchmark`.

    Args:
        data: `PATH[:SPLIT]` of a data set, or a registered name.
        limit: take only this many images, the first ones.
        progress: called after each image.
    """

    def measure(detector: Detector) -> Accuracy:
        run = evaluate(detector, data, limit=limit, progress=progress)
        resamples = bootstrap(match(run))
        own, at = resamples.intervals().where_enough(), resamples.figures.names.index("AP")
        sizes = [size.name for size in resamples.figures.bins]

        def figure(size: str) -> tuple[float, tuple[float, float]]:
            cell = at, sizes.index(size)
            return float(own.value[cell]), (float(own.low[cell]), float(own.high[cell]))

        return Accuracy(data, len(run.truth.image_ids), *figure("all"), *figure("small"))

    return measure


def stage_grid(found: Timings) -> Grid:
    """Milliseconds by stage, one column per model and mode."""
    rows = [row for row in found.rows if row.stages_s]
    stages = list(dict.fromkeys(stage for row in rows for stage in row.stages_s))
    several = len({row.model for row in rows}) > 1
    head = ("ms by stage", *(f"{row.model}, {row.mode}" if several else row.mode for row in rows))
    return Grid(head, tuple((stage, *(_milliseconds(row, stage) for row in rows)) for stage in stages))


def _milliseconds(row: Row, stage: str) -> str:
    return f"{1000 * row.stages_s[stage]:.1f}" if stage in row.stages_s else "–"


def pareto(found: Timings, zoo_names: Mapping[str, str]) -> go.Figure:
    """Draws released AP against the time measured here, each released model in its fastest mode.

    Args:
        found: the benchmark.
        zoo_names: what its models are called in the zoo, by what they are called in it: with random weights, which take
            the same time, they have other names.

    Raises:
        ValueError: no model of the benchmark has a released AP, or backbones alone were timed.
    """
    if found.stage != "detector":
        raise ValueError("AP is of whole detectors: time them with --stage detector to draw it.")
    seconds = {
        name: min(row.median_s for row in found.rows if row.model == name and row.median_s is not None) / found.batch
        for name in dict.fromkeys(row.model for row in found.rows if row.median_s is not None)
    }
    height, width = found.size
    seconds = {zoo_names.get(name, name): own for name, own in seconds.items()}
    return _against_released_ap(seconds, f"{found.hardware['device']}, {found.threads} threads, {height}×{width} px")


def recorded_pareto(
    task: str, mode: str, recorded: Path = RECORDED, *, chosen: Collection[str] = (), width_px: int | None = None
) -> go.Figure:
    """Draws released AP against the times that the project recorded, `docs/results/speed-cpu.json`.

    Args:
        task: how the detectors' task begins, such as `Faster R-CNN`.
        mode: `eager`, `fast-fp32` or `fast-bf16`.
        recorded: another machine's times.
        chosen: backbones to ring.
        width_px: how wide the figure will be; None takes that of a picture.

    Raises:
        ValueError: no detector of the task was measured in this mode.
    """
    documents = [
        (name, document)
        for group, models in json.loads(recorded.read_text()).items()
        if group.startswith(task)
        for name, document in models.items()
    ]
    seconds = {
        name: row["median_s"]
        for name, document in documents
        for row in document["results"]
        if row["mode"] == mode and row["median_s"] is not None
    }
    if not seconds:
        raise ValueError(f"No {task} has been measured in {mode}: `explorer benchmark` measures on your machine.")
    document = documents[0][1]
    height, width = document["size"]
    threads, device = document["threads"], document["hardware"]["device"]
    return _against_released_ap(
        seconds, f"{threads} threads of {device}, {mode}, {height}×{width} px", chosen, width_px
    )


def _against_released_ap(
    seconds: Mapping[str, float], machine: str, chosen: Collection[str] = (), width_px: int | None = None
) -> go.Figure:
    from explorer.figures.export import WIDTH_PX
    from explorer.figures.speed import SpeedPoint, speed_against_accuracy

    released = {entry.name: entry for entry in entries() if entry.released}
    points = [
        SpeedPoint(released[name].backbone, own, float(figures["box_ap"]))
        for name, own in seconds.items()
        if name in released and (figures := released[name].released)
    ]
    if not points:
        raise ValueError("None of these models has a released AP: name some of `explorer zoo list`.")
    return speed_against_accuracy(
        points,
        accuracy="box AP on COCO val2017, as released",
        machine=machine,
        chosen=chosen,
        width_px=width_px or WIDTH_PX,
    )


def speed_document(found: Timings, commands: Sequence[str] = ()) -> dict[str, Any]:
    """The benchmark for machines: `results` with a row per model and mode, and how they were measured."""
    document = asdict(found)
    rows = document.pop("rows")
    return {"results": rows, **document, **provenance()} | ({"commands": list(commands)} if commands else {})
