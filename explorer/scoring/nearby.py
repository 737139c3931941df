"""Overlaps of one box with very many: exact, and fast because it looks only where an overlap can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from explorer.types import Floats, Ints

_SLACK_PX = 1e-3
_TRIES = (0.5, 0.2, 0.05)


def ious_with(box_xyxy: npt.NDArray[np.floating], boxes_xyxy: npt.NDArray[np.floating]) -> Floats:
    """Returns the IoUs `(N,)` of a box `(4,)` with boxes `(N, 4)`; 0 with an empty box."""
    box, boxes = np.asarray(box_xyxy, dtype=np.float64), np.asarray(boxes_xyxy, dtype=np.float64)
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    overlaps = np.clip(sides, 0, None).prod(axis=1)
    unions = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - overlaps
    ious: Floats = np.divide(overlaps, unions, out=np.zeros_like(overlaps), where=overlaps > 0)
    return ious


class BoxIndex:
    """Boxes sorted by their centres, so that those on an object are found without looking at all.

    A box whose IoU with an object `a` pixels wide is at least `t` has its centre within `a * (1 - t) / 2t` of the
    object's, for the IoU of two boxes is at most that of their extents along either axis, and two extents of equal IoU
    are farthest apart where one holds the other at its end.
    """

    def __init__(self, boxes_xyxy: npt.NDArray[np.floating]) -> None:
        """Sorts boxes `(N, 4)`."""
        self._boxes = boxes_xyxy
        centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
        self._order = np.argsort(centres[:, 0])
        self._x, self._y = centres[self._order].T

    def near(self, box_xyxy: Floats, least_iou: float) -> tuple[Ints, Floats]:
        """Returns the rows of all boxes whose IoU with `box_xyxy` is at least `least_iou`, above 0, and those IoUs."""
        x, y = (box_xyxy[:2] + box_xyxy[2:]) / 2
        reach_x, reach_y = (box_xyxy[2:] - box_xyxy[:2]) * (1 - least_iou) / (2 * least_iou) + _SLACK_PX
        first, last = np.searchsorted(self._x, [x - reach_x, x + reach_x])
        rows = self._order[first:last][np.abs(self._y[first:last] - y) <= reach_y]
        ious = ious_with(box_xyxy, self._boxes[rows])
        over = ious >= least_iou
        return rows[over], ious[over]

    def best_iou(self, box_xyxy: Floats) -> float:
        """Returns the highest IoU that any of the boxes has with `box_xyxy`."""
        for least in _TRIES:
            _, ious = self.near(box_xyxy, least)
            if len(ious):
                return float(ious.max())
        return float(ious_with(box_xyxy, self._boxes).max(initial=0))
