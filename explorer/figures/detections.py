"""Detections of one or more models over the same photo, side by side, zoom and pan linked."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from pycocotools import mask as mask_api

from explorer.engine.draw import class_color
from explorer.figures.photo import backdrop
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import Detections


def side_by_side(
    image_bgr: npt.NDArray[np.uint8],
    detections: Mapping[str, Detections],
    *,
    view_xyxy: tuple[float, float, float, float] | None = None,
    columns: int = 2,
    width_px: int = 1000,
) -> go.Figure:
    """Draws the photo once per model with its boxes; zooming or panning one picture moves all.

    Boxes, and masks where there are, are outlines of one pixel and a half without fill, so that an object of ten pixels
    stays visible. The label is shown on hover.

    Args:
        image_bgr: `(height, width, 3)` uint8, BGR.
        detections: by model name, in the image's frame.
        view_xyxy: the part of the photo to show at first; all of it where None.
        columns: how many pictures stand in a row.
        width_px: how wide the figure will be on the page; its height follows, so that the pictures fill it.

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
    columns = min(columns, len(detections))
    rows = -(-len(detections) // columns)
    figure = make_subplots(
        cols=columns,
        rows=rows,
        subplot_titles=[in_plotly(name, NAME_LENGTH) for name in detections],
        horizontal_spacing=0.01,
        vertical_spacing=0.06 / rows,
    )
    picture = backdrop(image_bgr)
    named: set[str] = set()
    for place, found in enumerate(detections.values()):
        row, column = place // columns + 1, place % columns + 1
        figure.add_layout_image(**picture, row=row, col=column)
        for index in np.unique(found.classes):
            own = found.keep(found.classes == index)
            for trace in (_boxes(own, int(index)), *_masks(own, int(index))):
                trace.showlegend = trace.showlegend is not False and trace.name not in named
                named.add(trace.name)
                figure.add_trace(trace, row=row, col=column)
    left, top, right, bottom = view_xyxy or (0, 0, width, height)
    figure.update_xaxes(range=[left, right], matches="x", visible=False, constrain="domain")
    figure.update_yaxes(range=[bottom, top], matches="y", scaleanchor="x", visible=False, constrain="domain")
    figure.update_layout(
        height=rows * (int(np.clip(width_px / columns * height / width, 120, 620)) + 32) + 48,
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
    name = in_plotly(found.class_names[class_index], NAME_LENGTH)
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


def _masks(found: Detections, class_index: int) -> list[go.Scatter]:
    """One trace with the outlines of a class's masks, if there are masks."""
    if not found.masks:
        return []
    x: list[float | None] = []
    y: list[float | None] = []
    for mask in found.masks:
        filled = np.asarray(mask_api.decode(mask), np.uint8)
        outlines, _ = cv2.findContours(filled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            points = np.concatenate([outline[:, 0], outline[:1, 0]]) + 0.5  # middles of the outermost pixels
            x += [*points[:, 0].tolist(), None]
            y += [*points[:, 1].tolist(), None]
    name = in_plotly(found.class_names[class_index], NAME_LENGTH)
    color = f"rgb{class_color(class_index)}"
    trace = go.Scatter(x=x, y=y, mode="lines", line={"color": color, "width": 1.5, "dash": "dot"}, hoverinfo="skip")
    return [trace.update(name=name, legendgroup=name, showlegend=False)]
