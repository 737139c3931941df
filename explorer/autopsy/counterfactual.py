"""What would have saved an object: the one stage that lost it is relaxed, nothing else, and the image tried again.

| lost at | what is relaxed |
| --- | --- |
| no anchor fits, no proposal on the object | the object's own box joins the proposals |
| below the pre-NMS top-k, the post-NMS top-k, the detections-per-image limit | raised until its best candidate is in |
| too small a box for the RPN | no least size |
| suppressed in RPN NMS, in final NMS | its best candidate is spared |
| box head says background, says another class | the head is sure that its best candidate is of its class |
| box regressed away | its best candidate keeps the proposal's box |
| below the model's own threshold | lowered until its best candidate exceeds it |
| taken by another object | the other object is not there |

Objects often have more than one fault. One that is *recovered* gets past the stage that had lost it; one that is
*found* had no other fault. Relaxed on and on, stage after stage, each object has as many faults as it takes to find it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.autopsy.dissection import Dissection, Objects
from explorer.autopsy.examine import Progress, class_indices_of, objects_in, read_checked
from explorer.autopsy.stages import Exceptions
from explorer.autopsy.verdicts import Verdict
from explorer.scoring.columns import Truth

_NO_EXCEPTIONS = Exceptions()

if TYPE_CHECKING:
    from explorer.autopsy.stages import Limits
    from explorer.autopsy.trace import Tracer, View
    from explorer.engine.detector import Detector


@dataclass(frozen=True)
class Retrial:
    """What became of a missed object once the stage that lost it was relaxed.

    Attributes:
        row: the object; a row of the truth.
        before: where it was lost.
        after: where it is lost now, or that it is found.
        change: what was relaxed, in words.
    """

    row: int
    before: Verdict
    after: Verdict
    change: str

    @property
    def is_recovered(self) -> bool:
        """Whether it gets past the stage that had lost it."""
        return self.after > self.before

    @property
    def is_found(self) -> bool:
        return self.after == Verdict.FOUND


@dataclass(frozen=True)
class Recovery:
    """How the objects of one verdict fared when tried again.

    Attributes:
        tried: objects.
        recovered: of these, how many got past the stage once it was relaxed.
        found: how many were found by that alone.
        found_at_last: how many were found in as many steps as were allowed.
    """

    tried: int
    recovered: int
    found: int
    found_at_last: int


@dataclass(frozen=True, eq=False)
class _Case:
    """An object in an image, and what has been relaxed for it so far; the limits are in the dissection's trace."""

    tracer: Tracer
    view: View
    dissection: Dissection
    row: int
    exceptions: Exceptions = _NO_EXCEPTIONS

    @property
    def verdict(self) -> Verdict:
        return self.dissection.finding(self.row).verdict

    def with_limits(self, **limits: float) -> _Case:
        return self._again(replace(self.dissection.trace.limits, **limits), self.exceptions)  # type: ignore[arg-type]

    def with_exception(self, kind: str, what: Any) -> _Case:
        """Adds to one of the lists of `Exceptions`."""
        limits = self.dissection.trace.limits
        return self._again(limits, replace(self.exceptions, **{kind: (*getattr(self.exceptions, kind), what)}))

    def without(self, other: int) -> _Case:
        """Takes another object out of the image."""
        old = self.dissection.objects
        kept = np.arange(len(old)) != other
        objects = Objects(old.boxes_xywh[kept], old.classes[kept], old.crowds[kept])
        dissection = Dissection(self.dissection.trace, objects, sorted_by=self.dissection)
        return replace(self, dissection=dissection, row=self.row - (other < self.row))

    def _again(self, limits: Limits, exceptions: Exceptions) -> _Case:
        trace = self.tracer.follow(self.view, limits, exceptions, known=self.dissection.trace.head)
        dissection = Dissection(trace, self.dissection.objects, sorted_by=self.dissection)
        return replace(self, dissection=dissection, exceptions=exceptions)


def try_again(tracer: Tracer, view: View, dissection: Dissection, row: int, *, steps: int = 1) -> tuple[Retrial, ...]:
    """Relaxes the stage that lost an object, for as much as its best candidate needs.

    Args:
        tracer: the detector's.
        view: the image, as the tracer looked at it.
        dissection: of the tracer's trace of that view.
        row: the object, as a row of the dissection's; so is that of the result.
        steps: then relax the stage that loses it now, too, and so on, until it is found or so many were relaxed.

    Returns:
        One retrial per step.

    Raises:
        ValueError: the object is found, or a crowd.
    """
    case = _Case(tracer, view, dissection, row)
    after = case.verdict
    tried: list[Retrial] = []
    if not after.is_miss:
        raise ValueError(f"Object {row} is not missed: {after.label}.")
    for _ in range(steps):
        case, change = _relaxed(case)
        before, after = after, case.verdict
        tried.append(Retrial(row, before, after, change))
        if not after.is_miss:
            break
    return tuple(tried)


def retrials(
    detector: Detector,
    truth: Truth,
    *,
    score_threshold: float | None = None,
    steps: int = 1,
    most_per_verdict: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Retrial, ...]]:
    """Tries the missed objects of a data set again, each by itself; see `try_again`.

    Args:
        detector: a Faster, Mask or Panoptic R-CNN.
        truth: what is there, and the image files.
        score_threshold: a detection's score must exceed this to count; the model's own threshold where None.
        steps: relax at most so many stages, one after the other, until the object is found.
        most_per_verdict: try only the first so many misses of each verdict.
        progress: called after each image.

    Raises:
        ValueError: the detector has other stages, or other classes than the data.
        ImageError: an image cannot be read, or has another size than its annotations say.
    """
    from explorer.autopsy.trace import Tracer

    tracer, class_indices = Tracer(detector, score_threshold=score_threshold), class_indices_of(detector, truth)
    tried: Counter[Verdict] = Counter()
    for image in range(len(truth.image_ids)):
        objects, first = objects_in(truth, image, class_indices), int(np.searchsorted(truth.images, image))
        if len(objects):
            view = tracer.look(read_checked(truth, image))
            dissection = Dissection(tracer.follow(view), objects)
            for row, finding in enumerate(dissection.findings()):
                if finding.verdict.is_miss and tried[finding.verdict] != most_per_verdict:
                    tried[finding.verdict] += 1
                    again = try_again(tracer, view, dissection, row, steps=steps)
                    yield tuple(replace(retrial, row=first + row) for retrial in again)
        if progress:
            progress(image + 1, len(truth.image_ids))


def recovery(tried: Iterable[tuple[Retrial, ...]]) -> Mapping[Verdict, Recovery]:
    """Counts, for each verdict that was met, how many objects the relaxed stages gave back."""
    by_verdict: dict[Verdict, list[tuple[Retrial, ...]]] = {}
    for steps in sorted(tried, key=lambda steps: steps[0].before):
        by_verdict.setdefault(steps[0].before, []).append(steps)
    return {
        verdict: Recovery(
            len(own),
            sum(first.is_recovered for first, *_ in own),
            sum(first.is_found for first, *_ in own),
            sum(steps[-1].is_found for steps in own),
        )
        for verdict, own in by_verdict.items()
    }


def _relaxed(case: _Case) -> tuple[_Case, str]:
    """Relaxes the stage that loses the object, and says so."""
    finding = case.dissection.finding(case.row)
    match finding.verdict:
        case Verdict.NO_ANCHOR | Verdict.NO_PROPOSAL:
            own = case.with_exception("extra_proposals", _clipped(case.dissection, case.row))
            return own, "The object's own box joins the proposals."
        case Verdict.TAKEN:
            return case.without(finding.taker), "The object that took the detection is not there."
    if finding.verdict < Verdict.NO_PROPOSAL:
        return _relaxed_rpn(case, finding.verdict, finding.anchor)
    class_index = int(case.dissection.objects.classes[case.row])
    return _relaxed_head(case, finding.verdict, (finding.proposal, class_index))


def _relaxed_rpn(case: _Case, verdict: Verdict, anchor: int) -> tuple[_Case, str]:
    trace = case.dissection.trace
    limits = trace.limits
    match verdict:
        case Verdict.PRE_NMS_TOPK:
            own = trace.rpn.levels == trace.rpn.levels[anchor]
            needed = int((trace.rpn.logits[own] >= trace.rpn.logits[anchor]).sum())  # with all of equal objectness
            words = f"The pre-NMS top-k is raised from {limits.pre_nms_topk} to {needed}."
            return case.with_limits(pre_nms_topk=needed), words
        case Verdict.TOO_SMALL:
            words = f"The least side of an RPN box is lowered from {limits.min_size_px:g} px to 0."
            return case.with_limits(min_size_px=0.0), words
        case Verdict.RPN_NMS:
            return case.with_exception("spared_anchors", anchor), "The RPN box is not suppressed."
    needed = 1 + int(np.flatnonzero(trace.proposal_stages.kept == anchor)[0])
    words = f"The post-NMS top-k is raised from {limits.post_nms_topk} to {needed}."
    return case.with_limits(post_nms_topk=needed), words


def _relaxed_head(case: _Case, verdict: Verdict, candidate: tuple[int, int]) -> tuple[_Case, str]:
    trace = case.dissection.trace
    limits = trace.limits
    match verdict:
        case Verdict.BACKGROUND | Verdict.OTHER_CLASS:
            words = "The box head is sure that the proposal is of the object's class."
            return case.with_exception("declared", candidate), words
        case Verdict.REGRESSED_AWAY:
            return case.with_exception("unmoved", candidate), "The proposal stays where it is."
        case Verdict.SCORE:
            lower = float(np.nextafter(trace.head.scores[candidate], np.float32(0)))
            words = f"The score threshold is lowered from {limits.score_threshold:g} to {lower:.3g}."
            return case.with_limits(score_threshold=lower), words
        case Verdict.FINAL_NMS:
            return case.with_exception("spared_candidates", candidate), "The box is not suppressed."
    stages = trace.detection_stages
    own = np.flatnonzero((stages.candidates == candidate).all(axis=1))
    needed = 1 + int(np.flatnonzero(stages.kept == own)[0])
    words = f"The limit of detections per image is raised from {limits.detections} to {needed}."
    return case.with_limits(detections=needed), words


def _clipped(dissection: Dissection, row: int) -> tuple[float, ...]:
    """The object's box as a proposal: in the frame of the resized input, within the image."""
    height, width = dissection.trace.input_size
    box = dissection.trace.to_input(dissection.objects.boxes_xyxy[row])
    return tuple(np.clip(box, 0, [width, height, width, height]).tolist())
