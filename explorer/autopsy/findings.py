"""What an autopsy finds on one object: a verdict, and one small result for each stage that the object reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from explorer.autopsy.verdicts import Verdict

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Best:
    """The best that a stage had for an object.

    Attributes:
        iou: the highest of its boxes, whatever their score; None where the stage has no boxes.
        score: the highest of those on the object; None where none is.
        rank: the place of that one in its level by score, from 1.
    """

    iou: float | None
    score: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Said:
    """What the head says of the candidate that got furthest.

    Attributes:
        class_index: what it most likely is; the number of classes means background, which dense detectors never say.
        probability: of that class.
        own_probability: of the object's class.
        centerness: FCOS's, in [0, 1]; None elsewhere.
    """

    class_index: int
    probability: float
    own_probability: float
    centerness: float | None = None


@dataclass(frozen=True)
class Suppressor:
    """What suppressed the candidate that got furthest.

    Attributes:
        box_xyxy: in the frame of the original image.
        score: the detector's; in the RPN, its objectness.
    """

    box_xyxy: Box
    score: float


@dataclass(frozen=True)
class Results:
    """What the stages had for one object, as far as its candidates got.

    Attributes:
        best: by stage, in the detector's order.
        said: of the candidate that got furthest, where it reached a head that names classes.
        suppressor: where it was suppressed.
    """

    best: Mapping[str, Best] = field(default_factory=dict)
    said: Said | None = None
    suppressor: Suppressor | None = None


@dataclass(frozen=True)
class Finding:
    """What the autopsy finds on one object.

    Attributes:
        verdict: where the object was lost, or that it was found; in a `Dissection`, at whatever score.
        fpn_level: position in the detector's level names of the level that answers for an object of this size.
        results: of the stages; empty for crowds.
        score: of the detection that has it, in an `Autopsy` of the run's; None where none has.
        taker: row of the object that took its best detection; in an `Autopsy`, a row of the truth.
        after: where it is lost once the stage that had lost it is relaxed; None where that was not tried.
    """

    verdict: Verdict
    fpn_level: int
    results: Results = Results()
    score: float | None = None
    taker: int | None = None
    after: Verdict | None = None
