"""A MODEL argument turned into a detector that is ready for use."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from explorer.engine.building import make_detector
from explorer.engine.detector import Detector
from explorer.engine.devices import pick_device
from explorer.engine.fast.calibration import calibration_photos
from explorer.engine.fast.export import is_export, load_export
from explorer.engine.fast.hardware import DtypeName, EngineName, engine_for
from explorer.engine.fast.model import FastModel
from explorer.scoring.protocols import COCO, Protocol
from explorer.types import Progress
from explorer.zoo.downloads import DownloadError
from explorer.zoo.registry import BACKBONE_PREFIX
from explorer.zoo.resolve import configured, lasting_name, resolve

logger = logging.getLogger(__name__)

_SCORE_THRESHOLD = "test_score_thresh"
"""What detectron2 calls it wherever scores are thresholded: RetinaNet, FCOS, the box heads of R-CNNs."""
_DETECTION_LIMITS = ("test_topk_per_image", "max_detections_per_image")
"""What it calls the largest number of objects for an image: box heads, and dense detectors."""


def load_detector(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    config_file: str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    lowest_score: float | None = None,
    exact: bool = False,
    dtype: DtypeName = "float32",
    engine: EngineName | Literal["auto"] = "auto",
    images: int | None = None,
    calibrate: str | Path | None = None,
    emulate: bool = False,
    allow_partial: bool = False,
    bare: bool = False,
    progress: Progress | None = None,
) -> Detector:
    """Builds a detector and loads its weights, which are downloaded if necessary.

    If the config names no weights, they are random, and the detector's name contains "(random weights)".

    Args:
        model: a zoo name, a config file, a shipped config's name, the folder of a training run (its best checkpoint,
            else its final one, else its last; `remarks` say which) or of an evaluation, a checkpoint file, or the
            folder of an export.
        weights: a checkpoint instead of the model's own; `MODEL.WEIGHTS` among the overrides does the same.
        config_file: the config of a checkpoint file, instead of the `config.yaml` beside it.
        overrides: `KEY VALUE` pairs for the config, `key=value` for a LazyConfig.
        device: `auto` takes a GPU where there is one; otherwise a torch device such as `cpu` or `cuda:1`.
        lowest_score: report objects from this score up, instead of from the config's own threshold.
        exact: run the original model, bit by bit as trained; otherwise an optimised model, whose features differ in the
            sixth digit (see `explorer.engine.fast`).
        dtype: number format of the optimised model; see `fast`.
        engine: engine of the optimised model; `torch` is ready at once, `auto` is the fastest for many images. An
            export always runs in its own.
        images: number of images that it will process, if known; `auto` then minimises the total time for them.
        calibrate: see `fast`.
        emulate: see `fast`.
        allow_partial: accept weights that fit only partially, such as those of a backbone; the rest is random, and the
            detector's name contains "(partial weights)".
        bare: also accept a backbone without a detector: `backbone:V-99-eSE`, `backbone:FILE`.
        progress: called with the number of bytes downloaded and the total.

    Raises:
        ValueError: if the model, a key, the device or the number format is unknown, the weights do not fit, a
            training run has no checkpoint, or the model is a backbone alone and `bare` is not set.
        DownloadError: the weights cannot be downloaded.
    """
    if is_export(model):
        if weights or config_file or overrides or exact or calibrate or dtype not in ("auto", "float32"):
            raise ValueError(
                f"{model} is an export, which has its own weights, config and number format: leave out --weights, "
                "--config-file, config overrides, --exact, --calibrate and --dtype."
            )
        if device != "auto" and torch.device(pick_device(device)).type != "cpu":
            raise ValueError(f"{model} is an export, which runs on the CPU: the device is {device!r}; use auto or cpu.")
        exported = load_export(Path(model))
        if lowest_score is not None:
            report_from(exported.model, lowest_score)
        if not bare:
            exported.check_finds_objects()
        return replace(exported, source=str(Path(model).expanduser().absolute()))
    found = resolve(model, weights=weights, config_file=config_file, overrides=overrides, progress=progress)
    detector = make_detector(found.cfg, found.name, weights=found.weights, device=device, allow_partial=allow_partial)
    if not bare:
        detector.check_finds_objects()
    detector = _named(detector, found.remark if found.weights else "its config names none")
    source, changes = lasting_name(config_file or model, overrides)
    detector = replace(detector, source=source, overrides=tuple(changes))
    for remark in detector.remarks:
        logger.info("%s", remark)
    if lowest_score is not None:
        report_from(detector.model, lowest_score)
    if engine == "auto" and images is not None:
        engine = engine_for(images, dtype)
    return detector if exact else fast(detector, dtype, engine, calibrate=calibrate, emulate=emulate)


def load_backbone(
    backbone: str | Path,
    *,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    progress: Progress | None = None,
) -> Detector:
    """Builds a backbone without a detector, for its features, receptive fields, times and exports.

    Args:
        backbone: its name, `V-99-eSE`, or a checkpoint with a VoVNet in it, whoever made it (`explorer.zoo.identify`).
        weights: a checkpoint where a name is given; what it needs of the config is set. By default they are random.
        overrides: as in `load_detector`.
        device: as in `load_detector`.
        progress: as in `load_detector`.

    Returns:
        A `Detector` whose `model` gives feature maps; its `detect` is refused.

    Raises:
        ValueError: there is no such backbone, or the weights do not fit it.
        DownloadError: the weights cannot be downloaded.
    """
    model = f"{BACKBONE_PREFIX}{str(backbone).removeprefix(BACKBONE_PREFIX)}"
    return load_detector(
        model, weights=weights, overrides=overrides, device=device, exact=True, bare=True, progress=progress
    )


def load_or_random(
    model: str | Path, *, random: bool = False, overrides: Sequence[str] = (), device: str = "cpu", **options: Any
) -> Detector:
    """Loads a detector or a backbone to look into, with random weights if asked for or if its own are not available.

    Args:
        model: see `load_detector`.
        random: do not look for weights.
        overrides: as in `load_detector`.
        device: as in `load_detector`.
        options: further ones of `load_detector`; `exact` and `bare` are set.

    Returns:
        The detector, without a fast way; its `remarks` say why its weights are random, if they are.

    Raises:
        ValueError: the model, a key or the device is unknown, or weights do not fit.
        DownloadError: weights that were named cannot be downloaded.
    """
    if not random:
        try:
            options |= {"exact": True, "bare": True}
            return load_detector(model, overrides=overrides, device=device, **options)
        except DownloadError:
            if options.get("weights") is not None:
                raise
    cfg, name = configured(model, overrides, options.get("config_file"))
    why = "as requested" if random else "its own weights are not available here"
    return _named(make_detector(cfg, name, device=device), why)


def _named(detector: Detector, remark: str) -> Detector:
    """Gives a detector a name that nobody reads without what is to be known of its weights."""
    if detector.weights is None:
        remark = f"{detector.name} has {detector.caveat}: {remark}."
    name = f"{detector.name} ({detector.caveat})" if detector.caveat else detector.name
    return replace(detector, name=name, remarks=tuple(filter(None, (remark, *detector.remarks))))


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


def detecting_for(model: nn.Module, protocol: Protocol) -> AbstractContextManager[None]:
    """Lets a built model report as many objects an image as a protocol counts, where that is above COCO's 100."""
    most = protocol.max_detections[-1]
    return detecting_up_to(model, most) if most > COCO.max_detections[-1] else nullcontext()


def detection_limit(model: nn.Module) -> int | None:
    """The most objects that a model reports for an image; None where it has no limit."""
    limits = [getattr(part, name) for part in model.modules() for name in _DETECTION_LIMITS if hasattr(part, name)]
    return min(limits, default=None)


def twin(detector: Detector) -> Detector:
    """Returns a detector of the same weights, which are held once, whose thresholds and hooks are its own.

    What is ready of the fast way serves both; one of them at a time runs it.
    """
    held = {id(tensor): tensor for tensor in (*detector.model.parameters(), *detector.model.buffers())}
    model = copy.deepcopy(detector.model, held)
    return replace(detector, model=model, fast=detector.fast and detector.fast.twin(model))


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


def fast(
    detector: Detector,
    dtype: DtypeName = "auto",
    engine: EngineName | Literal["auto"] = "auto",
    *,
    calibrate: str | Path | None = None,
    emulate: bool = False,
) -> Detector:
    """Returns the detector with an optimised model, which its `detect` runs.

    Args:
        detector: any detector; its `model` is not changed.
        dtype: `float32` gives the same detections; `bfloat16` and `int8` give nearly the same detections in less time
            on hardware that supports them; `auto` selects bfloat16, int8 or float32 in this order, and
            `detector.fast.chosen.reason` names the reason.
        engine: `openvino`, `compile` (torch.compile; its first image takes up to a minute), `torch`, or `auto`.
        calibrate: photos that resemble the model's later input, a folder or `PATH:SPLIT` of a data set, which set the
            ranges of int8. The ranges are cached for the model's weights, so later calls need no photos. Models of
            aerial scenes use generated scenes.
        emulate: allow a format that the hardware does not support, which is slower than float32.

    Raises:
        ValueError: the format or engine does not exist or is not available, or there are no photos.
    """
    if calibrate is not None and dtype not in ("auto", "int8"):
        raise ValueError(
            f"Calibration photos are only used by int8, but the number format is {dtype}: use int8 or auto."
        )
    photos = calibration_photos(detector, calibrate) if dtype in ("auto", "int8") else None
    return replace(detector, fast=FastModel(detector.model, dtype, engine, photos=photos, emulate=emulate))
