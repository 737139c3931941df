"""What a detector says about one image: detectron2's output as our own results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from detectron2.structures import Instances

from explorer.data.masks import Rle, encode_masks
from explorer.engine.draw import picture_of
from explorer.engine.pasting import PastedMasks
from explorer.types import Detections, Panoptic, Pixels, Timing

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from PIL import Image


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The output of a detector for one image, in the frame of the original image.

    Attributes:
        detections: the detected objects, best first.
        panoptic: the panoptic segmentation; None unless the model is panoptic.
        timing: seconds by stage.
    """

    detections: Detections
    panoptic: Panoptic | None
    timing: Timing

    def __repr__(self) -> str:
        return f"<Prediction: {self.detections!r}, {self.timing.total_s:.2f} s>"

    def draw(self, image: Pixels | str | Path | None = None, *, labels: bool = True, caption: str = "") -> Image.Image:
        """Draws the objects, or a panoptic model's segments; arguments and errors are those of `Detections.draw`."""
        return picture_of(image, self.detections, self.panoptic, labels=labels, caption=caption)

    def figure(self, image: Pixels | str | Path | None = None) -> go.Figure:
        """Draws the boxes over the image with Plotly; see `Detections.figure`."""
        return self.detections.figure(image)

    def to_dict(self) -> dict[str, Any]:
        """Returns the detections, panoptic segments without their pixels, and seconds by stage as plain data."""
        segments = None if self.panoptic is None else [dict(segment) for segment in self.panoptic.segments]
        return {**self.detections.to_dict(), "segments": segments, "stages_s": dict(self.timing.stages_s)}

    def to_pandas(self) -> pd.DataFrame:
        """Returns one row per detection; see `Detections.to_pandas`."""
        return self.detections.to_pandas()

    def _repr_html_(self) -> str:
        return self.detections._repr_html_()


def to_detections(instances: Instances, class_names: tuple[str, ...]) -> Detections:
    """Turns detectron2's instances of one image, in its original frame, into `Detections`, best first."""
    instances = instances.to("cpu")
    order = torch.argsort(instances.scores, descending=True, stable=True)
    instances = instances[order]
    boxes = instances.pred_boxes.tensor.numpy()
    masks: tuple[Rle, ...] | None = None
    if instances.has("pred_masks"):
        pasted = instances.pred_masks
        masks = pasted.encoded() if isinstance(pasted, PastedMasks) else tuple(encode_masks(pasted.numpy(), boxes))
    height, width = instances.image_size
    return Detections(
        boxes_xyxy=boxes,
        scores=instances.scores.numpy(),
        classes=instances.pred_classes.numpy(),
        class_names=class_names,
        image_size=(int(height), int(width)),
        masks=masks,
        mask_scores=instances.mask_scores.numpy() if instances.has("mask_scores") else None,
    )


def to_panoptic(
    segment_ids: torch.Tensor,
    segments: Sequence[Mapping[str, Any]],
    class_names: tuple[str, ...],
    stuff_class_names: tuple[str, ...],
) -> Panoptic:
    """Turns detectron2's panoptic output of one image, in its original frame, into `Panoptic`."""
    named = []
    for segment in segments:
        names = class_names if segment["isthing"] else stuff_class_names
        info = {
            "id": int(segment["id"]),
            "category": names[segment["category_id"]],
            "is_thing": bool(segment["isthing"]),
        }
        named.append(info | ({"score": float(segment["score"])} if segment["isthing"] else {}))
    return Panoptic(segment_ids.cpu().numpy().astype(np.int32), tuple(named))
