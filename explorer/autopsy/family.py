"""What a kind of detector brings to the autopsy: how it is followed, and what its stages tell of an object.

`explorer.autopsy.families` lists those that there are; all else is shared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from explorer.autopsy.chain import Chain
from explorer.autopsy.findings import Box, Finding, Results, Suppressor
from explorer.autopsy.frame import Resizing
from explorer.autopsy.objects import Objects
from explorer.autopsy.selection import Pair, Selection
from explorer.autopsy.verdicts import Verdict
from explorer.engine.detector import Detector
from explorer.types import Detections, Pixels

Kind = Literal["object", "anchor", "location", "RPN's box", "proposal", "candidate", "detection", "suppressor"]


@dataclass(frozen=True)
class DecidingBox:
    """A box that had a part in an object's fate.

    Attributes:
        kind: what it is.
        words: what to know of it.
        box_xyxy: pixels of the original image; anchors may reach out of it.
    """

    kind: Kind
    words: str
    box_xyxy: Box


@dataclass(frozen=True)
class Death:
    """Where an object's last candidate died, and which it was.

    Attributes:
        verdict: where.
        anchor: row of the anchor or location that the candidate comes from; None where there is none.
        pair: row and class of the candidate, where it reached a head that names classes.
    """

    verdict: Verdict
    anchor: int | None = None
    pair: Pair | None = None


@dataclass(frozen=True)
class Relaxation:
    """One stage, relaxed for as much as one candidate needs.

    Attributes:
        words: what is relaxed, as part of a sentence: "the pre-NMS top-k is raised from 500 to 612".
        options: `limits` or `exceptions` for the tracer's `follow`.
    """

    words: str
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class View:
    """What a network makes of one image before any box is chosen; each family adds its own."""

    frame: Resizing


@dataclass(frozen=True, eq=False)
class Trace(ABC):
    """One image's way through a detector; each family adds its own stages.

    Attributes:
        limits: what the candidates had to pass.
        selection: what became of the boxes above the threshold.
        detections: what the model reports, in the frame of the original image; without masks.
    """

    limits: Any
    selection: Selection
    detections: Detections

    @property
    @abstractmethod
    def frame(self) -> Resizing:
        """The image's."""

    def suppressor(self, death: Death) -> Suppressor | None:
        """What suppressed a candidate in the final NMS; None where it did not die there."""
        if death.verdict != Verdict.FINAL_NMS or death.pair is None:
            return None
        rival = self.selection.suppressor_of(self.selection.row_of(death.pair))
        box = self.frame.to_original(self.selection.boxes_xyxy[rival])
        return Suppressor(corners(box), float(self.selection.scores[rival]))


class Trails(ABC):
    """What the stages of one trace tell of each object."""

    @abstractmethod
    def level(self, row: int) -> int:
        """Position in the detector's level names of the level that answers for an object of this size."""

    @abstractmethod
    def anchor_of(self, place: int) -> int | None:
        """Row of the anchor or location that a candidate of the selection comes from; None where there is none."""

    @abstractmethod
    def death(self, row: int) -> Death:
        """Where the object's last candidate died; `Verdict.TAKEN` for what became a detection."""

    @abstractmethod
    def results(self, row: int, death: Death) -> Results:
        """What the stages had for the object."""

    @abstractmethod
    def relaxation(self, row: int, death: Death) -> Relaxation:
        """What would let the candidate through where it died; not for `Verdict.TAKEN`."""

    @abstractmethod
    def boxes(self, row: int, death: Death, class_names: tuple[str, ...]) -> Iterator[DecidingBox]:
        """Yields the boxes that decided about the object before the selection, in the detector's order."""

    @abstractmethod
    def sentences(self, row: int, finding: Finding, class_names: tuple[str, ...]) -> Iterator[str]:
        """Tells the object's way through the detector, up to where it ends."""


class Tracer(ABC):
    """Follows images through one detector.

    `tracer(image)` gives the trace. In two steps, `tracer.follow(tracer.look(image), limits, exceptions)`, the same
    view can be followed again under other limits, or with exceptions, without running the network again.

    Attributes:
        says: which detectors the family follows, in words.
        chain: its stages.
        level_names: the feature maps that answer for objects first, finest first.
        limits: those of the model.
        score_threshold: the model's own, which scores must exceed to become detections.
    """

    says: ClassVar[str]
    chain: Chain
    level_names: tuple[str, ...]
    limits: Any
    score_threshold: float

    @classmethod
    @abstractmethod
    def fits(cls, detector: Detector) -> bool:
        """Whether the detector has these stages, and no others."""

    @abstractmethod
    def look(self, image_bgr: Pixels) -> Any:
        """Runs the network on one image, `(height, width, 3)` uint8, BGR, upright, up to where boxes are chosen."""

    @abstractmethod
    def follow(self, view: Any, limits: Any = None, exceptions: Any = None, *, known: Any = None) -> Trace:
        """Follows a view to the detections.

        Args:
            view: from this tracer's `look`.
            limits: what candidates must pass; `self.limits` where None.
            exceptions: what is let through against the rules; nothing where None.
            known: an earlier trace of this view, whose answers need not be asked for again.
        """

    @abstractmethod
    def trails(self, trace: Any, objects: Objects, iou: float) -> Trails:
        """Looks for the objects' candidates in a trace of this tracer's: boxes on them, from this IoU up."""

    def __call__(self, image_bgr: Pixels) -> Trace:
        """Follows one image."""
        return self.follow(self.look(image_bgr))


def corners(box_xyxy: npt.NDArray[np.floating]) -> Box:
    """A box `(4,)` as plain numbers."""
    x1, y1, x2, y2 = box_xyxy.tolist()
    return x1, y1, x2, y2
