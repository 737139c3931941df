"""The same trained detector used otherwise: larger input, more boxes, slices, flips. Nothing here is trained again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNN, GeneralizedRCNNWithTTA
from detectron2.modeling.proposal_generator import RPN

from explorer.engine.detector import Detector
from explorer.engine.loading import detection_limit
from explorer.engine.prediction import to_detections
from explorer.engine.windows import OVERLAP, Slices
from explorer.types import Detections, Pixels

MORE_DETECTIONS = 300


@dataclass(frozen=True)
class Variant:
    """A way to use a detector.

    Attributes:
        name: for tables.
        says: what is done, in one sentence.
        detect: from an image `(height, width, 3)`, uint8, BGR, to its detections.
    """

    name: str
    says: str
    detect: Callable[[Pixels], Detections]

    def timed(self, image_bgr: Pixels) -> tuple[Detections, float]:
        """Detects, and says how many seconds that took."""
        start = time.perf_counter()
        found = self.detect(image_bgr)
        return found, time.perf_counter() - start


def as_is(detector: Detector) -> Variant:
    """The detector as its config has it."""
    return Variant("as it is", "The model as its config has it.", lambda image: detector.detect(image).detections)


def larger_input(detector: Detector, factor: float = 1.5) -> Variant:
    """The detector on images resized to `factor` times its config's size.

    Raises:
        ValueError: the factor is not above 0.
    """
    size = detector.model_input
    if factor <= 0:
        raise ValueError(f"The input of {detector.name} cannot be enlarged {factor} times.")
    if size.min_size:
        enlarged = replace(size, min_size=round(size.min_size * factor), max_size=round(size.max_size * factor))
        words = f"The shorter side is resized to {enlarged.min_size} px instead of {size.min_size}."
    else:
        enlarged = replace(size, zoom=size.zoom * factor)
        words = f"Photographs are taken at {enlarged.zoom:g} times their own size instead of {size.zoom:g} times."
    larger = replace(detector, model_input=enlarged)
    return Variant(f"input × {factor:g}", words, lambda image: larger.detect(image).detections)


def more_boxes(detector: Detector, factor: int = 4, detections: int = MORE_DETECTIONS) -> Variant:
    """The detector with `factor` times as many RPN proposals, and up to `detections` boxes per image.

    Raises:
        ValueError: it has no region proposals.
    """
    _check_two_stages(detector)

    def detect(image: Pixels) -> Detections:
        with _limits(detector.model, factor, detections):
            return detector.detect(image).detections

    words = f"{factor} times as many boxes enter and leave the RPN, and an image may have {detections} detections."
    return Variant(f"proposals × {factor}", words, detect)


def flipped(detector: Detector) -> Variant:
    """The detector on the image and on its mirror image, boxes of both together, classified once more on both.

    Raises:
        ValueError: it is no two-stage detector with a yaml config.

    Source: detectron2's `GeneralizedRCNNWithTTA`.
    """
    _check_two_stages(detector)
    if not isinstance(detector.cfg, CfgNode):
        raise ValueError(f"{detector.name} has a LazyConfig; flips need a YAML config.")
    size = detector.model_input
    if size.zoom != 1:
        raise ValueError(
            f"{detector.name} takes photographs at {size.zoom:g} times their size; flips take them as they are."
        )
    cfg = detector.cfg.clone()
    cfg.defrost()
    cfg.TEST.AUG.MIN_SIZES, cfg.TEST.AUG.MAX_SIZE, cfg.TEST.AUG.FLIP = (size.min_size,), size.max_size, True
    model = GeneralizedRCNNWithTTA(cfg, detector.model, batch_size=1)

    def detect(image: Pixels) -> Detections:
        model.cfg.TEST.DETECTIONS_PER_IMAGE = detection_limit(detector.model)  # which may be raised for a protocol
        with torch.no_grad():
            (output,) = model([{"image": size.as_tensor(image), "height": image.shape[0], "width": image.shape[1]}])
        return to_detections(output["instances"], detector.class_names)

    return Variant("flips", "Detections in the image and in its mirror image, merged.", detect)


def sliced(detector: Detector, parts: int = 2) -> Variant:
    """The detector on overlapping slices of the image and on the whole, merged.

    Each slice is resized to the model's input like an image, so small objects come to it larger. Masks are left out.

    Args:
        detector: any.
        parts: slices along each side.

    Raises:
        ValueError: fewer than two parts.
    """
    cut = replace(detector, cut=Slices(parts))
    words = f"{parts} × {parts} slices with {100 * OVERLAP:g} % overlap and the whole image, merged by NMS."
    return Variant(f"{parts} × {parts} slices", words, lambda image: cut.detect(image).detections)


def tiled(detector: Detector, size: int, overlap: float = OVERLAP) -> Variant:
    """The detector on tiles of a fixed size and on the whole image; see `Detector.with_tiles`.

    Raises:
        ValueError: there are no such tiles.
    """
    cut = detector.with_tiles(size, overlap)
    words = f"Tiles of {size} px with {100 * overlap:g} % overlap and the whole image, merged by NMS."
    return Variant(f"tiles of {size} px", words, lambda image: cut.detect(image).detections)


def _check_two_stages(detector: Detector) -> None:
    if not (isinstance(detector.model, GeneralizedRCNN) and isinstance(detector.model.proposal_generator, RPN)):
        raise ValueError(
            f"{detector.name} is a {type(detector.model).__name__} without region proposals: "
            "take a Faster or Mask R-CNN."
        )


@contextmanager
def _limits(model: Any, factor: int, detections: int) -> Iterator[None]:
    """Raises a two-stage model's limits inside the block."""
    rpn, head = model.proposal_generator, model.roi_heads.box_predictor
    known = rpn.pre_nms_topk, rpn.post_nms_topk, head.test_topk_per_image
    try:
        for name in ("pre_nms_topk", "post_nms_topk"):
            topk = getattr(rpn, name)
            setattr(rpn, name, {**topk, False: factor * topk[False]})
        head.test_topk_per_image = max(detections, head.test_topk_per_image)
        yield
    finally:
        rpn.pre_nms_topk, rpn.post_nms_topk, head.test_topk_per_image = known
