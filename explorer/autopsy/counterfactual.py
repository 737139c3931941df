"""What would have saved an object: the one stage that lost it is relaxed, nothing else, and the image tried again.

How a stage is relaxed, for as much as the object's best candidate needs, is its family's to say
(`explorer.autopsy.two_stage.relax`, `explorer.autopsy.dense.relax`). Of an object whose detection is taken by another
one, that other object is left out, in every family.

The verdict on an object is *confirmed* if it gets past the stage that had lost it. Objects often have more than one
fault: one that is *found* had no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.autopsy.dissection import Dissection
from explorer.autopsy.verdicts import Verdict


@dataclass(frozen=True)
class Retrial:
    """What became of a missed object once the stage that lost it was relaxed.

    Attributes:
        before: where it was lost.
        after: where it is lost now, or that it is found, at whatever score.
        change: what was relaxed, in words.
    """

    before: Verdict
    after: Verdict
    change: str


def try_again(view: object, dissection: Dissection, row: int) -> Retrial:
    """Relaxes the stage that lost an object.

    Args:
        view: the image, as the dissection's tracer looked at it.
        dissection: of the trace of that view.
        row: the object, as a row of the dissection's.

    Raises:
        ValueError: the object is found, or a crowd.
    """
    finding, trace, objects = dissection.finding(row), dissection.trace, dissection.objects
    if not finding.verdict.is_miss:
        raise ValueError(f"Object {row} is not missed: {finding.verdict.label}.")
    if finding.verdict == Verdict.TAKEN and finding.taker is not None:
        again = dissection.of(trace, objects.without(finding.taker))
        after = again.finding(row - (finding.taker < row)).verdict
        return Retrial(finding.verdict, after, "the object that took the detection is not there")
    relaxed = dissection.trails.relaxation(row, dissection.death(row))
    again = dissection.of(dissection.tracer.follow(view, known=trace, **relaxed.options), objects)
    return Retrial(finding.verdict, again.finding(row).verdict, relaxed.words)
