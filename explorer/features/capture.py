"""From a model and its input to feature maps that know where they lie in the photo: one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.features.hooks import LIMIT_MB, FeatureRecorder
from explorer.features.layers import eager
from explorer.types import FeatureMap, Frame

ModelInput = Mapping[str, Any] | Tensor
"""detectron2's input for one image (`image`, `height`, `width`), or a batch of one image for any other module."""


def feature_maps(
    model: nn.Module, model_input: ModelInput, layers: Iterable[str], *, limit_mb: float = LIMIT_MB
) -> dict[str, FeatureMap]:
    """Runs a model on one photo and returns the feature maps of some layers.

    If only layers of the backbone are named, only the backbone of a detectron2 model runs.

    Args:
        model: a detectron2 detector, or any other module.
        model_input: the output of `Detector.model_input(photo)` for a detector; otherwise `(1, channels, height,
            width)`.
        layers: dotted names, globs and short names, as in `["p*", "stage4"]`; see `FeatureRecorder`.
        limit_mb: as in `FeatureRecorder`.

    Returns:
        Maps by layer, in the order in which the layers ran. If a layer runs several times or returns several tensors,
        there is one map for each, named `rpn_head.conv#0`, `#1`, … and `rpn_head[0][2]`.

    Raises:
        ValueError: a layer does not exist, does not run or returns no map of the photo, or the input does not fit.
    """
    recorder = FeatureRecorder(model, layers, limit_mb=limit_mb)
    with recorder, torch.no_grad():
        if isinstance(model_input, Tensor):
            frame = tensor_frame(model_input)
            recorder.model(model_input)
        else:
            images = preprocess(recorder.model, model_input)
            frame = _frame(model_input, images.tensor)
            if _all_inside(recorder, recorder.model.get_submodule("backbone")):
                recorder.model.get_submodule("backbone")(images.tensor)
            else:
                recorder.model([model_input])
    for layer in recorder.layers:
        recorder.all(layer.name)  # says which layer did not run
    several = {record.name for record in recorder.records if record.call}
    maps: dict[str, FeatureMap] = {}
    for record in recorder.records:
        name = f"{record.name}#{record.call}" if record.name in several else record.name
        maps[name] = as_feature_map(record.tensor, name, frame, stride=record.layer.stride)
    return maps


def input_frame(model: nn.Module, model_input: Mapping[str, Any]) -> Frame:
    """Returns where the pixels of a detector's padded input lie in the photo (stride 1).

    Raises:
        ValueError: the model is no detectron2 detector.
    """
    return _frame(model_input, preprocess(eager(model), model_input).tensor)


def tensor_frame(batch: Tensor) -> Frame:
    """Returns the frame of a network whose input is the photo itself, neither resized nor padded.

    Raises:
        ValueError: the batch is not `(1, channels, height, width)`.
    """
    if batch.dim() != 4 or len(batch) != 1:
        raise ValueError(
            f"Got an input of shape {tuple(batch.shape)}; expected one image, (1, channels, height, width)."
        )
    size = (batch.shape[2], batch.shape[3])
    return Frame(size, size, size)


def preprocess(model: nn.Module, model_input: Mapping[str, Any]) -> Any:
    """Returns detectron2's `ImageList` of one image: normalised and padded, on the model's device.

    Raises:
        ValueError: the model is no detectron2 detector, or the input not detectron2's.
    """
    prepare = getattr(model, "preprocess_image", None)
    if prepare is None or not hasattr(model, "backbone"):
        raise ValueError(
            f"{type(model).__name__} is not a detectron2 detector: it has no backbone and preprocess_image. Give any "
            "other network a tensor (1, channels, height, width)."
        )
    if "image" not in model_input:
        raise ValueError(f"The input has {sorted(model_input)}; detectron2 expects image, height and width.")
    return prepare([model_input])


def as_feature_map(tensor: Tensor, name: str, frame: Frame, *, stride: int | None = None) -> FeatureMap:
    """Turns a layer's output for one photo into a feature map.

    Args:
        tensor: `(1, channels, rows, columns)`.
        name: what to call the layer.
        frame: of the network's input.
        stride: input pixels per cell; None finds them from the sizes.

    Raises:
        ValueError: the tensor has another shape.
    """
    shape = tuple(tensor.shape)
    if len(shape) != 4 or shape[0] != 1:
        raise ValueError(
            f"{name} gives {shape}, which is not a feature map of one photo: (1, channels, rows, columns). Name "
            "another layer, or take the tensor from a FeatureRecorder."
        )
    down, right = (stride or _stride(*sizes) for sizes in zip(frame.padded_size, shape[2:], strict=True))
    values = tensor[0].detach().to("cpu", torch.float32).numpy()
    return FeatureMap(name, np.ascontiguousarray(values), dataclasses.replace(frame, stride_yx=(down, right)))


def _frame(model_input: Mapping[str, Any], padded: Tensor) -> Frame:
    resized = (model_input["image"].shape[-2], model_input["image"].shape[-1])
    original = (int(model_input.get("height", resized[0])), int(model_input.get("width", resized[1])))
    return Frame(original, resized, (padded.shape[-2], padded.shape[-1]))


def _all_inside(recorder: FeatureRecorder, backbone: nn.Module) -> bool:
    inside = set(backbone.modules())
    return all(layer.module in inside for layer in recorder.layers)


def _stride(size_px: int, cells: int) -> float:
    """Input pixels per cell: the power of two that gives so many cells, else the quotient.

    Strided layers round the number of cells up, which the quotient alone would take for a smaller stride.
    """
    power = 1
    while -(-size_px // power) > cells:
        power *= 2
    whole = -(-size_px // power) == cells and cells > 1
    return power if whole else size_px / cells
