"""Receptive fields drawn: over a photo, as heat, and beside the objects and anchors of their level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.figures.photo import backdrop
from explorer.figures.style import FAINT, INK, LAYOUT, rgb
from explorer.receptive_field.effective import EffectiveField
from explorer.receptive_field.theoretical import ReceptiveField
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import Floats, Pixels

_LAYOUT: dict[str, Any] = LAYOUT | {
    "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
}
_LEGEND_PX = 210
"""Width of an entry of the legend."""
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def fields_over_photo(
    image_bgr: Pixels,
    point_xy: tuple[float, float],
    fields: Mapping[str, ReceptiveField],
    effective: Mapping[str, EffectiveField] | None = None,
    *,
    title: str = "",
    width_px: int = 760,
) -> go.Figure:
    """Draws, at one point of a photo, the theoretical field of each layer's unit there, and the effective one's size.

    Args:
        image_bgr: `(height, width, 3)`, BGR, as large as the network's input, which the fields are in pixels of.
        point_xy: in pixels of it.
        fields: theoretical fields by layer, for an input of this size.
        effective: measured ones: a square as large as their area is drawn around the point.
        title: what to write above.
        width_px: how wide the photo is expected to be on the page.

    Raises:
        ValueError: the point lies outside, or fields are of an input of another size.
    """
    height, width = image_bgr.shape[:2]
    x, y = point_xy
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"the point ({x:g}, {y:g}) lies outside the photo of {width} × {height} px")
    figure = go.Figure()
    for number, (layer, field) in enumerate(fields.items()):
        if field.input_size != (height, width):
            raise ValueError(
                f"the field of {layer} is for an input of (height, width) {field.input_size}, the photo has "
                f"{(height, width)}"
            )
        row, column = field.unit_at(x, y)
        color, dash = rgb(number), _DASHES[number % len(_DASHES)]
        if box := field.box(row, column):
            figure.add_trace(_outline(box, f"{in_plotly(layer)}, theoretical {_side(field)}", color, dash))
        if effective and layer in effective:
            half = effective[layer].side_px() / 2
            square = (x - half, y - half, x + half, y + half)
            figure.add_trace(_outline(square, f"{in_plotly(layer)}, effective {2 * half:.0f} px", color, dash, 3))
    mark = {"color": "#fff", "size": 8, "line": {"color": "#000", "width": 2}}
    figure.add_trace(go.Scatter(x=[x], y=[y], mode="markers", marker=mark, showlegend=False, hoverinfo="skip"))
    figure.add_layout_image(**backdrop(image_bgr), xref="x", yref="y")
    figure.update_xaxes(range=[0, width], visible=False, constrain="domain")
    figure.update_yaxes(range=[height, 0], scaleanchor="x", visible=False, constrain="domain", constraintoward="top")
    rows = -(-len(figure.data) // max(1, width_px // _LEGEND_PX))  # of the legend, below
    figure.update_layout(
        _LAYOUT,
        title={
            "text": in_plotly(title, NAME_LENGTH),
            "x": 0.5,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 10},
        },
        height=int(width_px * height / width) + 50 + 24 * rows,
        margin={"l": 10, "r": 10, "t": 40 if title else 10, "b": 10},
        legend={"orientation": "h", "y": -0.02, "yanchor": "top", "maxheight": 24 * rows + 24},
    )
    return figure


def _side(field: ReceptiveField) -> str:
    """The longer side of a theoretical field; where the input is smaller than that, it says so."""
    side = max(field.size_px)
    seen_whole = [bool(phases) for phases, own in zip(field.phases, field.size_px, strict=True) if own == side]
    return f"{side} px" if any(seen_whole) else f"over {side} px"


def effective_heat(field: EffectiveField, theoretical: ReceptiveField | None = None) -> go.Figure:
    """Draws the energy by pixel, each decade a step of colour, with the box of the theoretical field.

    Args:
        field: measured.
        theoretical: of the same layer and input size; its box around the unit is drawn.
    """
    height, width = field.energy.shape
    peak = field.energy.max() or 1.0
    decades = np.log10(np.maximum(field.energy / peak, 1e-6))
    step = max(1, max(height, width) // 400)
    rows, columns = height // step * step, width // step * step
    shown = decades[:rows, :columns].reshape(rows // step, step, columns // step, step).max(axis=(1, 3))
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            x0=step / 2,
            y0=step / 2,
            dx=step,
            dy=step,
            colorscale="Viridis",
            zmin=-6,
            zmax=0,
            colorbar={
                "title": "of the peak",
                "tickvals": list(range(-6, 1, 2)),
                "ticktext": ["10⁻⁶", "10⁻⁴", "10⁻²", "1"],
            },
            hovertemplate="(%{x:.0f}, %{y:.0f}): 10^%{z:.1f} of the peak<extra></extra>",
        )
    )
    if theoretical and (box := theoretical.box(*field.unit)):
        figure.add_trace(_outline(box, f"theoretical, {_side(theoretical)}", "#d55e00", "dash"))
    y, x = field.center_yx
    half = field.side_px() / 2
    square = (x - half, y - half, x + half, y + half)
    figure.add_trace(
        _outline(square, f"as large as the pixels with 95 % of the energy, {2 * half:.0f} px", "#fff", "solid")
    )
    figure.update_xaxes(range=[0, width], constrain="domain", showgrid=False, title="px")
    figure.update_yaxes(range=[height, 0], scaleanchor="x", constrain="domain", showgrid=False, title="px")
    figure.update_layout(
        _LAYOUT,
        height=640,
        title={"text": in_plotly(field.layer), "x": 0.5},
        margin={"l": 60, "r": 20, "t": 90, "b": 50},
    )
    return figure


def fields_against_objects(
    theoretical_px: Mapping[str, float],
    effective_px: Mapping[str, float],
    anchors_px: Mapping[str, Sequence[float]],
    object_sides_px: Mapping[str, Floats],
) -> go.Figure:
    """Draws, per level, the sides of its fields, its anchors and the objects that it has to find, in input pixels.

    Args:
        theoretical_px: side of the theoretical field by level.
        effective_px: side of the effective one.
        anchors_px: sides of the level's anchors.
        object_sides_px: square roots of the areas of the level's objects.
    """
    levels = list(theoretical_px)
    figure = go.Figure()
    for place, level in enumerate(levels):
        sides = object_sides_px.get(level, np.zeros(0))
        if len(sides):
            figure.add_trace(
                go.Violin(
                    x=[place] * len(sides),
                    y=np.log2(sides),
                    side="both",
                    width=0.8,
                    line={"color": INK, "width": 1},
                    fillcolor=FAINT,
                    points=False,
                    name="objects",
                    legendgroup="objects",
                    showlegend=place == next(i for i, own in enumerate(levels) if len(object_sides_px.get(own, ()))),
                    hoverinfo="skip",
                )
            )
    for name, sides_px, color, symbol in (
        ("theoretical field", theoretical_px, rgb(5), "square-open"),
        ("effective field", effective_px, rgb(4), "square"),
    ):
        known = [(place, sides_px[level]) for place, level in enumerate(levels) if sides_px.get(level)]
        figure.add_trace(_marks(known, name, color, symbol, 13))
    anchors = [(place, side) for place, level in enumerate(levels) for side in anchors_px.get(level, ())]
    figure.add_trace(_marks(anchors, "anchors", rgb(2), "line-ew-open", 22))
    ticks = list(range(2, 13))
    figure.update_xaxes(
        tickvals=list(range(len(levels))),
        ticktext=[in_plotly(level) for level in levels],
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        tickvals=ticks, ticktext=[2**tick for tick in ticks], title="side, px of the input", gridcolor=FAINT
    )
    figure.update_layout(_LAYOUT, height=480)
    return figure


def _marks(points: Sequence[tuple[int, float]], name: str, color: str, symbol: str, size: int) -> go.Scatter:
    return go.Scatter(
        x=[place for place, _ in points],
        y=[np.log2(side) for _, side in points],
        customdata=[side for _, side in points],
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 2.5, "color": color}},
        name=name,
        hovertemplate="%{customdata:.0f} px",
    )


def _outline(box_xyxy: Sequence[float], name: str, color: str, dash: str, width: float = 2) -> go.Scatter:
    x1, y1, x2, y2 = box_xyxy
    return go.Scatter(
        x=[x1, x2, x2, x1, x1],
        y=[y1, y1, y2, y2, y1],
        mode="lines",
        line={"color": color, "dash": dash, "width": width},
        name=name,
        hoverinfo="name",
    )
