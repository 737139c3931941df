"""Conditions on the difference of two runs that fail a check, and only where its interval says so: `APs < -0.5`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from explorer.errors.bootstrap import Interval
from explorer.scoring.metrics import Figures

_OPERATORS = {"<": operator.lt, ">": operator.gt}
_FORM = re.compile(r"\s*(?P<label>[^<>=]+?)\s*(?P<sign>[<>])\s*(?P<points>[+\-−]?\d+(?:\.\d+)?)\s*")

Outcome = Literal["failed", "passed", "not settled", "no interval"]
"""`failed`: the whole interval meets the condition. `passed`: none of it does. Neither fails a check."""


@dataclass(frozen=True)
class Gate:
    """A condition on how much a figure of B lies above A's.

    Attributes:
        text: as it was given.
        label: the figure, as `Figures.labels` calls it.
        sign: `<` or `>`.
        points: in percentage points.
    """

    text: str
    label: str
    sign: str
    points: float


@dataclass(frozen=True)
class Judgement:
    """What became of a gate.

    Attributes:
        gate: the condition.
        runs: names of A and B.
        difference: B's figure minus A's, in percentage points; NaN where there is no object.
        low: lower end of its interval; NaN where there are too few images for one.
        high: upper end.
        outcome: whether the condition is met.
        unit: what is resampled (`Figures.unit`).
    """

    gate: Gate
    runs: tuple[str, str]
    difference: float
    low: float
    high: float
    outcome: Outcome
    unit: str = "images"


def gate_of(text: str) -> Gate:
    """Reads a condition such as `APs < -0.5`.

    Raises:
        ValueError: it is none.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(
            f"--fail-if {text!r} is not a condition: name a metric, < or >, and the points by which B may differ from "
            'A, as in "APs < -0.5"'
        )
    return Gate(text.strip(), match["label"], match["sign"], float(match["points"].replace("−", "-")))


def check_figures(gates: Sequence[Gate], labels: Collection[str]) -> None:
    """Makes sure that there are the figures that conditions name, before anything is computed for them.

    Raises:
        ValueError: there is no figure of a gate's name.
    """
    for gate in gates:
        if gate.label not in labels:
            raise ValueError(
                f"--fail-if {gate.text!r}: there is no figure {gate.label!r}; there are {', '.join(labels)}"
            )


def judge(gates: Sequence[Gate], figures: Figures, points: Interval, runs: tuple[str, str]) -> list[Judgement]:
    """Holds conditions against a difference of two runs.

    Args:
        gates: the conditions.
        figures: of either run; says what the axes of `points` are.
        points: B minus A, arrays `(F, A)`.
        runs: names of A and B.

    Raises:
        ValueError: there is no figure of a gate's name.
    """
    labels, judged = figures.labels(), []
    check_figures(gates, labels)
    for gate in gates:
        name, size = labels[gate.label]
        at = figures.names.index(name), [own.name for own in figures.bins].index(size)
        value, low, high = (float(ends[at]) for ends in (points.value, points.low, points.high))
        judged.append(Judgement(gate, runs, value, low, high, _outcome(gate, low, high), figures.unit))
    return judged


def _outcome(gate: Gate, low: float, high: float) -> Outcome:
    if math.isnan(low):
        return "no interval"
    meets = [_OPERATORS[gate.sign](end, gate.points) for end in (low, high)]
    return "failed" if all(meets) else "not settled" if any(meets) else "passed"
