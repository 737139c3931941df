"""Detections of one or more models over the same photo, side by side, zoom and pan linked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.engine.draw import class_color
from explorer.figures.photo import backdrop
from explorer.types import Detections


def side_by_side(image_bgr: npt.NDArray[np.uint8], detections: Mapping[str, Detections]) -> go.Figure:
    """Draws the photo once per model with its boxes; zooming or panning one picture moves all.

    Boxes are outlines of one pixel and a half without fill, so that an object of ten pixels stays visible. The label
    is shown on hover.

    Args:
        image_bgr: `(height, width, 3)` uint8, BGR.
        detections: by model name, in the image's frame.

    Raises:
        ValueError: no model, or detections of an image of another size.
    """
    height, width = image_bgr.shape[:2]
    if not detections:
        raise ValueError("There are no detections to draw; give at least one model's.")
    for name, found in detections.items():
        if found.image_size != (height, width):
            raise ValueError(
                f"{name}: detections are for an image of {found.image_size}, this one is {(height, width)}."
            )
    figure = make_subplots(
        cols=len(detections), rows=1, subplot_titles=list(detections), shared_yaxes="all", horizontal_spacing=0.01
    )
    picture = backdrop(image_bgr)
    named: set[str] = set()
    for column, found in enumerate(detections.values(), start=1):
        figure.add_layout_image(**picture, row=1, col=column)
        for index in np.unique(found.classes):
            trace = _boxes(found.keep(found.classes == index), int(index))
            trace.showlegend = trace.name not in named
            named.add(trace.name)
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(range=[0, width], matches="x", visible=False, constrain="domain")
    figure.update_yaxes(range=[height, 0], scaleanchor="x", visible=False, constrain="domain")
    figure.update_layout(
        height=_height_px(width / height, len(detections)),
        margin={"l": 0, "r": 0, "t": 32, "b": 40},
        font={"color": "#808080", "family": "system-ui, sans-serif"},  # reads on white and on black
        dragmode="pan",
        plot_bgcolor="rgba(0,0,0,0)",
        paper_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.02, "yanchor": "top"},
        hoverlabel={"font_size": 13},
    )
    return figure


def _boxes(found: Detections, class_index: int) -> go.Scatter:
    """One trace with every box of a class: five corners each, then a gap."""
    x: list[float | None] = []
    y: list[float | None] = []
    labels: list[str] = []
    name = found.class_names[class_index]
    for (x1, y1, x2, y2), score in zip(found.boxes_xyxy.tolist(), found.scores.tolist(), strict=True):
        x += [x1, x2, x2, x1, x1, None]
        y += [y1, y1, y2, y2, y1, None]
        labels += [f"{name} {score:.2f}<br>{x2 - x1:.0f} × {y2 - y1:.0f} px"] * 6
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": f"rgb{class_color(class_index)}", "width": 1.5},
        name=name,
        legendgroup=name,
        text=labels,
        hoverinfo="text",
    )


def _height_px(aspect: float, columns: int) -> int:
    """Height of the figure on a page of usual width, so that the pictures fill it without a margin."""
    return int(np.clip(900 / columns / aspect, 220, 620)) + 80
