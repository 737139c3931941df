"""The two frames of an image: the original's pixels, and those of the resized input, which is the model's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.types import Floats, Floats32


@dataclass(frozen=True)
class Resizing:
    """How an image was resized.

    Attributes:
        image_size: `(height, width)` of the original image.
        input_size: `(height, width)` of the resized one, without padding.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]

    def to_original(self, boxes_xyxy: Floats32) -> Floats32:
        """Takes boxes `(…, 4)` to the frame of the original image, bit by bit as detectron2's postprocessing does."""
        (height, width), (input_height, input_width) = self.image_size, self.input_size
        boxes = boxes_xyxy.copy()
        boxes[..., 0::2] *= width / input_width
        boxes[..., 1::2] *= height / input_height
        clipped: Floats32 = np.clip(boxes, 0, np.array([width, height] * 2, dtype=boxes.dtype))
        return clipped

    def to_input(self, boxes_xyxy: npt.NDArray[np.floating]) -> Floats:
        """Takes boxes `(…, 4)` from the frame of the original image to the resized input's; does not clip."""
        (height, width), (input_height, input_width) = self.image_size, self.input_size
        scale = np.array([input_width / width, input_height / height] * 2)
        scaled: Floats = np.asarray(boxes_xyxy, dtype=np.float64) * scale
        return scaled

    def clipped_to_input(self, box_xyxy: npt.NDArray[np.floating]) -> tuple[float, float, float, float]:
        """Takes a box `(4,)` of the original image to the resized input's frame, within the image."""
        height, width = self.input_size
        x1, y1, x2, y2 = np.clip(self.to_input(box_xyxy), 0, [width, height, width, height]).tolist()
        return x1, y1, x2, y2

    def unclipped(self, boxes_xyxy: Floats32) -> Floats:
        """Takes boxes `(…, 4)` to the frame of the original image; anchors may reach out of it."""
        unclipped: Floats = boxes_xyxy / self.to_input(np.ones(4))
        return unclipped
