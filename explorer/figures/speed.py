"""Speed drawn: accuracy against time as released, and times measured here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go

from explorer.engine.speed.benchmark import Timings
from explorer.figures.export import WIDTH_PX
from explorer.figures.labels import name_points
from explorer.figures.style import FAINT, INK, LAYOUT, rgb, run_rgb
from explorer.text import NAME_LENGTH, in_plotly, legible
from explorer.types import Floats

_FAMILIES = (
    ("VoVNet", ("V",), 4, "circle"),
    ("ResNet, ResNeXt", ("R", "X"), 5, "square"),
    ("MobileNetV2", ("M",), 2, "diamond"),
)

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon", "hexagon")

_PLOT_PX, _MARGIN = 360, {"l": 60, "r": 20}
_NARROW_PX, _NEAR_PX = 600, 18
"""Below the first the legend takes several lines; names farther than the second have a line to their point."""
_LETTER_PX, _TITLE_LETTER_PX, _MARK_PX = 7.6, 9, 20
"""Widths of a letter of names and of titles; the second is that of a mark with its ring."""


@dataclass(frozen=True)
class SpeedPoint:
    """A model's time and accuracy.

    Attributes:
        name: what to write beside it.
        seconds: per image.
        ap: in percent.
        interval: lower and upper end of where AP may lie; None where nobody measured it.
    """

    name: str
    seconds: float
    ap: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class OwnAccuracy:
    """A model's accuracy on test images of the kind that it was trained for.

    Attributes:
        name: of the model.
        on: what the images are.
        ap: in percent.
        interval: lower and upper end of where AP may lie.
    """

    name: str
    on: str
    ap: float
    interval: tuple[float, float]


def speed_against_accuracy(
    points: Sequence[SpeedPoint],
    *,
    accuracy: str,
    machine: str,
    chosen: Collection[str] = (),
    width_px: int = WIDTH_PX,
) -> go.Figure:
    """Draws accuracy against time, with a line through the models that none is both faster and better than.

    Args:
        points: the models; families are told by their names' first letters.
        accuracy: what AP is of, as in `box AP on COCO val2017`.
        machine: what it was timed on.
        chosen: names of models to ring.
        width_px: how wide the figure will be; names stand where they cover nothing at this width.

    Raises:
        ValueError: there is no point.
    """
    if not points:
        raise ValueError("there is nothing to draw: give at least one model's time and accuracy")
    figure = go.Figure()
    best = front(points)
    figure.add_trace(
        go.Scatter(
            x=[1000 * point.seconds for point in best],
            y=[point.ap for point in best],
            mode="lines",
            line={"color": INK, "width": 1.5, "dash": "dot", "shape": "hv"},
            name="none is faster and better",
            hoverinfo="skip",
        )
    )
    for family, start, color, symbol in _FAMILIES:
        own = [point for point in points if point.name.startswith(start)]
        if own:
            ap = np.array([point.ap for point in own])
            low, high = np.array([point.interval or (point.ap, point.ap) for point in own]).T
            figure.add_trace(
                go.Scatter(
                    x=[1000 * point.seconds for point in own],
                    y=ap,
                    text=[in_plotly(point.name, NAME_LENGTH) for point in own],
                    mode="markers",
                    marker={"color": rgb(color), "symbol": symbol, "size": 11},
                    error_y={
                        "array": high - ap,
                        "arrayminus": ap - low,
                        "thickness": 1,
                        "visible": any(point.interval for point in own),
                    },
                    name=family,
                    hovertemplate="%{text}: AP %{y:.1f}, %{x:.0f} ms<extra></extra>",
                )
            )
    ringed = [point for point in points if point.name in chosen]
    if ringed:
        figure.add_trace(
            go.Scatter(
                x=[1000 * point.seconds for point in ringed],
                y=[point.ap for point in ringed],
                mode="markers",
                marker={"color": INK, "symbol": "circle-open", "size": 22, "line": {"width": 2}},
                name="chosen",
                hoverinfo="skip",
            )
        )
    size = (width_px - _MARGIN["l"] - _MARGIN["r"], _PLOT_PX)
    right = 1100 * max(point.seconds for point in points)
    ends = [end for point in points for end in point.interval or (point.ap, point.ap)]
    room = 0.1 * (max(ends) - min(ends)) or 1
    low, high = min(ends) - room, max(ends) + room
    title = wrap(f"ms per image on {legible(machine)}", size[0] // _TITLE_LETTER_PX)
    figure.update_xaxes(title="<br>".join(map(in_plotly, title)), range=[0, right], gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title=accuracy, range=[low, high], gridcolor=FAINT, zeroline=False)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    margin = _MARGIN | {"t": 110 if width_px < _NARROW_PX else 50, "b": 30 + 20 * len(title)}
    height = size[1] + margin["t"] + margin["b"]
    figure.update_layout(LAYOUT, height=height, legend=legend, margin=margin)
    _write_names(
        figure, points, best, lambda ms, ap: (size[0] * ms / right, size[1] * (high - ap) / (high - low)), size
    )
    return figure


def _write_names(
    figure: go.Figure,
    points: Sequence[SpeedPoint],
    best: Sequence[SpeedPoint],
    in_px: Callable[[float, float], tuple[float, float]],
    size_px: tuple[int, int],
) -> None:
    """Names the points, away from each other and from the line; a name that is far has a thin line to its point.

    Args:
        figure: where to write.
        points: of which.
        best: those on the line.
        in_px: turns milliseconds and AP into pixels from the upper left corner.
        size_px: width and height of the plot.
    """
    corners = [in_px(1000 * point.seconds, point.ap) for point in best]
    line = [
        (min(x, nx) - 1, min(y, ny) - 1, max(x, nx) + 1, max(y, ny) + 1)
        for (x0, y0), (x1, y1) in pairwise(corners)
        for x, y, nx, ny in ((x0, y0, x1, y0), (x1, y0, x1, y1))
    ]
    places = [in_px(1000 * point.seconds, point.ap) for point in points]
    words = [legible(point.name, NAME_LENGTH) for point in points]
    offsets = name_points(places, words, (0, 0, *size_px), line, letter_px=_LETTER_PX, mark_px=_MARK_PX)
    for point, text, (right, down) in zip(points, words, offsets, strict=True):
        near = right < _NEAR_PX and right > -_LETTER_PX * len(text) - _NEAR_PX and -_NEAR_PX < down < 2 * _NEAR_PX
        figure.add_annotation(
            text=in_plotly(text),
            x=1000 * point.seconds,
            y=point.ap,
            ax=right,
            ay=down,
            xanchor="left",
            yanchor="bottom",
            showarrow=True,
            arrowhead=0,
            arrowwidth=1,
            arrowcolor="rgba(0,0,0,0)" if near else INK,
            standoff=6,
            borderpad=0,
            captureevents=False,
        )


def own_accuracy(models: Sequence[OwnAccuracy]) -> go.Figure:
    """Draws each model's AP on test images of its own kind, a row for each, with its interval.

    Args:
        models: at least one.

    Raises:
        ValueError: there is none.
    """
    if not models:
        raise ValueError("there is nothing to draw: give at least one model's AP")
    figure = go.Figure()
    for place, model in enumerate(models):
        low, high = model.interval
        figure.add_trace(
            go.Scatter(
                x=[model.ap],
                y=[place],
                error_x={"array": [high - model.ap], "arrayminus": [model.ap - low], "thickness": 1.5},
                mode="markers",
                marker={"color": rgb(4), "size": 11},
                name=in_plotly(model.name, NAME_LENGTH),
                hovertemplate=f"AP {model.ap:.1f} ({low:.1f} to {high:.1f})<extra></extra>",
            )
        )
        figure.add_annotation(
            text=f"<b>{in_plotly(model.name, NAME_LENGTH)}: {model.ap:.1f}</b><br>{in_plotly(model.on)}",
            align="left",
            x=0,
            y=place,
            xanchor="left",
            yanchor="bottom",
            yshift=6,
            showarrow=False,
        )
    title = "box AP on test images of its own kind"
    figure.update_xaxes(title=title, range=[0, 100], gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(visible=False, range=[len(models) - 0.7, -0.85])
    figure.update_layout(
        LAYOUT, height=70 + 70 * len(models), showlegend=False, margin={"l": 20, "r": 20, "t": 10, "b": 50}
    )
    return figure


def front(points: Sequence[SpeedPoint]) -> list[SpeedPoint]:
    """Returns the points that no other is both at least as fast and more accurate than, fastest first."""
    best: list[SpeedPoint] = []
    for point in sorted(points, key=lambda one: (one.seconds, -one.ap)):
        if not best or point.ap > best[-1].ap:
            best.append(point)
    return best


def median_times(found: Timings) -> go.Figure:
    """Draws a benchmark: the median time of each model as a bar per mode, with its interval.

    Raises:
        ValueError: nothing could be measured.
    """
    measured = [row for row in found.rows if row.median_s is not None and row.spread_s is not None]
    if not measured:
        raise ValueError("there is nothing to draw: none of the modes could be measured")
    models, modes = (list(dict.fromkeys(getattr(row, name) for row in measured)) for name in ("model", "mode"))
    figure = go.Figure()
    for place, mode in enumerate(modes):
        own = [row for row in measured if row.mode == mode]
        ms = 1000 * np.array([(row.median_s, *(row.spread_s or ())) for row in own], dtype=np.float64)
        figure.add_trace(
            go.Bar(
                x=ms[:, 0],
                y=[models.index(row.model) for row in own],
                orientation="h",
                name=in_plotly(mode),
                marker={"color": rgb(place + 4)},
                error_x={"array": ms[:, 2] - ms[:, 0], "arrayminus": ms[:, 0] - ms[:, 1], "color": INK},
                hovertemplate="%{x:.1f} ms<extra>%{fullData.name}</extra>",
            )
        )
    labels = [in_plotly(name, NAME_LENGTH) for name in models]
    figure.update_yaxes(tickvals=list(range(len(models))), ticktext=labels, autorange="reversed", automargin=True)
    title = f"ms per call of {found.batch} image{'s' * (found.batch > 1)}"
    figure.update_xaxes(title=title, rangemode="tozero", gridcolor=FAINT, zerolinecolor=FAINT)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    height = 130 + 26 * max(3, len(measured))
    figure.update_layout(
        LAYOUT, barmode="group", height=height, legend=legend, margin={"l": 60, "r": 20, "t": 50, "b": 50}
    )
    return figure


def measured_accuracy(found: Timings) -> go.Figure:
    """Draws AP on the photos of a benchmark against time: a colour for each model, a symbol for each mode.

    Raises:
        ValueError: AP of no mode was measured.
    """
    rows = [row for row in found.rows if row.accuracy and row.median_s]
    if not rows:
        raise ValueError("there is nothing to draw: benchmark with a data set, so that AP is measured")
    models, modes = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("model", "mode"))
    figure = go.Figure()
    for row in rows:
        assert row.accuracy
        assert row.spread_s
        ap, (low, high) = row.accuracy.ap, row.accuracy.ap_interval
        ms = 1000 * np.array([row.median_s, *row.spread_s], dtype=np.float64)
        figure.add_trace(
            go.Scatter(
                x=ms[:1],
                y=[ap],
                mode="markers",
                marker={
                    "color": rgb(models.index(row.model) + 4),
                    "symbol": _SYMBOLS[modes.index(row.mode) % len(_SYMBOLS)],
                    "size": 11,
                },
                error_x={"array": [ms[2] - ms[0]], "arrayminus": [ms[0] - ms[1]], "thickness": 1},
                error_y={"array": [high - ap], "arrayminus": [ap - low], "thickness": 1, "visible": high >= low},
                name=in_plotly(f"{row.model}, {row.mode}" if len(models) > 1 else row.mode),
                hovertemplate="AP %{y:.1f}, %{x:.1f} ms<extra>%{fullData.name}</extra>",
            )
        )
    accuracy = rows[0].accuracy
    assert accuracy
    figure.update_xaxes(title="ms per call", rangemode="tozero", gridcolor=FAINT, zeroline=False)
    title = f"box AP on {in_plotly(accuracy.data, NAME_LENGTH)}, {accuracy.images:,} images"
    figure.update_yaxes(title=title, gridcolor=FAINT, zeroline=False)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(LAYOUT, height=460, legend=legend, margin={"l": 60, "r": 20, "t": 80, "b": 50})
    return figure


def measured_times(seconds: Mapping[str, Floats]) -> go.Figure:
    """Draws the times of several models in the same rounds: each round a mark, the median a line.

    Args:
        seconds: `(rounds,)` by model, of the same rounds.
    """
    figure = go.Figure()
    names = [legible(name) for name in seconds]
    for place, (name, own) in enumerate(zip(names, seconds.values(), strict=True)):
        color = run_rgb(place)
        figure.add_trace(
            go.Scatter(
                x=1000 * own,
                y=[name] * len(own),
                mode="markers",
                marker={"color": color, "size": 10, "opacity": 0.8},
                hovertemplate="%{x:.0f} ms<extra></extra>",
            )
        )
        middle = 1000 * float(np.median(own))
        figure.add_trace(
            go.Scatter(
                x=[middle],
                y=[name],
                mode="markers",
                marker={"color": color, "size": 26, "symbol": "line-ns-open", "line": {"width": 3}},
                hoverinfo="skip",
            )
        )
        figure.add_annotation(
            text=f"{in_plotly(name, NAME_LENGTH)}: median {middle:.0f} ms",
            x=0,
            xref="paper",
            xanchor="left",
            y=name,
            yshift=24,
            showarrow=False,
        )
    figure.update_xaxes(title="ms per image, whole detector", rangemode="tozero", gridcolor=FAINT, zeroline=False)
    ends = [-0.6, len(names) - 0.3]
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=names[::-1],
        showticklabels=False,
        range=ends,
        gridcolor=FAINT,
    )
    height = 120 + 70 * len(names)
    figure.update_layout(LAYOUT, height=height, showlegend=False, margin={"l": 20, "r": 20, "t": 20, "b": 50})
    return figure
