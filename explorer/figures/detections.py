"""Detections of one or more models over the same photo, side by side, zoom and pan linked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from pycocotools import mask as mask_api

from explorer.engine.colors import RGB, colors_by_name, ink_on
from explorer.figures.labels import FONT_PX, place_labels
from explorer.figures.photo import backdrop
from explorer.figures.style import INK, LAYOUT
from explorer.text import NAME_LENGTH, in_plotly, legible
from explorer.types import Detections, Pixels

ANNOTATED = "annotated"
"""What the outlines of the truth are called in the legend."""
_TITLE_PX, _WARNING_PX, _LEGEND_PX, _LINE_LENGTH = 36, 18, 56, 36
_HALO = "rgba(0,0,0,0.55)"
_LABEL_LENGTH = 24
_LAST = 2000
"""In the legend, after the classes, which have 1000."""

Box = tuple[float, float, float, float]


def side_by_side(
    image_bgr: Pixels,
    detections: Mapping[str, Detections],
    *,
    truth: Detections | None = None,
    without: Mapping[str, str] | None = None,
    warnings: Mapping[str, str] | None = None,
    view_xyxy: Box | None = None,
    columns: int = 2,
    width_px: int = 1000,
) -> go.Figure:
    """Draws the photo once per model with its boxes; zooming or panning one picture moves all.

    Boxes, and masks where there are, are thin outlines without fill, with a dark edge, so that an object of ten pixels
    stays visible. Classes are named where there is room; score and size are shown on hover.

    Args:
        image_bgr: `(height, width, 3)` uint8, BGR.
        detections: by model name, in the image's frame.
        truth: the annotated objects, drawn as white dashes; None where nobody knows them.
        without: models that could not be run, by name, with the reason: each has an empty place that says so.
        warnings: by model name, what is to be known before its boxes are believed, in a few words below its name.
        view_xyxy: the part of the photo to show at first; all of it where None.
        columns: how many pictures stand in a row.
        width_px: how wide the figure will be on the page; its height follows, so that the pictures fill it.

    Raises:
        ValueError: no model, or detections of an image of another size.
    """
    height, width = image_bgr.shape[:2]
    if not detections and not without:
        raise ValueError("There are no detections to draw; give at least one model's.")
    for name, found in detections.items():
        if found.image_size != (height, width):
            raise ValueError(
                f"{name}: detections are for an image of {found.image_size}, this one is {(height, width)}."
            )
    titles = [_title(name, (warnings or {}).get(name, "")) for name in (*detections, *(without or {}))]
    title_px = _TITLE_PX + (_WARNING_PX if warnings else 0)
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    picture_px = int(np.clip(width_px / columns * height / width, 120, 620))
    high = rows * (picture_px + title_px) + _LEGEND_PX
    figure = make_subplots(
        cols=columns,
        rows=rows,
        subplot_titles=titles,
        horizontal_spacing=0.01,
        vertical_spacing=title_px / high if rows > 1 else None,
    )
    view = view_xyxy or (0.0, 0.0, float(width), float(height))
    scale = min(width_px / columns / (view[2] - view[0]), picture_px / (view[3] - view[1]))
    picture, colors = backdrop(image_bgr), colors_by_name(detections.values())
    named: set[str] = set()
    labels: list[dict[str, Any]] = []
    for place, found in enumerate(detections.values()):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        figure.add_layout_image(**picture, **at)
        for trace in _traces(found, truth, colors):
            trace.showlegend = trace.showlegend is not False and trace.name not in named
            named |= {trace.name} if trace.showlegend else set()
            figure.add_trace(trace, **at)
        labels += _labels(found, colors, view, scale, place)
    for place, reason in enumerate((without or {}).values(), len(detections)):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        figure.add_trace(go.Scatter(x=[], y=[], showlegend=False), **at)
        middle = ((view[0] + view[2]) / 2, (view[1] + view[3]) / 2)
        labels.append({"text": _wrapped(reason), "x": middle[0], "y": middle[1], "showarrow": False, **_axes(place)})
    # all at once: Plotly takes a time that grows with the square of their number when they come one by one
    figure.layout.annotations = [*figure.layout.annotations, *labels]
    left, top, right, bottom = view
    figure.update_xaxes(range=[left, right], matches="x", visible=False, constrain="domain")
    figure.update_yaxes(range=[bottom, top], matches="y", scaleanchor="x", visible=False, constrain="domain")
    figure.update_layout(
        LAYOUT,
        height=high,
        margin={"l": 0, "r": 0, "t": title_px, "b": _LEGEND_PX - 8},
        dragmode="pan",
        legend={"orientation": "h", "y": -8 / (high - title_px - _LEGEND_PX), "yanchor": "top", "font": {"size": 14}},
    )
    return figure


def _title(name: str, warning: str) -> str:
    """A model's name, and below it what is to be known of it."""
    below = f"<br><b>\u26a0 {in_plotly(warning)}</b>" if warning else ""
    return in_plotly(name, NAME_LENGTH) + below


def _traces(found: Detections, truth: Detections | None, colors: Mapping[str, RGB]) -> list[go.Scatter]:
    """What is drawn over one picture, from below."""
    traces = [_halo(found)] if len(found) else []
    for index in np.unique(found.classes):
        own, color = found.keep(found.classes == index), f"rgb{colors[found.class_names[index]]}"
        traces += [_boxes(own, int(index), color), *_masks(own, int(index), color)]
    if truth is not None and len(truth):
        traces += _annotated(truth)
    return traces


def _outline(found: Detections) -> dict[str, list[float | None]]:
    """Every box, five corners each, then a gap."""
    x: list[float | None] = []
    y: list[float | None] = []
    for x1, y1, x2, y2 in found.boxes_xyxy.tolist():
        x += [x1, x2, x2, x1, x1, None]
        y += [y1, y1, y2, y2, y1, None]
    return {"x": x, "y": y}


def _halo(found: Detections) -> go.Scatter:
    """A dark edge below the boxes, which shows light colours on light ground."""
    line = {"color": _HALO, "width": 4}
    return go.Scatter(**_outline(found), mode="lines", line=line, name="", hoverinfo="skip", showlegend=False)


def _boxes(found: Detections, class_index: int, color: str) -> go.Scatter:
    """One trace with every box of a class."""
    name = in_plotly(found.class_names[class_index], NAME_LENGTH)
    labels = []
    for (x1, y1, x2, y2), score in zip(found.boxes_xyxy.tolist(), found.scores.tolist(), strict=True):
        labels += [f"{name} {score:.2f}<br>{x2 - x1:.0f} × {y2 - y1:.0f} px"] * 6
    return go.Scatter(
        **_outline(found),
        mode="lines",
        line={"color": color, "width": 2},
        name=name,
        legendgroup=name,
        text=labels,
        hoverinfo="text",
    )


def _annotated(truth: Detections) -> list[go.Scatter]:
    """The outlines of what is annotated, white on the photo and grey in the legend."""
    names = [in_plotly(truth.class_names[index], NAME_LENGTH) for index in truth.classes]
    words = [f"{ANNOTATED}: {name}" for name in names for _ in range(6)]
    shared = {"mode": "lines", "name": ANNOTATED, "legendgroup": ANNOTATED, "legendrank": _LAST}
    outline = {**_outline(truth), "text": words, "hoverinfo": "text", "showlegend": False}
    return [
        go.Scatter(**outline, line={"color": "white", "width": 1.5, "dash": "dot"}, **shared),
        go.Scatter(x=[None], y=[None], line={"color": INK, "width": 2, "dash": "dot"}, **shared),
    ]


def _masks(found: Detections, class_index: int, color: str) -> list[go.Scatter]:
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
    trace = go.Scatter(x=x, y=y, mode="lines", line={"color": color, "width": 1.5, "dash": "dot"}, hoverinfo="skip")
    return [trace.update(name=name, legendgroup=name, showlegend=False)]


def _axes(place: int) -> dict[str, str]:
    """The axes of a picture by its place, for what is written in it."""
    number = str(place + 1) if place else ""
    return {"xref": f"x{number}", "yref": f"y{number}"}


def _labels(
    found: Detections, colors: Mapping[str, RGB], view: Box, scale: float, place: int
) -> Iterator[dict[str, Any]]:
    """The classes, beside the boxes that have room."""
    names = [found.class_names[index] for index in found.classes]
    words = [legible(name, _LABEL_LENGTH) for name in names]
    for label in place_labels([tuple(box) for box in found.boxes_xyxy.tolist()], words, view, scale):
        color = colors[names[label.index]]
        yield {
            "text": in_plotly(words[label.index]),
            "x": label.x,
            "y": label.y,
            "xanchor": "left",
            "yanchor": "bottom",
            "showarrow": False,
            "bgcolor": f"rgb{color}",
            "borderpad": 1,
            "font": {"size": FONT_PX, "color": f"rgb{ink_on(color)}"},
            "captureevents": False,
            **_axes(place),
        }


def _wrapped(reason: str) -> str:
    """A sentence in lines that fit beside each other."""
    lines = [""]
    for word in legible(reason).split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= _LINE_LENGTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(map(in_plotly, lines))
