"""One object's fate drawn on its photo: the boxes that decided about it."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from explorer.autopsy.explain import Explanation
from explorer.autopsy.family import Kind
from explorer.figures.photo import backdrop
from explorer.figures.style import FONT, rgb
from explorer.text import in_plotly

_STYLE: Mapping[Kind, tuple[int, str, float]] = {
    "object": (2, "solid", 3.5),
    "anchor": (1, "dot", 2),
    "location": (1, "dot", 2),
    "RPN's box": (4, "dash", 2),
    "proposal": (6, "solid", 1.5),
    "candidate": (4, "dash", 2),
    "detection": (0, "solid", 2),
    "suppressor": (5, "dashdot", 2.5),
}
"""Colour, dash and width in pixels: told apart without colour too."""
_AROUND = 3.0
_LEAST_SIDE_PX = 64


def explained(explanation: Explanation) -> go.Figure:
    """Draws the boxes that decided about an object, zoomed to it; what each box is shows on hover.

    Anchors, proposals and detections stand in the legend, where a click hides them.
    """
    figure = go.Figure()
    named: set[Kind] = set()
    for box in explanation.boxes:
        color, dash, line = _STYLE[box.kind]
        x1, y1, x2, y2 = box.box_xyxy
        figure.add_trace(
            go.Scatter(
                x=[x1, x2, x2, x1, x1],
                y=[y1, y1, y2, y2, y1],
                mode="lines",
                line={"color": rgb(color), "dash": dash, "width": line},
                name=box.kind,
                legendgroup=box.kind,
                showlegend=box.kind not in named,
                text=[in_plotly(box.words)] * 5,
                hoverinfo="text",
            )
        )
        named.add(box.kind)
    figure.add_layout_image(**backdrop(explanation.image_bgr), xref="x", yref="y")
    x1, y1, x2, y2 = explanation.boxes[0].box_xyxy
    half = max(_AROUND * max(x2 - x1, y2 - y1), _LEAST_SIDE_PX) / 2
    height, width = explanation.image_bgr.shape[:2]
    x, y = _inside((x1 + x2) / 2, half, width), _inside((y1 + y2) / 2, half, height)
    figure.update_xaxes(range=[x - half, x + half], visible=False, constrain="domain")
    figure.update_yaxes(range=[y + half, y - half], scaleanchor="x", visible=False, constrain="domain")
    figure.update_layout(
        height=520,
        margin={"l": 0, "r": 0, "t": 8, "b": 8},
        font=FONT,
        dragmode="pan",
        plot_bgcolor="rgba(0,0,0,0)",
        paper_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.02, "yanchor": "top"},
    )
    return figure


def _inside(middle: float, half: float, length: float) -> float:
    """Moves the middle of a view so that it shows nothing beyond the photo, if the photo is large enough."""
    return min(max(middle, half), length - half) if 2 * half <= length else length / 2
