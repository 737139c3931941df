"""What would have saved an object: the one stage that lost it is relaxed, nothing else, and the image tried again.

How a stage is relaxed, for as much as the object's best candidate needs, is its family's to say
(`explorer.autopsy.two_stage.relax`, `explorer.autopsy.dense.relax`). Of an object whose detection is taken by another
one, that other object is left out, in every family.

The verdict on an object is *confirmed* if it gets past the stage that had lost it. Objects often have more than one
fault: one that is *found* had no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from explorer.autopsy.dissection import Dissection
from explorer.autopsy.findings import Finding
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


def verifications(findings: Iterable[Finding]) -> dict[Verdict, Verification]:
    """Counts, for each verdict that was tried again, how many objects the relaxed stage gave back."""
    tried: dict[Verdict, Counter[Verdict]] = {}
    for finding in sorted(findings, key=lambda finding: finding.verdict):
        if finding.after is not None:
            tried.setdefault(finding.verdict, Counter())[finding.after] += 1
    return {verdict: Verification(verdict, after) for verdict, after in tried.items()}
