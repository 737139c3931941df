"""Words in figures: names that come from files, and what stands where a figure will be."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go


def plain(name: str) -> str:
    """A name from a file, such that Plotly shows it as it is: its labels know links and bold, hover texts `%{…}`."""
    return escape(name, quote=False).replace("{", "&#123;")


def waiting(words: str, height_px: int = 300) -> go.Figure:
    """A figure without data that says how to get some, so that no empty plot stands on a page."""
    figure = go.Figure()
    figure.add_annotation(text=plain(words), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True)
    figure.update_layout(
        height=height_px,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        font={"color": "#808080", "family": "system-ui, sans-serif", "size": 15},
        dragmode=False,
        plot_bgcolor="rgba(0,0,0,0)",
        paper_bgcolor="rgba(0,0,0,0)",
    )
    return figure
