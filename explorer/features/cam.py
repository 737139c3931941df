"""Class activation maps: EigenCAM of a layer, and the gradient CAM of one detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor, nn

from explorer.features.capture import as_feature_map, input_frame, preprocess
from explorer.features.hooks import FeatureRecorder
from explorer.features.layers import eager, find_layers
from explorer.features.scores import score_box
from explorer.types import FeatureMap, MapView

_GRAD_SAYS = (
    "Where the channels that raise the box's score for this class are active. Similar objects may be bright too, "
    "although the box's score does not depend on them. Evidence against the class is not shown."
)
_HIRES_SAYS = (
    "Where the layer raises the box's score for this class: each position is weighted by the score's gradient there. "
    "The gradient holds for small changes. Evidence against the class is not shown."
)


@dataclass(frozen=True, eq=False)
class DetectionCam:
    """Why a model calls a box what it does, as far as a gradient can say.

    Attributes:
        view: the map.
        level: the pyramid's level that the box is classified from.
        probability: the model's score of the class for the box, 0 to 1.
    """

    view: MapView
    level: str
    probability: float


def eigen_cam(feature: FeatureMap) -> MapView:
    """Computes Eigen-CAM: the dominant pattern of a layer, independent of any class.

    The channels at each position are projected on the first right singular vector, with the sign that makes the sum
    positive; negative values become 0. Positions in the padding are ignored.

    Args:
        feature: the feature map, as `feature_maps` returns it.

    Source: Muhammad and Yeasin, Eigen-CAM, IJCNN 2020 (arXiv 2008.00299).
    """
    content = feature.content
    vectors = content.reshape(len(content), -1).astype(np.float64)  # channels × places
    channels = len(vectors)
    # The right singular vector of places × channels; no centring, as in the paper.
    _, columns = eigh(vectors @ vectors.T, subset_by_index=(channels - 1, channels - 1))
    projection = columns[:, 0] @ vectors
    projection = projection if projection.sum() >= 0 else -projection
    values = np.maximum(projection, 0).reshape(content.shape[1:]).astype(np.float32)
    says = (
        "The strongest single pattern in the layer's channels. It often lies on objects, but it is independent of "
        "classes and detections, and does not show what the model decides."
    )
    return MapView("EigenCAM", feature.layer, values, feature.frame, says)


def detection_cam(
    model: nn.Module,
    model_input: Mapping[str, Any],
    box_xyxy: Sequence[float],
    class_index: int,
    *,
    layer: str | None = None,
    at_place: bool = False,
) -> DetectionCam:
    """Computes Grad-CAM for one box and one class: the positions of a layer that contribute to the detection.

    The score is the classifier's output for the given box before softmax or sigmoid (see
    `explorer.features.scores.score_box`). Gradients pass through the box head and the pooling, so at the pyramid level
    they are zero outside the pooled region, and extend further in earlier layers.

    Args:
        model: a detectron2 detector; it is not changed, and its parameters get no gradients.
        model_input: its input for one photo, as `Detector.model_input(photo)` returns it.
        box_xyxy: corners in pixels of the original photo.
        class_index: index into the model's classes.
        layer: name of the layer; None for the pyramid level from which the box is classified.
        at_place: weight each position by its own gradient (HiResCAM) instead of each channel by its mean gradient
            (Grad-CAM), so that only positions on which the score depends can be bright.

    Raises:
        ValueError: the model has no supported classifier, or the box, the class or the layer does not exist in it.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017 (arXiv 1610.02391), Equations 1 and 2; Draelos and Carin, HiResCAM
    (arXiv 2011.08891).
    """
    model = eager(model)
    images = preprocess(model, model_input)
    frame = input_frame(model, model_input)
    backbone = model.get_submodule("backbone")
    with (
        FeatureRecorder(model, [layer or "backbone"], copy=False) as recorder,
        torch.set_grad_enabled(layer is not None),
    ):
        # Where all of the backbone is frozen, gradients reach a layer in it only if they are asked for of the pixels.
        features = backbone(images.tensor.detach().requires_grad_(layer is not None))
        if layer is None:  # the backbone needs no gradients, which would take most of the time and memory
            features = {name: tensor.detach().requires_grad_() for name, tensor in features.items()}
        with torch.enable_grad():
            score = score_box(model, features, frame, box_xyxy, class_index)
        name = layer or score.level
        tensor = recorder[name] if layer else features[name]
        (gradient,) = torch.autograd.grad(score.logit, tensor, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"The score of this box does not depend on {name}: it is computed from {score.level}. Name that level, or "
            "a layer that it is made from."
        )
    stride = find_layers(model, [name])[0].stride
    values = gradient_map(tensor, gradient, at_place=at_place)
    feature = as_feature_map(values, name, frame, stride=stride)
    return DetectionCam(_view(feature, at_place=at_place), score.level, score.probability)


def gradient_map(activations: Tensor, gradients: Tensor, *, at_place: bool = False) -> Tensor:
    """Combines `(1, channels, rows, columns)` activations and a score's gradients into `(1, 1, rows, columns)`.

    Args:
        activations: what the layer gave.
        gradients: derivative of the score by each of them.
        at_place: see `detection_cam`.
    """
    weights = gradients if at_place else gradients.mean(dim=(2, 3), keepdim=True)
    combined: Tensor = (weights * activations).sum(dim=1, keepdim=True).clamp(min=0).detach()
    return combined


def _view(feature: FeatureMap, *, at_place: bool) -> MapView:
    kind, says = ("HiResCAM", _HIRES_SAYS) if at_place else ("Grad-CAM", _GRAD_SAYS)
    return MapView(kind, feature.layer, feature.content[0], feature.frame, says)
