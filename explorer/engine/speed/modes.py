"""The ways to run a detector that can be timed against each other, by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from explorer.data.aerial import render_scene
from explorer.engine.detector import Detector
from explorer.engine.fast.calibration import calibration_photos, scenes
from explorer.engine.fast.hardware import DtypeName, EngineName, UnavailableError
from explorer.engine.fast.int8 import int8_trunk, missing
from explorer.engine.fast.model import FastModel, relative_error
from explorer.engine.fast.networks import NotFastError, openvino_network, prepare
from explorer.engine.fast.photos import CalibrationPhotos
from explorer.engine.fast.trunk import Trunk
from explorer.types import Pixels

Stage = Literal["backbone", "detector"]


@dataclass(frozen=True)
class Mode:
    """A way to run a detector.

    Attributes:
        engine: `exact` is the model itself.
        dtype: what is asked for.
        file: the format of the file that is written and read again; None where the model runs from memory.
    """

    engine: EngineName | Literal["auto", "exact"]
    dtype: DtypeName
    file: Literal["onnx", "openvino"] | None = None


MODES = {
    "eager": Mode("exact", "float32"),
    "fast-fp32": Mode("auto", "float32"),
    "fast-bf16": Mode("auto", "bfloat16"),
    "fast-int8": Mode("auto", "int8"),
    "torch-fp32": Mode("torch", "float32"),
    "torch-bf16": Mode("torch", "bfloat16"),
    "compile-fp32": Mode("compile", "float32"),
    "compile-bf16": Mode("compile", "bfloat16"),
    "openvino": Mode("openvino", "float32"),
    "openvino-bf16": Mode("openvino", "bfloat16"),
    "onnx": Mode("torch", "float32", "onnx"),
    "openvino-file": Mode("openvino", "float32", "openvino"),
    "int8-file": Mode("openvino", "int8", "openvino"),
}


@dataclass(frozen=True, eq=False)
class Runner:
    """A mode made ready for one detector.

    Attributes:
        run: runs it once on the benchmark's images.
        engine: what runs it.
        dtype: what it computes in.
        max_rel_error: largest difference of its maps from the plain model's on those images, each map's by its own
            largest value.
        detector: the detector that runs so; None for a backbone alone.
        file_mb: size in megabytes (10^6 bytes) of the file that was read, where there is one.
    """

    run: Callable[[], object]
    engine: str
    dtype: torch.dtype
    max_rel_error: float
    detector: Detector | None = None
    file_mb: float | None = None


class NotHereError(RuntimeError):
    """A mode cannot be measured on this machine."""


def make_runner(
    detector: Detector,
    mode: str,
    inputs: list[dict[str, Any]],
    stage: Stage,
    calibrate: str | Path | None = None,
) -> Runner:
    """Makes a mode ready.

    Args:
        detector: without a fast way of its own.
        mode: one of `MODES`.
        inputs: detectron2's inputs.
        stage: `backbone` runs backbone and FPN alone, `detector` everything.
        calibrate: photos by which ranges of int8 are set (see `fast`); where None, those that are kept, or ranges by
            aerial scenes, which are good for times alone.

    Raises:
        NotHereError: the mode would run as another one here, or not at all.
        ValueError: there is no such mode.
    """
    if mode not in MODES:
        raise ValueError(f"There is no mode {mode!r}: choose from {', '.join(MODES)}.")
    asked, model = MODES[mode], detector.model
    known: Any = model
    images: Tensor = known.preprocess_image(inputs).tensor
    with torch.no_grad():
        wanted = tuple(known.backbone(images).values())
    if asked.engine == "exact":
        run = (lambda: known.backbone(images)) if stage == "backbone" else (lambda: model(inputs))
        return Runner(_waiting(run, detector.device), "exact", torch.float32, 0.0, detector)
    if asked.file:
        return _from_file(detector, asked, images, wanted, stage, inputs, calibrate)
    photos = _photos(detector, calibrate) if asked.dtype == "int8" else None
    try:
        quick = replace(detector, fast=FastModel(model, asked.dtype, asked.engine, photos=photos))
        return _bare(quick, images, wanted, photos) if stage == "backbone" else _whole(quick, images, wanted, inputs)
    except (NotFastError, UnavailableError) as error:
        raise NotHereError(str(error)) from error


def _photos(detector: Detector, calibrate: str | Path | None) -> CalibrationPhotos | None:
    """Photos for ranges: the user's, none where there are ranges, else scenes, whose ranges are not kept."""
    given = calibration_photos(detector, calibrate)
    return given if given or not missing(detector.model, None) else scenes(detector, keep=False)


def _bare(quick: Detector, images: Tensor, wanted: tuple[Tensor, ...], photos: CalibrationPhotos | None) -> Runner:
    """Backbone and FPN alone."""
    assert quick.fast is not None
    plan = quick.fast.chosen
    if plan.why:
        raise NotHereError(plan.why)
    if plan.dtype == torch.int8:
        network = openvino_network(int8_trunk(quick.model, photos, heads=False)[0], plan.rest)
    else:
        trunk = Trunk(quick.model, heads=False)
        network = prepare(trunk, trunk.sample(), plan)
    error = relative_error(network(images), wanted)
    return Runner(_waiting(lambda: network(images), quick.device), plan.engine, plan.dtype, error)


def _whole(quick: Detector, images: Tensor, wanted: tuple[Tensor, ...], inputs: list[dict[str, Any]]) -> Runner:
    assert quick.fast is not None
    ready = quick.fast.ready()
    if ready.plan.why:
        raise NotHereError(ready.plan.why)
    backbone: Any = ready.parts["backbone"]
    with torch.no_grad():
        error = relative_error(tuple(backbone(images).values()), wanted)
    run = _waiting(lambda: quick.fast(inputs) if quick.fast else None, quick.device)
    return Runner(run, ready.plan.engine, ready.plan.dtype, error, quick)


def _from_file(
    detector: Detector,
    asked: Mode,
    images: Tensor,
    wanted: tuple[Tensor, ...],
    stage: Stage,
    inputs: list[dict[str, Any]],
    calibrate: str | Path | None,
) -> Runner:
    """The trunk as `explorer export` writes it, read again."""
    from explorer.engine.fast.export import FILES, ExportError, read_trunk, write_int8, write_trunk

    assert asked.file
    name, heads = "onnx" if asked.file == "onnx" else "openvino", stage == "detector"
    if detector.device.type != "cpu":
        raise NotHereError(f"{FILES[asked.file]} is run on CPUs here")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILES[asked.file]
        try:
            if asked.dtype == "int8":
                write_int8(detector, file, _photos(detector, calibrate), heads=heads)
            else:
                write_trunk(Trunk(detector.model, heads=heads), file, asked.file)
            network = read_trunk(file, asked.file)
        except (ExportError, ImportError, NotFastError) as error:
            raise NotHereError(str(error)) from error
        size_mb = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    dtype = torch.int8 if asked.dtype == "int8" else torch.float32
    if stage == "backbone":
        run = _waiting(lambda: network(images), detector.device)
        return Runner(run, name, dtype, relative_error(network(images), wanted), file_mb=size_mb)
    engine: EngineName = "torch" if asked.file == "onnx" else "openvino"
    quick = replace(detector, fast=FastModel(detector.model, asked.dtype, engine, network, emulate=True))
    return replace(_whole(quick, images, wanted, inputs), engine=name, file_mb=size_mb)


def _waiting(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Makes a call without gradients, which waits for the GPU."""

    def call() -> object:
        with torch.no_grad():
            found = run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return found

    return call


def parts_of(detector: Detector) -> dict[str, nn.Module]:
    """Returns the parts of a detector as it runs, by path: the stand-ins where it runs the fast way."""
    parts = {path: part for path, part in detector.model.named_modules() if path}
    if detector.fast is not None:
        stand_ins = detector.fast.ready().parts
        inside = tuple(f"{path}." for path in stand_ins)
        parts = {path: part for path, part in parts.items() if not path.startswith(inside)} | dict(stand_ins)
    return parts


def scene(size: tuple[int, int]) -> Pixels:
    """Returns the photo that is timed: an aerial scene, always the same, BGR."""
    return np.ascontiguousarray(render_scene(7, layout="crossing", size=size).image)


def as_input(image_bgr: Pixels, detector: Detector) -> dict[str, Any]:
    """Returns detectron2's input without resizing, so that all models see the same number of pixels."""
    return {
        "image": detector.model_input.as_tensor(image_bgr).float(),
        "height": image_bgr.shape[0],
        "width": image_bgr.shape[1],
    }
