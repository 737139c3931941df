"""The flow chart leads every object to its end, and found is no end without its two numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np

from explorer.autopsy.examine import Autopsy
from explorer.autopsy.findings import Finding
from explorer.autopsy.two_stage.chain import TWO_STAGE
from explorer.autopsy.verdicts import Verdict
from explorer.figures.autopsy import autopsy_sankey
from explorer.scoring.outcomes import OperatingPoint


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
    (sankey,) = autopsy_sankey(autopsy_of(verdicts, [10, 32, 10, 96, 10, 10])).data
    labels, link = sankey.node.label, sankey.link
    into, out = Counter[str](), Counter[str]()
    for source, target, value in zip(link.source, link.target, link.value, strict=True):
        into[labels[target]] += value
        out[labels[source]] += value
    assert dict(into) == {
        "lost in box head: 1": 1,
        "lost in selection: 1": 1,
        "detected: 3": 3,
        "box head says background: 1": 1,
        "detected here, not in the run: 1": 1,
        "score below 0.25: 1": 1,
        "found, IoU ≥ 0.5, score ≥ 0.25: 2": 2,
    }
    assert [out[size] for size in ("small: 3", "medium: 1", "large: 1")] == [3, 1, 1]
    assert set(labels) == set(into) | set(out)


def test_nothing_is_drawn_of_nothing() -> None:
    assert autopsy_sankey(autopsy_of([], [])).data[0].link.value == ()
