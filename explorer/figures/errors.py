"""Errors drawn: figures by size with intervals, error types, one run against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.errors.bootstrap import TOO_FEW, Resamples
from explorer.errors.compare import Comparison
from explorer.errors.oracles import SizeGains
from explorer.errors.taxonomy import ERRORS, ErrorType
from explorer.figures.style import FAINT, INK, LAYOUT, rgb, run_rgb
from explorer.scoring.metrics import find
from explorer.scoring.outcomes import object_scores
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import Floats

_LAYOUT: dict[str, Any] = LAYOUT | {
    "margin": {"l": 60, "r": 20, "t": 40, "b": 60},
}
_OVER_PLOT = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}

_ERROR_COLORS = dict(zip(ERRORS, range(len(ERRORS)), strict=True))


def ap_by_size(
    runs: Sequence[Resamples], figure: str = "AP", confidence: float = 0.95, *, upright: bool = False
) -> go.Figure:
    """Draws a figure by object size, one colour per run, with its interval; hollow where too few images give none.

    Args:
        runs: of the same size bins; `all` and those without objects are left out where there are others.
        figure: one of `Figures.names`.
        confidence: of the intervals, 0 to 1.
        upright: write the sizes upwards, as narrow pages need.

    Raises:
        ValueError: there is no run, no such figure, or the bins differ.
    """
    if not runs or len({run.figures.bins for run in runs}) != 1:
        raise ValueError("give at least one run, all with the same size bins")
    bins = runs[0].figures.bins
    objects = runs[0].figures.objects.sum(axis=1)
    shown = [place for place, size in enumerate(bins) if size.name != "all" and objects[place]] or [0]
    images = runs[0].figures.images_with
    labels = [
        f"{bins[place].name}: {objects[place]:,} in {images[place]:,}"
        if upright
        else f"{_wrapped(bins[place].name)}<br>{objects[place]:,}<br>in {images[place]:,}"
        for place in shown
    ]
    drawn = go.Figure()
    for number, run in enumerate(runs):
        row = find(figure, run.figures.names, "figure")
        given = run.intervals(confidence)
        value, low, high = (ends[row, shown] for ends in (given.value, given.low, given.high))
        color, symbol = run_rgb(number), _SYMBOLS[number % len(_SYMBOLS)]
        few = given.too_few[row, shown]
        ends = [f"{a:.1f} to {b:.1f}" for a, b in zip(low, high, strict=True)]
        drawn.add_trace(
            go.Scatter(
                x=np.arange(len(shown)) + _offset(number, len(runs)),
                y=value,
                error_y={
                    "array": high - value,
                    "arrayminus": value - low,
                    "color": color,
                    "thickness": 1.5,
                    "width": 4,
                },
                mode="markers",
                marker={"color": color, "size": 9, "symbol": [f"{symbol}-open" if own else symbol for own in few]},
                name=in_plotly(run.figures.run, NAME_LENGTH),
                text=np.where(few, TOO_FEW.format(run.figures.unit), ends),
                hovertemplate="%{y:.1f} (%{text})",
            )
        )
    edge = sum(bins[place] in runs[0].figures.own_bins for place in shown) - 0.5
    if 0 < edge < len(shown) - 1:
        drawn.add_vline(edge, line={"color": FAINT, "dash": "dot"})
    drawn.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=labels,
        tickangle=-90 if upright else 0,
        tickfont={"size": 11 if upright else 10},
        automargin=True,
        title=f"size in px; objects in {runs[0].figures.unit}",
        showgrid=False,
        zeroline=False,
    )
    title = f"{figure}, percent, with {100 * confidence:g} % interval"
    drawn.update_yaxes(title=title, rangemode="tozero", gridcolor=FAINT, zerolinecolor=FAINT)
    drawn.update_layout(_LAYOUT, height=420, legend=_OVER_PLOT, showlegend=len(runs) > 1)
    return drawn


def error_types(runs: Mapping[str, Sequence[SizeGains]], *, columns: int = 4) -> go.Figure:
    """Draws what fixing each type of error would add to AP50, stacked, by object size.

    Args:
        runs: by name, gains of the same sizes; `all` is left out where there are others.
        columns: how many runs stand in a row.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("give at least one run")
    columns = min(columns, len(runs))
    rows = -(-len(runs) // columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[in_plotly(name, NAME_LENGTH) for name in runs],
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.25 / rows,
    )
    for place, gains in enumerate(runs.values()):
        shown = [size for size in gains if size.size.name != "all"] or list(gains)
        means = [size.alone.mean for size in shown]
        for kind in ERRORS:
            bar = go.Bar(
                x=[_wrapped(size.size.name) for size in shown],
                y=[max(0, mean[kind.label]) for mean in means],
                customdata=[mean[kind.label] for mean in means],
                name=kind.words,
                marker={
                    "color": rgb(_ERROR_COLORS[kind]),
                    "pattern": {"shape": "/" if kind == ErrorType.MISSED else ""},
                },
                legendgroup=kind.label,
                showlegend=place == 0,
                hovertemplate="%{customdata:.1f} points",
            )
            figure.add_trace(bar, row=place // columns + 1, col=place % columns + 1)
    figure.update_xaxes(tickangle=0)
    figure.update_yaxes(gridcolor=FAINT, zerolinecolor=FAINT)
    figure.update_yaxes(title="ΔAP50 if fixed, points", col=1)
    legend = _OVER_PLOT | {"y": 1 + 0.1 / rows}
    margin = {"l": 60, "t": 80}
    figure.update_layout(_LAYOUT, barmode="stack", height=130 + 300 * rows, legend=legend, margin=margin)
    return figure


def objects_scatter(comparison: Comparison, pair: int = 0) -> go.Figure:
    """Draws every object by the scores that two runs give it; its area is its colour, 0 is "not found at any score".

    Args:
        comparison: of the runs.
        pair: which of `comparison.pairs`.
    """
    given = comparison.pairs[pair]
    truth = comparison.truth
    kept = np.flatnonzero(given.who >= 0)
    scores = [_scores(comparison, place)[kept] for place in (given.a, given.b)]
    side = np.sqrt(truth.areas_px[kept])
    jitter = np.random.default_rng(0).uniform(-0.02, 0, (2, len(kept)))
    x, y = (np.where(score == 0, spread, score) for score, spread in zip(scores, jitter, strict=True))
    names = [in_plotly(comparison.names[place], NAME_LENGTH) for place in (given.a, given.b)]
    figure = go.Figure(
        go.Scattergl(
            x=x,
            y=y,
            mode="markers",
            marker={
                "color": np.log2(np.maximum(side, 1)),
                "colorscale": "Viridis",
                "size": 6,
                "opacity": 0.8,
                "colorbar": {
                    "title": "√area, px",
                    "tickvals": [3, 4, 5, 6, 7, 8],
                    "ticktext": [8, 16, 32, 64, 128, 256],
                },
            },
            # ids as texts: a browser rounds whole numbers beyond 2⁵³
            customdata=np.stack([side.astype(object), [in_plotly(str(own)) for own in truth.ids[kept]]], axis=1),
            text=[in_plotly(truth.class_names[row], NAME_LENGTH) for row in truth.classes[kept]],
            hovertemplate="%{text}, √area %{customdata[0]:.0f} px, annotation %{customdata[1]}<br>"
            f"{names[0]} %{{x:.2f}}, {names[1]} %{{y:.2f}}<extra></extra>",
        )
    )
    points = [comparison.points[place] for place in (given.a, given.b)]
    for point, line in zip(points, ("vline", "hline"), strict=True):
        getattr(figure, f"add_{line}")(point.score, line={"color": INK, "width": 1, "dash": "dash"})
    most = max(1.0, *(float(score.max(initial=0)) for score in scores))  # results of others may be percentages
    low, high = min(-0.1 * most, *(float(score.min(initial=0)) for score in scores)), 1.1 * most  # room for the words
    for text, place, anchor in (
        (f"only {names[0]}", (high, low), ("right", "bottom")),
        (f"only {names[1]}", (low, high), ("left", "top")),
        ("both", (high, high), ("right", "top")),
    ):
        figure.add_annotation(
            text=text, x=place[0], y=place[1], xanchor=anchor[0], yanchor=anchor[1], showarrow=False, font={"size": 14}
        )
    titles = [f"score of {name}, found: {point.words}" for name, point in zip(names, points, strict=True)]
    figure.update_xaxes(title=titles[0], range=[low, high], gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title=titles[1], range=[low, high], gridcolor=FAINT, zeroline=False)
    figure.update_layout(_LAYOUT, height=560)
    return figure


_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")


def _scores(comparison: Comparison, place: int) -> Floats:
    """The score of the detection that has each object at any score; 0 for none."""
    return np.nan_to_num(object_scores(comparison.matches[place], comparison.rule.iou), nan=0.0)


def _offset(number: int, of: int) -> float:
    return 0.6 * ((number + 0.5) / of - 0.5)


def _wrapped(name: str) -> str:
    return name.replace(" and over", "<br>and over").replace("under ", "under<br>").replace("–", "–<br>")
