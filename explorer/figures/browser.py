"""Bars of the FiftyOne panel, one colour per run, and of the boxes in its saved views."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from explorer.engine.colors import ink_on
from explorer.figures.style import FAINT, LAYOUT, in_hex, rgb, run_color, run_rgb
from explorer.text import NAME_LENGTH, in_plotly


def counts(bars: Mapping[str, Mapping[str, int]], title: str) -> go.Figure:
    """Draws counts side by side.

    Args:
        bars: by run, counts by what stands below the bars.
        title: what is counted.
    """
    figure = go.Figure(
        [
            go.Bar(
                x=list(own),
                y=list(own.values()),
                name=in_plotly(name),
                marker={"color": run_rgb(place)},
                text=list(own.values()),
                textangle=0,
                insidetextfont={"color": in_hex(ink_on(run_color(place)))},
                hovertemplate="%{x}: %{y}<extra>%{fullData.name}</extra>",
            )
            for place, (name, own) in enumerate(bars.items())
        ]
    )
    words = list(next(iter(bars.values()), ()))  # what a click on a bar gives
    figure.update_xaxes(tickvals=words, ticktext=[in_plotly(word, NAME_LENGTH) for word in words])
    figure.update_yaxes(gridcolor=FAINT, zerolinecolor=FAINT)
    figure.update_layout(**on_panel(title), barmode="group")
    return figure


def boxes_by_view(counts: Mapping[str, int]) -> go.Figure:
    """Draws the number of boxes in each view as horizontal bars.

    Args:
        counts: by the view's name, the number of objects or detections that it selects.
    """
    names = [in_plotly(name, NAME_LENGTH) for name in counts]
    values, places = list(counts.values()), list(range(len(names)))
    figure = go.Figure(go.Bar(x=values, y=places, orientation="h", marker={"color": rgb(1)}, text=values))
    figure.update_traces(hovertemplate="%{x:,} boxes<extra></extra>", textposition="outside", cliponaxis=False)
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed", automargin=True)
    figure.update_xaxes(title="boxes in the view", gridcolor=FAINT, zerolinecolor=FAINT)
    figure.update_layout(LAYOUT, height=110 + 24 * max(3, len(names)), margin={"l": 60, "r": 40, "t": 20, "b": 50})
    return figure


def on_panel(title: str, height: int = 300) -> dict[str, object]:
    """The layout of a figure in the panel; words take FiftyOne's font and the colour of its theme."""
    return {
        "title": {"text": title, "font": {"size": 14}, "x": 0.02, "y": 0.97, "yanchor": "top"},
        "font": {"color": None, "family": None, "size": 12},
        "height": height,
        "margin": {"l": 40, "r": 10, "t": 60, "b": 40},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "plot_bgcolor": "rgba(0,0,0,0)",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "showlegend": True,
    }
