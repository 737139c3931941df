"""The flow chart leads every object to its end, and found is no end without its two numbers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from explorer.autopsy.findings import Finding
from explorer.autopsy.result import Autopsy
from explorer.autopsy.two_stage.chain import TWO_STAGE
from explorer.autopsy.verdicts import Verdict
from explorer.figures.autopsy import autopsy_flow
from explorer.scoring.outcomes import OperatingPoint
from explorer.scoring.protocols import SODA


def autopsy_of(verdicts: list[Verdict], sides_px: list[float]) -> Autopsy:
    """Squares of these sides that came to these ends."""
    number = len(verdicts)
    sides, rows = np.array(sides_px, dtype=np.float64), np.arange(number)
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    point = OperatingPoint("a run", 0.5, 0.25, 50.0, 50.0, 4)
    findings = tuple(Finding(verdict, 0) for verdict in verdicts)
    return Autopsy("model", TWO_STAGE, 0.05, point, ("cat",), ("p2",), rows, rows, 0 * rows, sides**2, boxes, findings)


def test_every_object_is_led_to_its_end() -> None:
    verdicts = [Verdict.FOUND, Verdict.FOUND, Verdict.LOW_SCORE, Verdict.BACKGROUND, Verdict.NOT_IN_RUN, Verdict.CROWD]
    figure = autopsy_flow(autopsy_of(verdicts, [10, 32, 10, 96, 10, 10]))
    into, out = Counter[str](), Counter[str]()
    for source, target, value in (ribbon.meta for ribbon in figure.data):
        into[target] += value
        out[source] += value
    ends = {
        "box head says background": 1,
        "detected here, not in the run": 1,
        Verdict.LOW_SCORE.label: 1,
        Verdict.FOUND.label: 2,
    }
    assert dict(into) == {"lost in box head": 1, "lost in selection": 1, "detected": 3, **ends}
    assert [out[size] for size in ("small", "medium", "large")] == [3, 1, 1]
    labels = {note.text for note in figure.layout.annotations}
    assert {"small: 3", "detected: 3", "score below 0.25: 1", "found, IoU ≥ 0.5, score ≥ 0.25: 2"} <= labels
    assert len(labels) == len(into) + len(out) - len(set(into) & set(out))


def test_objects_that_the_protocol_ignores_are_led_nowhere() -> None:
    """SODA's sizes end at 2000 px²: as many objects leave the parts as come in."""
    verdicts = [Verdict.FOUND, Verdict.FOUND, Verdict.NOT_IN_RUN, Verdict.BACKGROUND]
    figure = autopsy_flow(autopsy_of(verdicts, [10, 40, 50, 96]), SODA.sizes)
    assert sum(ribbon.meta[2] for ribbon in figure.data if ribbon.meta[0] == "detected") == 2
    assert {ribbon.meta[1] for ribbon in figure.data} == {"detected", Verdict.FOUND.label}


@pytest.mark.parametrize("width_px", [360, 1000])
def test_ribbons_are_as_thick_as_their_objects_and_cover_no_name_of_an_end(width_px: int) -> None:
    ends = next(iter(TWO_STAGE.parts.values()))
    verdicts = [Verdict.FOUND] * 90 + list(ends) + [Verdict.LOW_SCORE] * 4
    figure = autopsy_flow(autopsy_of(verdicts, [20] * len(verdicts)), width_px=width_px)
    thick = {ribbon.meta[2]: abs(ribbon.y[-1] - ribbon.y[0]) for ribbon in figure.data}
    assert thick[90] == pytest.approx(90 * thick[1], rel=0.1)
    rightmost = max(max(ribbon.x) for ribbon in figure.data)
    named = [note for note in figure.layout.annotations if note.xanchor == "left"]
    assert len(named) == len(ends) + 2
    assert all(note.x > rightmost for note in named)
    heights = sorted(note.y for note in named)
    assert all(below - above >= 15 for above, below in pairwise(heights))


def test_nothing_is_drawn_of_nothing() -> None:
    assert autopsy_flow(autopsy_of([], [])).data == ()
