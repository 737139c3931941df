"""Figures of precision against recall, and of confusion matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import plotly.graph_objects as go

from explorer.errors.confusion import NOTHING, Confusion
from explorer.figures.style import FAINT, INK, LAYOUT, rgb, run_rgb
from explorer.scoring.accumulate import RECALLS
from explorer.scoring.curves import SizeCurves
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import Floats

MOST_CLASSES = 7
"""Lines that colours tell apart; of more classes, those with most objects are drawn."""
_WORD_LENGTH = 14
CELL_INK, CELLS = "rgb(17,17,17)", ("rgb(222,235,247)", "rgb(86,150,205)")
"""Of numbers in a matrix and of its cells, which the numbers read on at every shade."""
_DETECTED = "detected as<br><sup>darker: a larger share of its row</sup>"
_LETTERS_BELOW = 40
"""So many stand beside each other below a matrix on a narrow page; more are turned."""


def precision_recall(curves: SizeCurves) -> go.Figure:
    """Draws the mean curve over classes, one line per size; sizes without objects are left out."""
    shown = [place for place in range(len(curves.sizes)) if curves.objects[place].any()]
    names = (f"{curves.sizes[place].name} ({curves.objects[place].sum():,})" for place in shown)
    figure = _lines(curves, names, (curves.mean_precision[place] for place in shown), "precision, mean over classes")
    for trace in figure.data[:1]:  # all sizes together, as in other figures
        trace.line.color = INK
    return figure


def precision_recall_of_runs(curves: Mapping[str, SizeCurves]) -> go.Figure:
    """Draws the mean curve over classes of objects of all sizes, one line per run.

    Args:
        curves: by the run's name, all at one IoU.

    Raises:
        ValueError: there is no run.
    """
    if not curves:
        raise ValueError("There are no curves to draw; give at least one run's.")
    lines = (own.mean_precision[0] for own in curves.values())
    figure = _lines(next(iter(curves.values())), curves, lines, "precision, mean over classes")
    for place, trace in enumerate(figure.data):
        trace.line.color = run_rgb(place)
    return figure


def precision_recall_by_class(curves: SizeCurves, size: str = "all") -> go.Figure:
    """Draws the curves of the classes that have most objects of a size.

    Raises:
        ValueError: there is no such size.
    """
    names = [own.name for own in curves.sizes]
    if size not in names:
        raise ValueError(f"there is no size {size!r}; there are {', '.join(names)}")
    place = names.index(size)
    shown = [row for row in np.argsort(-curves.objects[place], kind="stable") if curves.objects[place, row]]
    shown = shown[:MOST_CLASSES]
    labels = (f"{curves.class_names[row]} ({curves.objects[place, row]:,})" for row in shown)
    return _lines(curves, labels, (curves.precision[place, row] for row in shown), "precision")


def _lines(curves: SizeCurves, names: Iterable[str], lines: Iterable[Floats], title: str) -> go.Figure:
    figure = go.Figure()
    for number, (name, line) in enumerate(zip(names, lines, strict=True)):
        figure.add_trace(
            go.Scatter(
                x=RECALLS,
                y=line,
                mode="lines",
                name=in_plotly(name, NAME_LENGTH),
                line={"color": rgb(number), "width": 2, "shape": "hv"},
                hovertemplate="recall %{x:.2f}, precision %{y:.2f}",
            )
        )
    figure.update_xaxes(title=f"recall, IoU ≥ {curves.iou:g}", range=[-0.01, 1.01], gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title=title, range=[-0.02, 1.03], gridcolor=FAINT, zeroline=False)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(
        LAYOUT, height=420, margin={"l": 60, "r": 20, "t": 60, "b": 50}, legend=legend, showlegend=True
    )
    return figure


def confusion_matrix(confused: Confusion, size: str = "all") -> go.Figure:
    """Draws how many objects of each class are taken for each; colours are shares of the row.

    Args:
        confused: the counts.
        size: of the objects.

    Raises:
        ValueError: there is no such size.
    """
    counts, shares = confused.of(size), confused.shares(size)
    kept = np.flatnonzero(counts.sum(axis=1) + counts.sum(axis=0) > 0)
    if not len(kept):
        kept = np.arange(len(confused.labels))
    counts, shares = counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)]
    names = [in_plotly(confused.labels[row], NAME_LENGTH) for row in kept]
    down = [in_plotly(confused.labels[row], _WORD_LENGTH) for row in kept]
    if names[-1] == NOTHING:
        across, down[-1] = [*down[:-1], "missed"], "nothing there"
    else:
        across = down
    shown = np.where(counts > 0, counts.astype(object), "")
    few = len(kept) <= 25
    figure = go.Figure(
        go.Heatmap(
            z=np.where(counts > 0, 100 * shares, np.nan),
            x=np.arange(len(kept)),
            y=np.arange(len(kept)),
            customdata=[
                [[a, b, n] for b, n in zip(names, row, strict=True)] for a, row in zip(names, counts, strict=True)
            ],
            text=shown,
            texttemplate="%{text:,}" if few else "",
            textfont={"color": CELL_INK},
            colorscale=[[0, CELLS[0]], [1, CELLS[1]]],
            zmin=0,
            zmax=100,
            xgap=1,
            ygap=1,
            showscale=False,
            hovertemplate="annotated %{customdata[0]}, detected %{customdata[1]}: %{customdata[2]:,}<extra></extra>",
        )
    )
    ticks = {"tickvals": list(range(len(kept))), "showgrid": False, "zeroline": False, "color": INK}
    angle = 0 if len(across) * max(map(len, across)) <= _LETTERS_BELOW else -40
    figure.update_xaxes(title=_DETECTED, ticktext=across, tickangle=angle, **ticks)
    figure.update_yaxes(title="annotated as", ticktext=down, autorange="reversed", **ticks)
    figure.update_layout(
        LAYOUT, height=max(340, 150 + (34 if few else 14) * len(kept)), margin={"l": 60, "r": 20, "t": 20, "b": 80}
    )
    return figure
