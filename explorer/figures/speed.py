"""Speed drawn: accuracy against time as released, and times measured here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from explorer.engine.speed.benchmark import Timings
from explorer.figures.style import FAINT, INK, LAYOUT, rgb
from explorer.text import NAME_LENGTH, in_plotly, legible

_FAMILIES = (
    ("VoVNet", ("V",), 4, "circle"),
    ("ResNet, ResNeXt", ("R", "X"), 5, "square"),
    ("MobileNetV2", ("M",), 2, "diamond"),
)

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon", "hexagon")

_LEFT, _RIGHT = 0.35, 0.75
"""Shares of the slowest time: names stand at the right of points before the first, at the left beyond the second."""


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


def speed_against_accuracy(
    points: Sequence[SpeedPoint], *, accuracy: str, machine: str, chosen: Collection[str] = ()
) -> go.Figure:
    """Draws accuracy against time, with a line through the models that none is both faster and better than.

    Args:
        points: the models; families are told by their names' first letters.
        accuracy: what AP is of, as in `box AP on COCO val2017`.
        machine: what it was timed on.
        chosen: names of models to ring.

    Raises:
        ValueError: there is no point.
    """
    if not points:
        raise ValueError("there is nothing to draw: give at least one model's time and accuracy")
    figure = go.Figure()
    best, slowest = front(points), max(point.seconds for point in points)
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
                    mode="markers+text",
                    textposition=[_side(point, best, slowest) for point in own],
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
    figure.update_xaxes(
        title=f"ms per image on {in_plotly(machine)}", range=[0, 1150 * slowest], gridcolor=FAINT, zeroline=False
    )
    figure.update_yaxes(title=accuracy, gridcolor=FAINT, zeroline=False)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(LAYOUT, height=460, legend=legend, margin={"l": 60, "r": 20, "t": 50, "b": 50})
    return figure


def _side(point: SpeedPoint, best: Sequence[SpeedPoint], slowest: float) -> str:
    """Where a name stands: away from the line, and not over an edge, which on a narrow page is near."""
    if point.seconds > _RIGHT * slowest:
        return "bottom left" if point not in best[1:] else "top left"
    if point not in best[1:]:
        return "bottom right"
    return "top left" if point.seconds > _LEFT * slowest else "top right"


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


def measured_times(seconds: Mapping[str, npt.NDArray[np.float64]]) -> go.Figure:
    """Draws the times of several models in the same rounds: each round a mark, the median a line.

    Args:
        seconds: `(rounds,)` by model, of the same rounds.
    """
    figure = go.Figure()
    names = [legible(name) for name in seconds]
    for place, (name, own) in enumerate(zip(names, seconds.values(), strict=True)):
        color = rgb(place + 4)
        figure.add_trace(
            go.Scatter(
                x=1000 * own,
                y=[name] * len(own),
                mode="markers",
                marker={"color": color, "size": 10, "opacity": 0.6},
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
    figure.update_xaxes(title="ms per image, whole detector", rangemode="tozero", gridcolor=FAINT)
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
