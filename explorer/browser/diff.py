"""Two runs of a data set against each other: figures for the panel, and what they come to in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from explorer.browser.actions import plain_arrays
from explorer.browser.state import read_state
from explorer.errors.bootstrap import CONFIDENCE, Resamples, bootstrap
from explorer.errors.paired import differences, outcomes
from explorer.errors.taxonomy import ERRORS, ErrorType, classify_errors
from explorer.report.words import interval_words
from explorer.scoring.columns import Truth
from explorer.scoring.matching import NOBODY, Matches, match
from explorer.scoring.outcomes import OperatingPoint, found_by
from explorer.scoring.protocols import Protocol
from explorer.text import in_markdown
from explorer.types import Ints

RESAMPLES = 200
CLASSES_SHOWN = 15


class Diff(TypedDict):
    """What the panel shows of two runs, in JSON's own types.

    Attributes:
        words: in Markdown.
        sizes: those that have objects, in the order of the AP figure.
        figures: Plotly's `data` and `layout` by name.
    """

    words: str
    sizes: list[str]
    figures: dict[str, dict[str, Any]]


def diff_of(dataset: Any, a: str, b: str) -> Diff:
    """Compares two runs that a data set was built with; their files are read again.

    Raises:
        ValueError: a run is gone, or they are on different images or annotations.
    """
    from explorer.scoring.alike import alike
    from explorer.scoring.runs import load_run

    state = read_state(dataset)
    assert state is not None
    given = [(name, state.runs[name]) for name in (a, b)]
    protocol = state.rules
    runs = [load_run(Path(own.path), state.source, name, own.match_by, protocol) for name, own in given]
    runs = alike(runs, data=state.source, protocol=protocol)
    matches = [match(run, bins=protocol.bins) for run in runs]
    return compared(matches, [state.runs[name].rule.of(own) for name, own in zip((a, b), matches, strict=True)])


def compared(matches: list[Matches], points: list[OperatingPoint]) -> Diff:
    """Draws two runs.

    Args:
        matches: of each run, for the sizes of their protocol.
        points: what counts as found by each run; what it shows counts as right or wrong.
    """
    from explorer.figures.browser import counts, on_panel
    from explorer.figures.errors import ap_by_size

    truth, names, protocol = matches[0].run.truth, [own.run.name for own in matches], matches[0].protocol
    taking = [found_by(own, point) for own, point in zip(matches, points, strict=True)]
    who = outcomes(taking[0], taking[1], matches[0].unscored)
    only = {f"only {name}": np.flatnonzero(who == place) for place, name in enumerate(names, start=1)}
    resamples = [bootstrap(own, RESAMPLES) for own in matches]
    by_size = ap_by_size(resamples)
    by_size.update_layout(**on_panel(f"AP by object size, % with {100 * CONFIDENCE:g} % intervals"))
    by_size.update_xaxes(title=None)
    by_size.update_yaxes(title=None)
    figures = {
        "ap_by_size": by_size,
        "found_by_size": counts(
            {name: _by_size(protocol, truth, rows) for name, rows in only.items()}, "Objects that only one finds"
        ),
        "found_by_class": counts(_by_class(truth, only), "Objects that only one finds, by class"),
        "errors": counts(
            {own.run.name: _errors(own, point) for own, point in zip(matches, points, strict=True)},
            "Errors among what is shown; missed at any score",
        ),
    }
    objects = resamples[0].figures.objects.sum(axis=1)
    return {
        "words": _words(protocol, points, resamples, who),
        "sizes": [
            size.name for size, number in zip(protocol.bins, objects, strict=True) if size.name != "all" and number
        ],
        "figures": {name: plain_arrays(figure.to_plotly_json()) for name, figure in figures.items()},
    }


def _by_size(protocol: Protocol, truth: Truth, rows: Ints) -> dict[str, int]:
    counted = Counter(protocol.size_names(truth.areas_px[rows]))
    return {size: counted[size] for size in protocol.size_labels}


def _by_class(truth: Truth, only: dict[str, Ints]) -> dict[str, dict[str, int]]:
    """Counts by class, for those classes where most objects are found by one alone."""
    number = {name: np.bincount(truth.classes[rows], minlength=len(truth.class_names)) for name, rows in only.items()}
    total = np.sum(list(number.values()), axis=0)
    shown = [row for row in np.argsort(-total, kind="stable")[:CLASSES_SHOWN].tolist() if total[row]]
    return {name: {truth.class_names[row]: int(own[row]) for row in shown} for name, own in number.items()}


def _errors(matches: Matches, point: OperatingPoint) -> dict[str, int]:
    taxonomy, shown = classify_errors(matches.run, foreground=point.iou), matches.run.found.scores >= point.score
    numbers = {kind.words: int((taxonomy.detections_of(kind) & shown).sum()) for kind in ERRORS}
    numbers[ErrorType.MISSED.words] = int(taxonomy.objects_of(ErrorType.MISSED).sum())
    return numbers


def _words(protocol: Protocol, points: list[OperatingPoint], resamples: list[Resamples], who: Any) -> str:
    difference = differences(resamples[0], resamples[1], CONFIDENCE)
    given, parts = difference.points, []
    for place, size in enumerate(protocol.bins):
        value, low, high = (float(ends[0, place]) for ends in (given.value, given.low, given.high))
        if not np.isnan(value):
            mark = "**" if difference.settled[0, place] else ""
            words = interval_words(value, low, high, signed=True)
            behind = f"{given.objects[0, place]:,} objects in {given.images[0, place]:,} images"
            parts.append(f"{size.name} {mark}{words}{mark} ({behind})")
    both, only_a, only_b, neither = np.bincount(who[who > NOBODY], minlength=4).tolist()
    a, b = points
    names = in_markdown(a.run), in_markdown(b.run)
    return (
        f"AP of {names[1]} minus {names[0]}, points: {'; '.join(parts)}. Bold where the interval excludes 0.\n\n"
        f"Objects: {both} found by both, {only_a} only by {names[0]}, {only_b} only by {names[1]}, "
        f"{neither} by neither ({names[0]}: {a.words}; {names[1]}: {b.words})."
    )
