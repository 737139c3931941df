"""A MODEL argument turned into a detector that is ready for use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import nn

from explorer.engine.detector import Detector, make_detector
from explorer.engine.fast.export import is_export, load_export
from explorer.engine.fast.hardware import DtypeName, EngineName
from explorer.engine.fast.model import FastModel
from explorer.zoo.downloads import DownloadError
from explorer.zoo.resolve import configured, resolve
from explorer.zoo.transfer import Progress

_SCORE_THRESHOLD = "test_score_thresh"
"""What detectron2 calls it wherever scores are thresholded: RetinaNet, FCOS, the box heads of R-CNNs."""
_DETECTION_LIMITS = ("test_topk_per_image", "max_detections_per_image")
"""What it calls the largest number of objects for an image: box heads, and dense detectors."""


def load_detector(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    lowest_score: float | None = None,
    exact: bool = False,
    dtype: DtypeName = "float32",
    engine: EngineName | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Detector:
    """Builds a detector and loads its weights, which are downloaded if need be.

    Args:
        model: a zoo name, a config file, a shipped config's name, or the folder of an export.
        weights: a checkpoint instead of the one that the config names (`MODEL.WEIGHTS`) or else the zoo has.
        overrides: `KEY VALUE` pairs for the config, `key=value` for a LazyConfig.
        device: `auto` takes a GPU where there is one; otherwise a torch device such as `cpu` or `cuda:1`.
        lowest_score: report objects from this score up, instead of from the config's own threshold.
        exact: run the model operation by operation as trained, to the last bit; otherwise the fast way, whose features
            differ in the sixth digit (see `explorer.engine.fast`).
        dtype: what the fast way computes in; `auto` is bfloat16 where the hardware has it.
        engine: what the fast way runs on; `torch` is ready at once, `auto` the fastest over many images.
        progress: called with bytes done and bytes in total while weights come.

    Raises:
        ValueError: if the model, a key, the device or the number format is unknown, or the weights do not fit.
        DownloadError: if the weights cannot be had.
    """
    if is_export(model):
        if weights or overrides or exact:
            raise ValueError(f"{model} is an export: it has its own weights and config, and no exact way to run it.")
        exported = load_export(Path(model))
        if lowest_score is not None:
            report_from(exported.model, lowest_score)
        return exported
    resolved = resolve(model, weights=weights, overrides=overrides, progress=progress)
    detector = make_detector(resolved.cfg, resolved.name, weights=resolved.weights, device=device)
    detector = replace(detector, source=str(model), overrides=tuple(overrides))
    if lowest_score is not None:
        report_from(detector.model, lowest_score)
    if exact:
        return detector
    return fast(detector, dtype, engine)


def load_or_random(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "cpu",
    random: bool = False,
    progress: Progress | None = None,
) -> tuple[Detector, str]:
    """Loads a detector; with random weights where wanted, or where the zoo's own cannot be had.

    Args:
        model: see `load_detector`.
        weights: likewise.
        overrides: likewise.
        device: likewise.
        random: do not look for weights.
        progress: see `load_detector`.

    Returns:
        The detector, and a sentence on why its weights are random; empty where they are not.

    Raises:
        ValueError: the model, a key or the device is unknown, or weights do not fit.
        DownloadError: weights that were named cannot be had.
    """
    if not random:
        try:
            detector = load_detector(
                model, weights=weights, overrides=overrides, device=device, exact=True, progress=progress
            )
        except DownloadError:
            if weights is not None:
                raise
            why = "its weights cannot be had here"
        else:
            if detector.weights is not None:
                return detector, ""
            return detector, f"{detector.name} has random weights: its config names none."
    else:
        why = "as asked for"
    cfg, name = configured(model, overrides)
    return make_detector(cfg, name, device=device), f"{name} has random weights: {why}."


@contextmanager
def detecting_up_to(model: nn.Module, most: int) -> Iterator[None]:
    """Lets a built model report up to `most` objects an image, whatever its config said, while the block runs."""
    parts = [(part, name) for part in model.modules() for name in _DETECTION_LIMITS if hasattr(part, name)]
    before = [getattr(part, name) for part, name in parts]
    for part, name in parts:
        setattr(part, name, most)
    try:
        yield
    finally:
        for (part, name), value in zip(parts, before, strict=True):
            setattr(part, name, value)


def detection_limit(model: nn.Module) -> int | None:
    """The most objects that a model reports for an image; None where it has no limit."""
    limits = [getattr(part, name) for part in model.modules() for name in _DETECTION_LIMITS if hasattr(part, name)]
    return min(limits, default=None)


def report_from(model: nn.Module, lowest_score: float) -> None:
    """Makes a built model report objects from `lowest_score` up, whatever its config said.

    Raises:
        ValueError: no part of the model has a score threshold.
    """
    deciding = [part for part in model.modules() if hasattr(part, _SCORE_THRESHOLD)]
    if not deciding:
        raise ValueError(f"{type(model).__name__} has no score threshold: none of its parts has {_SCORE_THRESHOLD}.")
    for part in deciding:
        setattr(part, _SCORE_THRESHOLD, lowest_score)


def fast(detector: Detector, dtype: DtypeName = "auto", engine: EngineName | Literal["auto"] = "auto") -> Detector:
    """Returns the detector with a fast way to run it, which its `detect` takes.

    Args:
        detector: any; its `model` stays as it is.
        dtype: `float32` gives the same detections; `bfloat16`, which `auto` takes where the hardware computes in it,
            gives nearly the same in less time.
        engine: `openvino`, `compile` (torch.compile; its first image takes up to a minute), `torch`, or `auto`.

    Raises:
        ValueError: there is no such format or engine.
    """
    return replace(detector, fast=FastModel(detector.model, dtype, engine))
