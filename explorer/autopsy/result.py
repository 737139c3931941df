"""What an autopsy says of the objects of a data set: a finding for each, and what they come to by verdict and size.

Whoever reports an autopsy imports this alone, and with it neither torch nor detectron2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from explorer.autopsy.chain import Chain
from explorer.autopsy.findings import Finding
from explorer.autopsy.verdicts import Verdict, judged
from explorer.data.ids import Ids
from explorer.scoring.matching import Matches
from explorer.scoring.outcomes import OperatingPoint, object_scores
from explorer.scoring.sizes import COCO_BINS, SizeBin
from explorer.types import Floats, Ints


@dataclass(frozen=True)
class Verification:
    """How the objects of one verdict fared when tried again.

    Attributes:
        verdict: where they were lost.
        after: by where they are lost with that stage relaxed, or found: how many.
    """

    verdict: Verdict
    after: Mapping[Verdict, int]

    @property
    def lost(self) -> int:
        """How many were lost there."""
        return sum(self.after.values())

    @property
    def confirmed(self) -> int:
        """Of these, how many got past the stage once it was relaxed."""
        return sum(number for after, number in self.after.items() if after > self.verdict)

    @property
    def found(self) -> int:
        """How many were found by that alone."""
        return self.after.get(Verdict.FOUND, 0)


@dataclass(frozen=True)
class SizeGroup:
    """How the objects of one size fared.

    Attributes:
        bin: the size.
        counts: objects by verdict; those of the detector's chain and crowds, in its order.
    """

    bin: SizeBin
    counts: Mapping[Verdict, int]

    @property
    def objects(self) -> int:
        """All but crowds."""
        return sum(self.counts.values()) - self.counts[Verdict.CROWD]


@dataclass(frozen=True, eq=False)
class Autopsy:
    """What became of every object of a data set; rows are those of the `Truth` that it was made with.

    Attributes:
        model: the detector's name.
        chain: the stages of its kind.
        score_threshold: the model's own, which scores must exceed to become detections.
        point: what counts as found: the IoU from which a box is on an object, and the score from which it is found.
        class_names: by class row.
        level_names: the feature maps, by `Finding.fpn_level`.
        image_ids: `(G,)`, COCO's id of the image of each object, as the file has it.
        ids: `(G,)`, COCO's annotation ids.
        classes: `(G,)` int64, class row.
        areas_px: `(G,)` float64, COCO's areas, which decide sizes.
        boxes_xywh: `(G, 4)` float64, original-image frame.
        findings: one per object. `taker` is a row here; `Said.class_index` a class row, `len(class_names)` for
            background and one more for a class of the model's that the data does not have.
    """

    model: str
    chain: Chain
    score_threshold: float
    point: OperatingPoint
    class_names: tuple[str, ...]
    level_names: tuple[str, ...]
    image_ids: Ids
    ids: Ids
    classes: Ints
    areas_px: Floats
    boxes_xywh: Floats
    findings: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def verdicts(self) -> Ints:
        """`(G,)` numbers of `Verdict`."""
        return np.array([finding.verdict for finding in self.findings], dtype=np.int64)

    @property
    def held_back_by_centerness(self) -> int:
        """How many of the objects scored below the threshold would reach it with a centerness of 1; 0 without FCOS."""
        said = [finding.results.said for finding in self.findings if finding.verdict == Verdict.LOW_SCORE]
        return sum(
            own is not None and own.centerness is not None and own.own_probability**0.5 >= self.point.score
            for own in said
        )

    @property
    def ends(self) -> tuple[Verdict, ...]:
        """What can become of an object in this kind of detector, in its order; crowds last."""
        return (*self.chain.verdicts, Verdict.CROWD)

    def judged_by(self, matches: Matches, point: OperatingPoint) -> Autopsy:
        """Lets the detections of a run of this model say what is found; any score can follow another.

        Args:
            matches: of the run's boxes.
            point: what counts as found.

        Raises:
            ValueError: the run is on other objects, or boxes are on objects from another IoU on.
        """
        if self.ids.tolist() != matches.run.truth.ids.tolist():
            raise ValueError(
                f"the autopsy is of {len(self)} objects, {matches.run.name} was run on {len(matches.run.truth)}: "
                "make it again with `explorer autopsy`"
            )
        if self.point.iou != point.iou:
            raise ValueError(
                f"the autopsy has boxes on objects from IoU {self.point.iou:g}, {point.iou:g} is asked for: "
                f"make it again with `explorer autopsy --iou {point.iou:g}`"
            )
        scores = object_scores(matches, point.iou)
        verdicts = map(Verdict, judged(self.verdicts, scores, point.score).tolist())
        scored = ~matches.unscored
        findings = tuple(
            replace(
                finding,
                verdict=verdict,
                score=None if np.isnan(score) else score,
                after=finding.after if verdict < Verdict.NOT_IN_RUN and counts else None,
            )
            for finding, verdict, score, counts in zip(
                self.findings, verdicts, scores.tolist(), scored.tolist(), strict=True
            )
        )
        return replace(self, point=point, findings=findings)

    def by_size(self, bins: Sequence[SizeBin] = COCO_BINS) -> tuple[SizeGroup, ...]:
        """Counts verdicts by object size."""
        groups = []
        for size in bins:
            counts = np.bincount(self.verdicts[size.names(self.areas_px)], minlength=len(Verdict))
            groups.append(SizeGroup(size, {verdict: int(counts[verdict]) for verdict in self.ends}))
        return tuple(groups)

    @cached_property
    def verification(self) -> Mapping[Verdict, Verification]:
        """How lost objects fared when only the stage that lost them was relaxed; empty where that was not tried."""
        return verifications(self.findings)


def verifications(findings: Iterable[Finding]) -> dict[Verdict, Verification]:
    """Counts, for each verdict that was tried again, how many objects the relaxed stage gave back."""
    tried: dict[Verdict, Counter[Verdict]] = {}
    for finding in sorted(findings, key=lambda finding: finding.verdict):
        if finding.after is not None:
            tried.setdefault(finding.verdict, Counter())[finding.after] += 1
    return {verdict: Verification(verdict, after) for verdict, after in tried.items()}
