"""Where objects are lost in a detector, drawn as a flow from their sizes to their ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.autopsy.result import Autopsy, SizeGroup
from explorer.autopsy.verdicts import Verdict
from explorer.figures.export import WIDTH_PX
from explorer.figures.style import INK, LAYOUT, rgb
from explorer.scoring.sizes import ALL, COCO_BINS, SizeBin
from explorer.text import in_plotly

_PART_COLORS = (5, 0, 6, 2)
"""Of a detector's parts, in their order."""
_SIZE_COLORS = (1, 4, 3, 7, 0, 5)
"""Of sizes, from the smallest on; sizes beyond start anew."""
_END_COLORS = {Verdict.FOUND: 2, Verdict.LOW_SCORE: 1}
_SHORT = {
    Verdict.DETECTIONS_LIMIT: "over the limit",
    Verdict.SCORE: "below its own threshold",
    Verdict.CENTERNESS: "centerness too low",
}
_PART_X = 0.45
"""Where the parts stand between sizes, 0, and ends, 1."""
_FLOW_PX, _NODE_PX, _GAP_PX = 260, 16, 6
"""Height of all objects together, width of a node, and room between a node and its name."""
_NARROW_PX, _FONT_PX, _SMALL_PX = 600, 13, 10
"""Figures narrower than the first have letters of the third size."""
_ENDS_SHARE, _ENDS_MOST_PX = 0.4, 310
"""What the names of the ends may take of the width."""
_LETTER, _LINE = 0.64, 1.3
"""Width of a letter and height of a line, in sizes of the letters."""
_HALO = ", ".join(["0 0 3px white"] * 6)
"""Around names in the gaps, which ribbons come near; a dark page has its own."""
_BEND = np.linspace(0, 1, 24)
_EASE = _BEND**2 * (3 - 2 * _BEND)
"""How a ribbon goes from one height to another."""


@dataclass(frozen=True)
class _Node:
    """A place where objects pass: a size, a part of the detector, or an end.

    Attributes:
        key: what it is.
        words: what to call it.
        objects: how many pass.
        color: in Plotly's words.
    """

    key: object
    words: str
    objects: int
    color: str

    @property
    def label(self) -> str:
        """What stands beside it."""
        return f"{self.words}: {self.objects:,}"


def autopsy_flow(autopsy: Autopsy, sizes: Sequence[SizeBin] = COCO_BINS[1:], *, width_px: int = WIDTH_PX) -> go.Figure:
    """Draws where the objects of each size end: lost in one of the detector's parts, or detected.

    What is detected is found, or scored below the threshold. Crowds are left out. A ribbon is as thick as its objects
    are many; names stand beside the flow and in its gaps, so that no ribbon strikes one through.

    Args:
        autopsy: of a detector, judged by a run.
        sizes: into which objects fall, none into two; of none, all objects come from one place. Objects of other sizes
            are left out, as those that SODA ignores.
        width_px: how wide the figure will be.
    """
    groups, parts = autopsy.by_size(sizes or (ALL,)), autopsy.chain.parts
    counts = sum((Counter(group.counts) for group in groups), Counter[Verdict]())  # what has no size is not drawn
    total = max(sum(group.objects for group in groups), 1)
    colors = {name: rgb(color) for name, color in (_colors_of(groups) | _colors(parts)).items()}
    columns = [
        [_Node(size.bin.name, size.bin.name, size.objects, colors[size.bin.name]) for size in groups],
        [_Node(name, name, sum(counts[end] for end in ends), colors[name]) for name, ends in parts.items()],
        [_Node(end, _words(end, autopsy), counts[end], _end_color(end)) for ends in parts.values() for end in ends],
    ]
    columns = [[node for node in column if node.objects] for column in columns]
    font_px = _SMALL_PX if width_px < _NARROW_PX else _FONT_PX
    right_px = round(min(_ENDS_SHARE * width_px, _ENDS_MOST_PX))
    left_px = round(font_px * _LETTER * max((len(node.label) for node in columns[0]), default=0)) + _GAP_PX
    rooms = (left_px, width_px, right_px - _GAP_PX)
    names = {
        node.key: wrap(node.label, max(8, int(room / (font_px * _LETTER))))
        for room, column in zip(rooms, columns, strict=True)
        for node in column
    }
    line_px = font_px * _LINE
    pad_px = round(line_px * max(map(len, names.values()), default=1)) + 4
    tops = _tops(columns, _FLOW_PX / total, pad_px)
    places = [left_px + _NODE_PX / 2, 0.0, width_px - right_px - _NODE_PX / 2]
    places[1] = places[0] + _PART_X * (places[2] - places[0])
    x_of = {node.key: x for x, column in zip(places, columns, strict=True) for node in column}
    figure = go.Figure()
    links = [link for link in _links(autopsy, counts, groups) if link[2]]
    _draw_ribbons(figure, links, tops, x_of, _FLOW_PX / total)
    shapes: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for column, side in zip(columns, ("right", "center", "left"), strict=True):
        for node in column:
            top, bottom = tops[node.key]
            x, half = x_of[node.key], _NODE_PX / 2
            corners = {"x0": x - half, "x1": x + half, "y0": top, "y1": bottom}
            line = {"color": node.color, "width": 1}
            shapes.append({"type": "rect", **corners, "fillcolor": node.color, "line": line})
            beside = {"left": half + _GAP_PX, "right": -half - _GAP_PX, "center": 0}[side]
            annotations.append(
                {
                    "text": "<br>".join(map(in_plotly, names[node.key])),
                    "x": x + beside,
                    "y": top if side == "center" else (top + bottom) / 2,
                    "xanchor": side,
                    "yanchor": "bottom" if side == "center" else "middle",
                    "align": side,
                    "showarrow": False,
                    "font": {"size": font_px, "shadow": _HALO if side == "center" else "none"},
                }
            )
    height = max((bottom for _, bottom in tops.values()), default=_FLOW_PX) + pad_px / 2
    figure.update_xaxes(range=[0, width_px], visible=False, fixedrange=True)
    figure.update_yaxes(range=[height, -pad_px], visible=False, fixedrange=True)
    margin = {"l": 0, "r": 0, "t": 4, "b": 4}
    size = {"height": height + pad_px + 8, "margin": margin}
    figure.update_layout(LAYOUT, **size, shapes=shapes, annotations=annotations, showlegend=False, dragmode=False)
    return figure


def _tops(columns: Sequence[Sequence[_Node]], scale: float, pad_px: int) -> dict[object, tuple[float, float]]:
    """Where each node begins and ends, in pixels from the top; the columns are centred on each other."""
    heights = [sum(scale * node.objects + pad_px for node in column) - pad_px for column in columns]
    tops: dict[object, tuple[float, float]] = {}
    for column, height in zip(columns, heights, strict=True):
        top = (max(heights) - height) / 2
        for node in column:
            tops[node.key] = (top, top + scale * node.objects)
            top += scale * node.objects + pad_px
    return tops


def _draw_ribbons(
    figure: go.Figure,
    links: Sequence[tuple[object, object, int, int]],
    tops: Mapping[object, tuple[float, float]],
    x_of: Mapping[object, float],
    scale: float,
) -> None:
    """Draws a ribbon for each link, below each other at both of its ends."""
    left, into = ({key: top for key, (top, _) in tops.items()} for _ in range(2))
    for source, target, value, color in links:
        thick = scale * value
        start, end = left[source], into[target]
        left[source] += thick
        into[target] += thick
        x = x_of[source] + _NODE_PX / 2 + _BEND * (x_of[target] - x_of[source] - _NODE_PX)
        upper = start + _EASE * (end - start)
        figure.add_trace(
            go.Scatter(
                x=np.round([*x, *x[::-1]], 1),
                y=np.round([*upper, *(upper + thick)[::-1]], 1),
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=rgb(color, 0.4),
                name=in_plotly(f"{_name(source)} → {_name(target)}: {value:,}"),
                meta=[_name(source), _name(target), value],
                hoveron="fills",
                hoverinfo="name",
                hoverlabel={"namelength": -1},
            )
        )


def _name(key: object) -> str:
    return key.label if isinstance(key, Verdict) else str(key)


def _links(
    autopsy: Autopsy, counts: Mapping[Verdict, int], groups: Sequence[SizeGroup]
) -> Iterator[tuple[object, object, int, int]]:
    """Yields source, target, number of objects and colour: from sizes to parts, from parts to ends."""
    colors, of_size = _colors(autopsy.chain.parts), _colors_of(groups)
    for name, ends in autopsy.chain.parts.items():
        for size in groups:
            yield size.bin.name, name, sum(size.counts[end] for end in ends), of_size[size.bin.name]
        for end in ends:
            yield name, end, counts[end], _END_COLORS.get(end, colors[name])


def _colors_of(groups: Sequence[SizeGroup]) -> dict[str, int]:
    return {group.bin.name: _SIZE_COLORS[place % len(_SIZE_COLORS)] for place, group in enumerate(groups)}


def _colors(parts: Iterable[str]) -> dict[str, int]:
    return dict(zip(parts, _PART_COLORS, strict=True))


def _words(end: Verdict, autopsy: Autopsy) -> str:
    if end == Verdict.FOUND:
        return f"found, {autopsy.point.words}"
    if end == Verdict.LOW_SCORE:
        return f"score below {autopsy.point.score:.3g}"
    return _SHORT.get(end, end.label)


def _end_color(end: Verdict) -> str:
    return rgb(_END_COLORS[end]) if end in _END_COLORS else INK
