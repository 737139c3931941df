"""Every stage between a place and a detection of a dense detector, as plain arrays.

A *place* is where a dense detector names a class and a box: an anchor of RetinaNet, a location of FCOS. It goes by its
row, with all levels laid end to end. Boxes are `(x1, y1, x2, y2)` in pixels of the resized input, the model's frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np

from explorer.autopsy.chain import Chain
from explorer.autopsy.family import Trace, View
from explorer.autopsy.findings import Box
from explorer.autopsy.frame import Resizing
from explorer.autopsy.selection import Pair
from explorer.types import Bools, Floats, Floats32, Ints


@dataclass(frozen=True)
class DenseLimits:
    """What a candidate must pass, in the order in which the detectors ask at test time.

    Attributes:
        threshold: what its score must exceed.
        of_class_score: whether its class score is what is compared with that threshold, whatever its centerness.
        pre_nms_topk: boxes of each level that reach the NMS, by score.
        nms_iou: a box that overlaps a better one of its class by more is suppressed.
        detections: boxes of all classes together that become detections.
    """

    threshold: float
    of_class_score: bool
    pre_nms_topk: int
    nms_iou: float
    detections: int


@dataclass(frozen=True)
class DenseExceptions:
    """What is let through against the rules, to see what becomes of it; nothing by default.

    Attributes:
        declared: `(place, class)` whose class score is 1.
        central: places whose centerness is 1.
        moved: places, and the boxes that they have instead of their own.
        extra: boxes, and their classes, that a place more than there are is sure of.
        spared: `(place, class)` that no other suppresses.
    """

    declared: tuple[Pair, ...] = ()
    central: tuple[int, ...] = ()
    moved: tuple[tuple[int, Box], ...] = ()
    extra: tuple[tuple[Box, int], ...] = ()
    spared: tuple[Pair, ...] = ()


@dataclass(frozen=True, eq=False)
class Places:
    """What the head says at each of `N` places, for `K` classes.

    Attributes:
        levels: `(N,)` position in the detector's level names, ascending.
        anchors_xyxy: `(N, 4)` the anchors; of locations, their cells.
        class_scores: `(N, K)` probabilities.
        centerness: `(N,)` in [0, 1]; None without.
        scores: `(N, K)` the class scores; with centerness, their geometric mean with it.
        boxes_xyxy: `(N, 4)`; they may reach out of the image.
    """

    levels: Ints
    anchors_xyxy: Floats32
    class_scores: Floats32
    centerness: Floats32 | None
    scores: Floats32
    boxes_xyxy: Floats32

    def by_level(self) -> Iterator[tuple[int, int]]:
        """Yields the first row of each level, and the one after its last."""
        return pairwise([0, *(np.flatnonzero(np.diff(self.levels)) + 1).tolist(), len(self.levels)])

    def rank_of(self, pair: Pair) -> int:
        """The rank, from 1, that its score has among all of its level."""
        level = int(self.levels[pair[0]])
        first, last = np.searchsorted(self.levels, [level, level + 1])
        return 1 + int((self.scores[first:last] > self.scores[pair]).sum())


class Assignment(Protocol):
    """A detector's own rule by which places learn objects, for one image."""

    def objects_of(self, boxes_xyxy: Floats) -> Ints:
        """Returns the object, a row of `(G, 4)` boxes, that each of `(N,)` places learns; -1 for none."""

    def levels_of(self, boxes_xyxy: Floats) -> Ints:
        """Returns the level, a position in the detector's level names, that answers for each of `(G, 4)` boxes."""


@dataclass(frozen=True, eq=False)
class DenseView(View):
    """What the network makes of one image before any box is chosen.

    Attributes:
        places: what the head says.
        assignment: which place answers for which object.
    """

    places: Places
    assignment: Assignment


@dataclass(frozen=True, eq=False)
class DenseTrace(Trace):
    """One image's way through a dense detector.

    Attributes:
        limits: what the candidates had to pass.
        view: what the network makes of the image.
        chain: the detector's stages.
        level_names: the detector's.
        places: what the head says, exceptions made.
        over: `(P, 2)` place and class of all above the threshold; those in the selection are their level's best.
    """

    limits: DenseLimits
    view: DenseView
    chain: Chain
    level_names: tuple[str, ...]
    places: Places
    over: Ints

    @property
    def frame(self) -> Resizing:
        return self.view.frame

    @cached_property
    def boxes_xyxy(self) -> Floats32:
        """`(N, 4)` in the frame of the original image."""
        return self.frame.to_original(self.places.boxes_xyxy)

    def topk_needed(self, pair: Pair) -> int:
        """How many of its level must go on for this one to be among them, with all of equal score."""
        levels = self.places.levels
        own = self.over[levels[self.over[:, 0]] == levels[pair[0]]]
        return int((self.places.scores[tuple(own.T)] >= self.places.scores[pair]).sum())

    def sure(self, class_scores: Floats32) -> Bools:
        """Says which class scores exceed the threshold, or would with a centerness of 1."""
        squared = self.limits.of_class_score or self.places.centerness is None
        scores = class_scores if squared else np.sqrt(class_scores)
        return scores > np.float32(self.limits.threshold)
