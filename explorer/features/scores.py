"""How a detectron2 model scores one box as one class, and at which level of its pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling.meta_arch import FCOS
from detectron2.modeling.meta_arch.dense_detector import permute_to_N_HWA_K
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor, nn

from explorer.features.assignment import (
    NOWHERE,
    assigned_levels,
    box_heads,
    has_anchors,
    level_names,
    location_generator,
)
from explorer.features.layers import eager
from explorer.features.places import check_box
from explorer.heads import fcos
from explorer.heads.fcos_detections import decoded
from explorer.types import Frame


@dataclass(frozen=True, eq=False)
class BoxScore:
    """A model's opinion of one box.

    Attributes:
        logit: what the classifier gives for the class before softmax or sigmoid; a scalar that has gradients.
        probability: the same after softmax or sigmoid, 0 to 1.
        level: the backbone's feature that it was computed from.
    """

    logit: Tensor
    probability: float
    level: str


def assigned_level(model: nn.Module, frame: Frame, box_xyxy: Sequence[float]) -> str:
    """Returns the backbone's feature that a box belongs to, by the model's own rule.

    For R-CNNs it is the level that the box is pooled from, which depends on its area in the resized photo. For
    RetinaNet, FCOS and CenterMask it is the level with most of the anchors or locations that training would match with
    the box.

    Args:
        model: a detectron2 detector.
        frame: of the detector's input or of any map of the same photo.
        box_xyxy: in the photo's pixels.

    Raises:
        ValueError: the model has no such rule, the box is none, or no anchor matches it.
    """
    check_box(frame, box_xyxy)
    names = level_names(model)
    if not names:
        raise _unknown(model)
    (level,) = assigned_levels(model, frame, box_xyxy)
    if level == NOWHERE:
        raise ValueError(
            f"No location of {type(eager(model)).__name__} is assigned to the box: it is too small to contain one."
        )
    return names[int(level)]


def score_box(
    model: nn.Module, features: Mapping[str, Tensor], frame: Frame, box_xyxy: Sequence[float], class_index: int
) -> BoxScore:
    """Computes the score that a detector gives a box for a class.

    R-CNNs classify the box itself, as if it had been proposed. RetinaNet, FCOS and CenterMask classify what they
    predict at each place; taken is the prediction whose box overlaps the given one most.

    Args:
        model: a detectron2 detector in evaluation mode.
        features: what its backbone gave for one photo.
        frame: of the detector's input.
        box_xyxy: in the photo's pixels.
        class_index: index into the model's classes.

    Raises:
        ValueError: the model is of another kind, the class unknown, or the box none.
    """
    check_box(frame, box_xyxy)
    model = eager(model)
    generator, dense = location_generator(model), has_anchors(model)
    part: Any = model if dense else box_heads(model) if generator is None else model.roi_heads
    if part is None:
        raise _unknown(model)
    if not 0 <= class_index < part.num_classes:
        raise ValueError(f"There is no class {class_index}; the model has {part.num_classes}, from 0.")
    device = next(model.parameters()).device
    box = Boxes(torch.as_tensor(frame.to_input(box_xyxy), dtype=torch.float32, device=device)[None])
    if dense:
        return _dense_score(model, features, frame, box, class_index)
    if generator is not None:
        return _located_score(generator, features, frame, box, class_index)
    pooled = part.box_pooler([features[name] for name in part.box_in_features], [box])
    predictions = part.box_predictor(part.box_head(pooled))
    proposal = Instances(frame.resized_size, proposal_boxes=box)
    (probabilities,) = part.box_predictor.predict_probs(predictions, [proposal])
    logit = predictions[0][0, class_index]
    return BoxScore(logit, probabilities[0, class_index].item(), assigned_level(model, frame, box_xyxy))


def _unknown(model: nn.Module) -> ValueError:
    heads = getattr(model, "roi_heads", None)
    kind = type(model).__name__ + (f" with {type(heads).__name__}" if heads is not None else "")
    return ValueError(
        f"The score of one box cannot be computed for a {kind}: supported are R-CNNs with StandardROIHeads (Faster, "
        "Mask, Panoptic FPN), RetinaNet, FCOS and CenterMask."
    )


def _located_score(
    generator: fcos.FCOS, features: Mapping[str, Tensor], frame: Frame, box: Boxes, class_index: int
) -> BoxScore:
    output = generator.fcos_head([features[name] for name in generator.in_features])
    levels = [decoded(*maps) for maps in zip(*output, generator.assignment.strides, strict=True)]
    probability, central, corners = (torch.cat(column, dim=1)[0] for column in zip(*levels, strict=True))
    candidates = Boxes(corners.detach())
    candidates.clip(frame.resized_size)
    place = int(pairwise_iou(box, candidates)[0].argmax())
    logits = torch.cat([level[0].flatten(1).T for level in output.logits])
    level = int((torch.tensor([own.shape[1] for own, *_ in levels]).cumsum(0) <= place).sum())
    score = float((probability[place, class_index] * central[place, 0]).detach().sqrt())
    return BoxScore(logits[place, class_index], score, generator.in_features[level])


def _dense_score(model: Any, features: Mapping[str, Tensor], frame: Frame, box: Boxes, class_index: int) -> BoxScore:
    maps = [features[name] for name in model.head_in_features]
    predictions = model.head(maps)
    logits, deltas = (
        [permute_to_N_HWA_K(each, size)[0] for each in part]
        for part, size in zip(predictions[:2], (model.num_classes, 4), strict=True)
    )
    anchors = model.anchor_generator(maps)
    with torch.no_grad():
        decoded = [
            model.box2box_transform.apply_deltas(part, each.tensor) for part, each in zip(deltas, anchors, strict=True)
        ]
        candidates = Boxes(torch.cat(decoded))
        candidates.clip(frame.resized_size)
        place = int(pairwise_iou(box, candidates)[0].argmax())
    level = int((torch.tensor([len(each) for each in anchors]).cumsum(0) <= place).sum())
    logit = torch.cat(logits)[place, class_index]
    probability = float(logit.detach().sigmoid())
    if isinstance(model, FCOS):  # its scores weigh the class by how central the place is
        centre = torch.cat([permute_to_N_HWA_K(each, 1)[0, :, 0] for each in predictions[2]])[place]
        probability = float((logit.sigmoid() * centre.sigmoid()).detach().sqrt())
    return BoxScore(logit, probability, str(model.head_in_features[level]))
