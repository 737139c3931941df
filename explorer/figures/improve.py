"""Ways of using a detector drawn: what each adds against what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.errors.improve import Help
from explorer.figures.style import FAINT, LAYOUT, rgb
from explorer.text import NAME_LENGTH, in_plotly

_MARKS = ((4, "circle"), (5, "diamond"))
"""Colour and symbol of all objects, and of those of the protocol's first size."""


def gain_against_time(ways: Sequence[Help]) -> go.Figure:
    """Draws the difference in AP to the first way, with its interval, against how many times as long each way takes.

    Args:
        ways: of one detector; the first is the one that the others are held against.

    Raises:
        ValueError: there is no way.
    """
    if not ways:
        raise ValueError("there is nothing to draw: give at least one way of using a detector")
    names = [size.name for size in ways[0].resamples.figures.bins]
    figure = go.Figure()
    for place, (name, (color, symbol)) in enumerate(zip(names, _MARKS, strict=False)):
        value, low, high = (
            np.array([getattr(way.differences.points, end)[0, place] for way in ways])
            for end in ("value", "low", "high")
        )
        figure.add_trace(
            go.Scatter(
                x=[way.time_quartiles()[1] for way in ways],
                y=value,
                error_y={"array": high - value, "arrayminus": value - low, "color": rgb(color), "width": 4},
                mode="markers+text",
                marker={"color": rgb(color), "symbol": symbol, "size": 10},
                text=[in_plotly(way.name, NAME_LENGTH) for way in ways],
                textposition="middle right",
                cliponaxis=False,
                name="all objects" if name == "all" else f"{name} objects",
                hovertemplate="%{text}: %{y:+.1f} points, %{x:.2f} × the time<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_xaxes(title=f"time, 1: {in_plotly(ways[0].name, NAME_LENGTH)}", gridcolor=FAINT, zeroline=False)
    figure.update_yaxes(title="difference in AP, points, with 95 % interval", gridcolor=FAINT, zerolinecolor=FAINT)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(LAYOUT, height=420, legend=legend, margin={"l": 60, "r": 90, "t": 40, "b": 50})
    return figure
