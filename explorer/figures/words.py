"""What stands where a figure will be."""

from __future__ import annotations

from textwrap import wrap

import plotly.graph_objects as go

from explorer.figures.style import LAYOUT
from explorer.text import in_plotly

_LINE_LENGTH = 38
"""Letters that a narrow page has room for."""


def waiting(words: str, height_px: int = 300) -> go.Figure:
    """A figure without data that says how to get some, so that no empty plot stands on a page."""
    wrapped = [line for own in words.split("\n") for line in wrap(own, _LINE_LENGTH)]
    figure = go.Figure()
    figure.add_annotation(
        text="<br>".join(map(in_plotly, wrapped)), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
    )
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True)
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    return figure.update_layout(LAYOUT, height=height_px, margin=margin, font_size=15, dragmode=False)
