"""Errors drawn: figures by size with intervals, error types, where misses died, one run against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.autopsy.examine import SizeGroup
from explorer.autopsy.verdicts import Verdict
from explorer.engine.draw import class_color
from explorer.errors.bootstrap import Resamples
from explorer.errors.compare import Comparison
from explorer.errors.oracles import SizeGains
from explorer.errors.taxonomy import ERRORS, ErrorType
from explorer.figures.style import FAINT, INK, LAYOUT
from explorer.scoring.matching import NOBODY
from explorer.scoring.metrics import find
from explorer.scoring.sizes import COCO_BINS
from explorer.text import NAME_LENGTH, in_plotly

_LAYOUT: dict[str, Any] = LAYOUT | {
    "margin": {"l": 60, "r": 20, "t": 40, "b": 60},
}
_OVER_PLOT = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}

_ERROR_COLORS = dict(zip(ERRORS, range(len(ERRORS)), strict=True))
_GROUPS: Mapping[str, tuple[Verdict, ...]] = {
    "proposals": (
        Verdict.NO_ANCHOR,
        Verdict.PRE_NMS_TOPK,
        Verdict.TOO_SMALL,
        Verdict.RPN_NMS,
        Verdict.POST_NMS_TOPK,
        Verdict.NO_PROPOSAL,
    ),
    "box head": (Verdict.BACKGROUND, Verdict.OTHER_CLASS, Verdict.REGRESSED_AWAY, Verdict.SCORE),
    "selection": (Verdict.FINAL_NMS, Verdict.DETECTIONS_LIMIT, Verdict.TAKEN),
    "found": (Verdict.FOUND,),
}
_GROUP_COLORS = {"proposals": 5, "box head": 0, "selection": 6, "found": 2}
_SIZE_COLORS = (1, 4, 3)


def ap_by_size(runs: Sequence[Resamples], figure: str = "AP", confidence: float = 0.95) -> go.Figure:
    """Draws a figure by object size, one colour per run, with its interval.

    Args:
        runs: of the same size bins; `all` and those without objects are left out where there are others.
        figure: one of `Figures.names`.
        confidence: of the intervals, 0 to 1.

    Raises:
        ValueError: there is no run, no such figure, or the bins differ.
    """
    if not runs or len({run.figures.bins for run in runs}) != 1:
        raise ValueError("give at least one run, all with the same size bins")
    bins = runs[0].figures.bins
    objects = runs[0].figures.objects.sum(axis=1)
    shown = [place for place, size in enumerate(bins) if size.name != "all" and objects[place]] or [0]
    labels = [f"{_wrapped(bins[place].name)}<br>{objects[place]:,}" for place in shown]
    drawn = go.Figure()
    for number, run in enumerate(runs):
        row = find(figure, run.figures.names, "figure")
        given = run.intervals(confidence)
        value, low, high = (ends[row, shown] for ends in (given.value, given.low, given.high))
        color = _rgb(number + 4 if len(runs) == 1 else number)
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
                marker={"color": color, "size": 9, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
                name=in_plotly(run.figures.run, NAME_LENGTH),
                customdata=np.stack([low, high], axis=1),
                hovertemplate="%{y:.1f} (%{customdata[0]:.1f} to %{customdata[1]:.1f})",
            )
        )
    edge = sum(bins[place] in COCO_BINS for place in shown) - 0.5
    if 0 < edge < len(shown) - 1:
        drawn.add_vline(edge, line={"color": FAINT, "dash": "dot"})
    drawn.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=labels,
        tickangle=0,
        tickfont={"size": 11},
        title="object size in px, and number of objects",
        showgrid=False,
        zeroline=False,
    )
    title = f"{figure}, percent, with {100 * confidence:g} % interval"
    drawn.update_yaxes(title=title, rangemode="tozero", gridcolor=FAINT, zerolinecolor=FAINT)
    drawn.update_layout(_LAYOUT, height=420, legend=_OVER_PLOT, showlegend=len(runs) > 1)
    return drawn


def error_types(runs: Mapping[str, Sequence[SizeGains]], *, columns: int = 4) -> go.Figure:
    """Draws what the mending of each type of error would add to AP50, stacked, by object size.

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
                name=_TYPE_NAMES[kind],
                marker={
                    "color": _rgb(_ERROR_COLORS[kind]),
                    "pattern": {"shape": "/" if kind == ErrorType.MISSED else ""},
                },
                legendgroup=kind.label,
                showlegend=place == 0,
                hovertemplate="%{customdata:.1f} points",
            )
            figure.add_trace(bar, row=place // columns + 1, col=place % columns + 1)
    figure.update_xaxes(tickangle=0)
    figure.update_yaxes(gridcolor=FAINT, zerolinecolor=FAINT)
    figure.update_yaxes(title="ΔAP50 if mended, points", col=1)
    legend = _OVER_PLOT | {"y": 1 + 0.1 / rows}
    margin = {"l": 60, "t": 80}
    figure.update_layout(_LAYOUT, barmode="stack", height=130 + 300 * rows, legend=legend, margin=margin)
    return figure


def autopsy_sankey(groups: Sequence[SizeGroup], *, font_px: int = 13) -> go.Figure:
    """Draws where the objects of each size end: lost among proposals, in the box head, in the selection, or found.

    Args:
        groups: from `Autopsy.by_size`; `all` is left out where there are others. Crowds are left out.
        font_px: of the labels; smaller on narrow pages.
    """
    shown = [group for group in groups if group.bin.name != "all"] or list(groups)
    verdicts = [v for v in Verdict if v != Verdict.CROWD and any(group.counts[v] for group in shown)]
    names = [name for name, own in _GROUPS.items() if set(own) & set(verdicts)]
    node_of = {name: len(shown) + place for place, name in enumerate(names)}
    leaves: list[Verdict] = [verdict for verdict in verdicts if verdict != Verdict.FOUND]
    node_of_verdict: dict[Verdict, int] = {
        verdict: len(shown) + len(names) + place for place, verdict in enumerate(leaves)
    }
    links: list[tuple[int, int, int, int]] = []
    for place, group in enumerate(shown):
        color = _SIZE_COLORS[place % len(_SIZE_COLORS)]
        links += [(place, node_of[name], sum(group.counts[v] for v in _GROUPS[name]), color) for name in names]
    for name in names:
        for verdict in set(_GROUPS[name]) & set(leaves):
            total = sum(group.counts[verdict] for group in shown)
            links.append((node_of[name], node_of_verdict[verdict], total, _GROUP_COLORS[name]))
    totals = [sum(group.counts[v] for group in shown for v in _GROUPS[name]) for name in names]
    labels = [f"{group.bin.name} {group.objects:,}" for group in shown]
    labels += [
        f"{'lost in ' if name != 'found' else ''}{name} {total:,}" for name, total in zip(names, totals, strict=True)
    ]
    labels += [
        f"{_SHORT.get(verdict, verdict.label)} {sum(group.counts[verdict] for group in shown):,}" for verdict in leaves
    ]
    colors = [_rgb(_SIZE_COLORS[place % 3]) for place in range(len(shown))]
    colors += [_rgb(_GROUP_COLORS[name]) for name in names] + [INK] * len(leaves)
    drawn = [link for link in links if link[2]]
    figure = go.Figure(
        go.Sankey(
            node={"label": labels, "color": colors, "pad": 14, "thickness": 16, "line": {"width": 0}},
            link={
                "source": [source for source, _, _, _ in drawn],
                "target": [target for _, target, _, _ in drawn],
                "value": [value for _, _, value, _ in drawn],
                "color": [_rgb(color, 0.35) for _, _, _, color in drawn],
            },
            textfont={"color": INK, "size": font_px, "shadow": "none"},
        )
    )
    figure.update_layout(_LAYOUT, height=480, margin={"l": 10, "r": 10, "t": 10, "b": 10})
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
            customdata=np.stack([side, truth.ids[kept]], axis=1),
            text=[in_plotly(truth.class_names[row], NAME_LENGTH) for row in truth.classes[kept]],
            hovertemplate="%{text}, √area %{customdata[0]:.0f} px, annotation %{customdata[1]}<br>"
            f"{names[0]} %{{x:.2f}}, {names[1]} %{{y:.2f}}<extra></extra>",
        )
    )
    for point, line in zip((comparison.points[given.a], comparison.points[given.b]), ("vline", "hline"), strict=True):
        getattr(figure, f"add_{line}")(point.score, line={"color": INK, "width": 1, "dash": "dash"})
    low, high = -0.1, 1.1  # room for the words beside the points
    for text, place, anchor in (
        (f"only {names[0]}", (high, low), ("right", "bottom")),
        (f"only {names[1]}", (low, high), ("left", "top")),
        ("both", (high, high), ("right", "top")),
    ):
        figure.add_annotation(
            text=text, x=place[0], y=place[1], xanchor=anchor[0], yanchor=anchor[1], showarrow=False, font={"size": 14}
        )
    figure.update_xaxes(title=f"score of {names[0]}", range=[low, high], gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title=f"score of {names[1]}", range=[low, high], gridcolor=FAINT, zeroline=False)
    figure.update_layout(_LAYOUT, height=560)
    return figure


_TYPE_NAMES = {
    ErrorType.CLASSIFICATION: "wrong class",
    ErrorType.LOCALISATION: "box off",
    ErrorType.BOTH: "both",
    ErrorType.DUPLICATE: "duplicate",
    ErrorType.BACKGROUND: "background",
    ErrorType.MISSED: "missed",
}
_SHORT = {Verdict.DETECTIONS_LIMIT: "over the limit", Verdict.NO_PROPOSAL: "no proposal"}
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")


def _scores(comparison: Comparison, place: int) -> npt.NDArray[np.float64]:
    """The score of the detection that has each object at any score; 0 for none."""
    matches = comparison.matches[place]
    taking = matches.detections_taking(comparison.iou)
    return np.where(taking == NOBODY, 0, np.append(matches.run.found.scores, 0)[taking])


def _offset(number: int, of: int) -> float:
    return 0.6 * ((number + 0.5) / of - 0.5)


def _wrapped(name: str) -> str:
    return name.replace(" and over", "<br>and over").replace("under ", "under<br>").replace("–", "–<br>")


def _rgb(index: int, opacity: float = 1) -> str:
    red, green, blue = class_color(index)
    return f"rgba({red},{green},{blue},{opacity:g})"
