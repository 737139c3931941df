"""Feature maps to zoom into: maps of several models over one photo, a grid of channels, and the use of OSA layers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.features.maps import RankedChannel, channel, value_range
from explorer.features.usage import LayerUsage
from explorer.figures.photo import backdrop
from explorer.figures.pictures import COLORS, check_photo
from explorer.figures.style import INK
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import FeatureMap, Frame, MapView, Pixels

_TILE_CELLS = 240  # a tile of the grid is no wider on a page; finer cells only make the page heavier
_WIDTH_PX = 800
_NARROW_PX = 500
_CHARACTER_PX = 6.8
_USAGE_SAYS = (
    "Share of the squared weights of each block's aggregating 1×1 convolution that reads the block's input and each "
    "3×3 layer, in percent. Colour: the same per channel, 1 being the block's average; an input that is not used would "
    "be dark."
)
_TITLE_PX, _LINE_PX = 30, 17


def linked_maps(
    views: Mapping[str, MapView],
    image_bgr: Pixels | None = None,
    *,
    opacity: float = 0.75,
    common_range: bool = False,
    boxes_xyxy: Sequence[Sequence[float]] = (),
    width_px: int = _WIDTH_PX,
) -> go.Figure:
    """Draws maps of one photo beside each other, of two to four models or of several layers; zoom and pan are linked.

    Cells are drawn as they are, without smoothing, where they lie in the photo. Under the pictures stands what each
    kind of map shows. Three maps stand in a row, four in two rows, more in rows of three; on a narrow page one a row.

    Args:
        views: by title, all of photos of one size.
        image_bgr: the photo, `(height, width, 3)`, BGR; it shows through in grey. None leaves it out.
        opacity: of the maps over the photo, 0 to 1.
        common_range: one range of values for all maps, so that one colour is one value. Otherwise each map has its
            own: values of different networks are in different units.
        boxes_xyxy: boxes to draw on each, in the photo's pixels.
        width_px: how wide the figure will be on the page.

    Raises:
        ValueError: there is no view, or the sizes do not agree.
    """
    _check(views, image_bgr)
    names = list(views)
    most = 1 if width_px < _NARROW_PX else 3
    columns = min(most, 2 if len(names) in (2, 4) else len(names))
    rows = math.ceil(len(names) / columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[in_plotly(name, NAME_LENGTH) for name in names],
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.012,
        vertical_spacing=_spacing(views[names[0]].frame, rows, columns, width_px),
    )
    numbers = [view for view in views.values() if not view.is_color]
    bounds = value_range(numbers) if common_range and numbers else None
    photo = None if image_bgr is None else backdrop(_grey(image_bgr))
    frame = views[names[0]].frame
    for index, view in enumerate(views.values()):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        if photo:
            figure.add_layout_image(**photo, **place)
        figure.add_trace(_trace(view, opacity if photo else 1, bounds), **place)
        for trace in _outlines(boxes_xyxy):
            figure.add_trace(trace, **place)
    if bounds:
        figure.data[[view.is_color for view in views.values()].index(False)].update(showscale=True)
    notes = _notes(views.values(), own_ranges=len(numbers) > 1 and not common_range)
    _lay_out(figure, frame, rows, columns, notes, width_px)
    return figure


def feature_grid(feature: FeatureMap, ranked: Sequence[RankedChannel], *, by: str, columns: int = 4) -> go.Figure:
    """Draws single channels of a layer, each in its own range of values; zoom and pan are linked.

    Args:
        feature: the map.
        ranked: the channels, as `explorer.features.maps.top_channels` gives them.
        by: what they were ranked by.
        columns: channels in a row.

    Raises:
        ValueError: no channel is given.
    """
    if not ranked:
        raise ValueError("There are no channels to draw; give at least one.")
    columns = min(columns, len(ranked))
    rows = math.ceil(len(ranked) / columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[f"{one.channel}  ·  {one.score:.3g}" for one in ranked],
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.012,
        vertical_spacing=min(0.1, 0.22 / rows),
    )
    for index, one in enumerate(ranked):
        trace = _trace(channel(feature, one.channel), 1, None, most_cells=_TILE_CELLS)
        figure.add_trace(trace, row=index // columns + 1, col=index % columns + 1)
    note = (
        f"{in_plotly(feature.layer)}: {len(ranked)} of {len(feature.values)} channels, those with the most {by} first. "
        f"Over each: its number and its {by}. Each has its own range of values, dark is low and bright is high."
    )
    _lay_out(figure, feature.frame, rows, columns, [note], _WIDTH_PX)
    return figure


def usage_matrix(usages: Mapping[str, Sequence[LayerUsage]]) -> go.Figure:
    """Draws how much each OSA block's aggregation uses each of its inputs, one matrix per model.

    Colour is the weight energy per channel, relative to the block's average: the widths of the inputs differ, and a
    wide one would look used for its width alone. The figures in the cells are the plain shares in percent.

    Args:
        usages: by model, as `explorer.features.usage.layer_usage` gives them.

    Raises:
        ValueError: there is no model.
    """
    if not usages:
        raise ValueError("There is no model to draw; give at least one.")
    widths = [max(len(block.inputs) for block in blocks) for blocks in usages.values()]
    figure = make_subplots(
        1,
        len(usages),
        subplot_titles=[in_plotly(name, NAME_LENGTH) for name in usages],
        column_widths=widths,
        horizontal_spacing=0.14 / len(usages),
    )
    highest = max(max(block.per_channel) for blocks in usages.values() for block in blocks)
    for column, blocks in enumerate(usages.values(), start=1):
        figure.add_trace(_matrix(blocks), row=1, col=column)
    most = max(len(blocks) for blocks in usages.values())
    notes = _wrapped([_USAGE_SAYS], _WIDTH_PX)
    below = 40 + len(notes) * _LINE_PX
    figure.update_xaxes(tickangle=0, ticks="", showgrid=False, side="bottom")
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_layout(
        coloraxis={
            "colorscale": "Cividis",
            "cmin": 0,
            "cmax": max(2.0, highest),
            "colorbar": {"title": {"text": "per<br>channel"}, "thickness": 12, "outlinewidth": 0},
        },
        height=most * 26 + _TITLE_PX + below,
        margin={"l": 8, "r": 8, "t": _TITLE_PX, "b": below},
        **_style(),
    )
    _write_below(figure, notes, gap_px=36)
    return figure


def _check(views: Mapping[str, MapView], image_bgr: Pixels | None) -> None:
    if not views:
        raise ValueError("There are no maps to draw; give at least one.")
    for view in views.values():
        if image_bgr is not None:
            check_photo(image_bgr, view)
    sizes = {name: view.frame.image_size for name, view in views.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Linked maps are of one photo; these are of photos of different sizes: {sizes}.")


def _trace(
    view: MapView, opacity: float, bounds: tuple[float, float] | None, *, most_cells: int | None = None
) -> go.Heatmap | go.Image:
    """A view as a trace in the photo's coordinates; cells finer than `most_cells` in a row are averaged."""
    values = view.values
    rows, columns = values.shape[:2]
    if most_cells and columns > most_cells:
        size = (most_cells, max(1, round(rows * most_cells / columns)))
        values = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
    x1, y1, x2, y2 = view.frame.to_image((0, 0, columns, rows)).tolist()
    dx, dy = (x2 - x1) / values.shape[1], (y2 - y1) / values.shape[0]
    place = {"x0": x1 + dx / 2, "dx": dx, "y0": y1 + dy / 2, "dy": dy, "opacity": opacity}
    if view.is_color:
        return go.Image(z=values, hovertemplate="x %{x:.0f}  y %{y:.0f}<extra></extra>", **place)
    low, high = bounds or value_range([view])
    return go.Heatmap(
        z=values,
        zmin=low,
        zmax=high if high > low else low + 1,
        colorscale=COLORS,
        showscale=False,
        colorbar={"thickness": 12, "outlinewidth": 0},
        hovertemplate="%{z:.3g}<br>x %{x:.0f}  y %{y:.0f}<extra></extra>",
        **place,
    )


def _outlines(boxes_xyxy: Iterable[Sequence[float]]) -> list[go.Scatter]:
    """Box outlines in white over black, so that they are seen on any colour."""
    x: list[float | None] = []
    y: list[float | None] = []
    for x1, y1, x2, y2 in boxes_xyxy:
        x += [x1, x2, x2, x1, x1, None]
        y += [y1, y1, y2, y2, y1, None]
    lines = ({"color": "black", "width": 4}, {"color": "white", "width": 2})
    return [go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip") for line in lines if x]


def _lay_out(figure: go.Figure, frame: Frame, rows: int, columns: int, notes: Sequence[str], width_px: int) -> None:
    """Links the axes, sizes the figure so that pictures fill its width, and writes the notes below."""
    height, width = frame.image_size
    lines = _wrapped(notes, width_px)
    panel_px = _panel_px(frame, columns, width_px)
    below = 14 + len(lines) * _LINE_PX
    figure.update_xaxes(range=[0, width], visible=False, constrain="domain")  # the subplots' axes match already
    figure.update_yaxes(range=[height, 0], visible=False, constrain="domain")
    figure.update_layout(
        yaxis_scaleanchor="x",
        height=round(rows * (panel_px + _TITLE_PX)) + below,
        margin={"l": 0, "r": 0, "t": _TITLE_PX, "b": below},
        dragmode="pan",
        **_style(),
    )
    _write_below(figure, lines, gap_px=8)


def _panel_px(frame: Frame, columns: int, width_px: int) -> float:
    """How high a picture is that fills its column."""
    height, width = frame.image_size
    return float(np.clip(width_px / columns * height / width, 60, 620))


def _spacing(frame: Frame, rows: int, columns: int, width_px: int) -> float:
    """The share of the height that leaves room for a title above each row but the first."""
    return _TITLE_PX / (rows * _panel_px(frame, columns, width_px) + (rows - 1) * _TITLE_PX)


def _style() -> dict[str, Any]:
    return {
        "font": {"color": INK, "family": "system-ui, sans-serif", "size": 12},
        "plot_bgcolor": "rgba(0,0,0,0)",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"font_size": 13},
    }


def _notes(views: Iterable[MapView], *, own_ranges: bool) -> list[str]:
    """What each kind of map shows, once for each."""
    notes = list(dict.fromkeys(f"<b>{view.kind}</b>: {view.says}" for view in views))
    if own_ranges:
        notes.append("Each map has its own range of values: dark is its lowest, bright its highest.")
    return notes


def _wrapped(notes: Iterable[str], width_px: int) -> list[str]:
    most = max(24, int(width_px / _CHARACTER_PX))
    return [line for note in notes for line in textwrap.wrap(note, most)]


def _write_below(figure: go.Figure, lines: Sequence[str], *, gap_px: int) -> None:
    figure.add_annotation(
        text="<br>".join(lines),
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="top",
        yshift=-gap_px,
        align="left",
        showarrow=False,
        font={"size": 12},
    )


def _matrix(blocks: Sequence[LayerUsage]) -> go.Heatmap:
    columns = max((block.inputs for block in blocks), key=len)
    empty = [float("nan")] * len(columns)
    pad = [(*block.per_channel, *empty)[: len(columns)] for block in blocks]
    shares = [[f"{100 * share:.0f}" for share in block.share] + [""] * len(columns) for block in blocks]
    ends = [block.block.rpartition(".")[2] for block in blocks]
    return go.Heatmap(
        z=pad,
        x=[name.replace("layer ", "") for name in columns],
        y=ends if len(set(ends)) == len(ends) else [block.block for block in blocks],
        text=[row[: len(columns)] for row in shares],
        texttemplate="%{text}",
        coloraxis="coloraxis",
        xgap=2,
        ygap=2,
        hovertemplate="%{y}, %{x}: %{text} % of the weight energy, %{z:.2f} per channel<extra></extra>",
    )


def _grey(image_bgr: Pixels) -> Pixels:
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)
