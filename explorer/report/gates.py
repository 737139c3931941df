"""A comparison for machines that check changes: JUnit's XML, and Markdown for a summary or a comment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

from explorer.errors.bootstrap import TOO_FEW
from explorer.errors.gates import Judgement
from explorer.report.tables import Grid
from explorer.report.words import interval_words
from explorer.text import legible

_MEANS = {
    "failed": "the whole interval meets the condition",
    "passed": "none of the interval meets the condition",
    "not settled": "only a part of the interval meets the condition, so this proves nothing",
    "no interval": "there are too few {unit} for an interval, so nothing can be concluded",
}


def gate_words(judged: Judgement) -> str:
    """Returns the outcome of a condition as a sentence."""
    a, b = judged.runs
    if math.isnan(judged.difference):
        return f"{judged.gate.text}: {judged.outcome}. The data has no objects that this figure is of."
    ends = judged.difference, judged.low, judged.high
    words = interval_words(*ends, signed=True, unit=judged.unit).removesuffix(f", {TOO_FEW.format(judged.unit)}")
    means = _MEANS[judged.outcome].format(unit=judged.unit)
    return f"{judged.gate.text}: {judged.outcome}. {b} − {a} is {words} points: {means}."


def gate_grid(judged: Sequence[Judgement]) -> Grid:
    """Lays conditions out; those that failed are bold."""
    rows = tuple(
        (
            own.gate.text,
            f"{own.runs[1]} − {own.runs[0]}",
            interval_words(own.difference, own.low, own.high, signed=True, unit=own.unit),
            own.outcome,
        )
        for own in judged
    )
    failed = tuple(place for place, own in enumerate(judged) if own.outcome == "failed")
    return Grid(("fails if", "runs", "difference, points", "outcome"), rows, failed)


def junit(judged: Sequence[Judgement], notes: Sequence[str] = ()) -> str:
    """Writes conditions as a test suite, one test each; those without an interval are skipped."""
    failed = sum(own.outcome == "failed" for own in judged)
    skipped = sum(own.outcome == "no interval" for own in judged)
    numbers = {"tests": str(len(judged)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suite = ElementTree.Element("testsuite", {"name": "explorer compare", **numbers})
    for own in judged:
        name = legible(f"{own.gate.text} ({own.runs[1]} − {own.runs[0]})")
        case = ElementTree.SubElement(suite, "testcase", {"classname": "explorer.compare", "name": name, "time": "0"})
        words = legible(gate_words(own))
        if own.outcome in ("failed", "no interval"):
            kind = "failure" if own.outcome == "failed" else "skipped"
            ElementTree.SubElement(case, kind, {"message": words})
        else:
            ElementTree.SubElement(case, "system-out").text = words
    if notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(map(legible, notes))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=False) + "\n"


def markdown(judged: Sequence[Judgement], grids: Sequence[Grid], notes: Sequence[str] = ()) -> str:
    """Writes a comparison's tables, its conditions first, as GitHub and GitLab show them."""
    shown = [*([gate_grid(judged)] if judged else []), *grids]
    parts = ["## explorer compare", *(grid.as_markdown() for grid in shown), *(f"- {legible(note)}" for note in notes)]
    return "\n\n".join(parts) + "\n"
