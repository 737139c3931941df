"""Two runs of a data set against each other: figures for the panel, and what they come to in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from explorer.browser.actions import plain_arrays
from explorer.browser.judging import IOU, SIZES, size_names
from explorer.browser.state import read_state
from explorer.errors.bootstrap import CONFIDENCE, Resamples, bootstrap
from explorer.errors.paired import differences, outcomes
from explorer.errors.taxonomy import ERRORS, ErrorType, classify_errors
from explorer.scoring.columns import Truth
from explorer.scoring.matching import NOBODY, Matches, match
from explorer.scoring.outcomes import found_by
from explorer.scoring.overlaps import Rows
from explorer.scoring.sizes import COCO_BINS
from explorer.text import in_markdown

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
        ValueError: a run is gone, or they are on different images.
    """
    from explorer.errors.compare import difference_of
    from explorer.scoring.runs import load_run

    state = read_state(dataset)
    assert state is not None
    runs = [load_run(Path(state.runs[name].path), state.source, name) for name in (a, b)]
    if fault := difference_of(runs[0].truth, runs[1].truth):
        raise ValueError(fault)
    matches = [match(run, bins=COCO_BINS) for run in runs]
    scores = [state.runs[name].score or 0.0 for name in (a, b)]
    taking = [found_by(own, score, IOU) for own, score in zip(matches, scores, strict=True)]
    return compared(matches, taking, scores)


def compared(matches: list[Matches], taking: list[Rows], scores: list[float]) -> Diff:
    """Draws two runs.

    Args:
        matches: of each run, for COCO's sizes.
        taking: row of the detection that finds each object, by run.
        scores: from which each run's detections count as errors.
    """
    from explorer.figures.browser import counts, on_panel
    from explorer.figures.errors import ap_by_size

    truth, names = matches[0].run.truth, [own.run.name for own in matches]
    who = outcomes(taking[0], taking[1], truth.crowds)
    only = {f"only {name}": np.flatnonzero(who == place) for place, name in enumerate(names, start=1)}
    resamples = [bootstrap(own, RESAMPLES) for own in matches]
    by_size = ap_by_size(resamples)
    by_size.update_layout(**on_panel(f"AP by object size, % with {100 * CONFIDENCE:g} % intervals"))
    by_size.update_xaxes(title=None)
    by_size.update_yaxes(title=None)
    figures = {
        "ap_by_size": by_size,
        "found_by_size": counts({k: _by_size(truth, rows) for k, rows in only.items()}, "Objects that only one finds"),
        "found_by_class": counts(_by_class(truth, only), "The same, by class"),
        "errors": counts(
            {own.run.name: _errors(own, score) for own, score in zip(matches, scores, strict=True)}, "Errors, as used"
        ),
    }
    objects = resamples[0].figures.objects.sum(axis=1)
    return {
        "words": _words(names, resamples, who),
        "sizes": [size.name for size, number in zip(COCO_BINS, objects, strict=True) if size.name != "all" and number],
        "figures": {name: plain_arrays(figure.to_plotly_json()) for name, figure in figures.items()},
    }


def _by_size(truth: Truth, rows: Rows) -> dict[str, int]:
    names = np.array(size_names(truth.areas_px[rows]), dtype=object)
    return {size: int((names == size).sum()) for size in SIZES}


def _by_class(truth: Truth, only: dict[str, Rows]) -> dict[str, dict[str, int]]:
    """Counts by class, for those classes where most objects are found by one alone."""
    number = {name: np.bincount(truth.classes[rows], minlength=len(truth.class_names)) for name, rows in only.items()}
    total = np.sum(list(number.values()), axis=0)
    shown = [row for row in np.argsort(-total, kind="stable")[:CLASSES_SHOWN].tolist() if total[row]]
    return {name: {truth.class_names[row]: int(own[row]) for row in shown} for name, own in number.items()}


def _errors(matches: Matches, score: float) -> dict[str, int]:
    taxonomy, shown = classify_errors(matches.run), matches.run.found.scores >= score
    numbers = {kind.label: int((taxonomy.detections_of(kind) & shown).sum()) for kind in ERRORS}
    numbers[ErrorType.MISSED.label] = int(taxonomy.objects_of(ErrorType.MISSED).sum())
    return numbers


def _words(names: list[str], resamples: list[Resamples], who: Any) -> str:
    difference = differences(resamples[0], resamples[1], CONFIDENCE)
    parts = []
    for place, size in enumerate(COCO_BINS):
        value, low, high = (
            ends[0, place] for ends in (difference.points.value, difference.points.low, difference.points.high)
        )
        if not np.isnan(value):
            mark = "**" if difference.settled[0, place] else ""
            parts.append(f"{size.name} {mark}{value:+.1f}{mark} ({low:+.1f} to {high:+.1f})")
    both, only_a, only_b, neither = np.bincount(who[who > NOBODY], minlength=4).tolist()
    a, b = map(in_markdown, names)
    return (
        f"AP of {b} minus {a}, points: {'; '.join(parts)}. Bold where the interval excludes 0.\n\n"
        f"Objects: {both} found by both, {only_a} only by {a}, {only_b} only by {b}, {neither} by neither."
    )
