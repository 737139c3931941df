"""Where objects are lost in a detector, drawn as a flow from their sizes to their ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from explorer.autopsy.examine import Autopsy, SizeGroup
from explorer.autopsy.verdicts import Verdict
from explorer.figures.style import INK, LAYOUT, rgb
from explorer.scoring.sizes import ALL, COCO_BINS, SizeBin

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
_COLUMNS_X = (0.001, 0.33, 0.999)
"""Where sizes, groups and ends stand; those of the ends leave room for their labels."""
_HALO = ", ".join(["0 0 3px white"] * 4)
"""Around labels, which ribbons would strike through; a dark page has its own."""
_HEIGHT_PX, _MARGIN_PX = 500, 10


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


def autopsy_sankey(autopsy: Autopsy, sizes: Sequence[SizeBin] = COCO_BINS[1:], *, font_px: int = 13) -> go.Figure:
    """Draws where the objects of each size end: lost in one of the detector's parts, or detected.

    What is detected is found, or scored below the threshold. Crowds are left out.

    Args:
        autopsy: of a detector, judged by a run.
        sizes: into which objects fall, none into two; of none, all objects come from one place.
        font_px: of the labels; smaller on narrow pages.
    """
    everything, *groups = autopsy.by_size((ALL, *(sizes or (ALL,))))
    counts, parts = everything.counts, autopsy.chain.parts
    colors = {name: rgb(color) for name, color in (_colors_of(groups) | _colors(parts)).items()}
    columns = [
        [_Node(size.bin.name, size.bin.name, size.objects, colors[size.bin.name]) for size in groups],
        [_Node(name, name, sum(counts[end] for end in ends), colors[name]) for name, ends in parts.items()],
        [_Node(end, _words(end, autopsy), counts[end], _end_color(end)) for ends in parts.values() for end in ends],
    ]
    columns = [[node for node in column if node.objects] for column in columns]
    nodes = [node for column in columns for node in column]
    place_of = {node.key: place for place, node in enumerate(nodes)}
    links = [link for link in _links(autopsy, everything, groups) if link[2]]
    pad = font_px + 6
    figure = go.Figure(
        go.Sankey(
            arrangement="snap",
            node={
                "label": [f"{node.words}: {node.objects:,}" for node in nodes],
                "color": [node.color for node in nodes],
                "x": [x for x, column in zip(_COLUMNS_X, columns, strict=True) for _ in column],
                "y": [y for column in columns for y in _centres(column, columns, pad)],
                "pad": pad,
                "thickness": 16,
                "line": {"width": 0},
            },
            link={
                "source": [place_of[source] for source, _, _, _ in links],
                "target": [place_of[target] for _, target, _, _ in links],
                "value": [value for _, _, value, _ in links],
                "color": [rgb(color, 0.35) for _, _, _, color in links],
            },
            textfont={"color": INK, "size": font_px, "shadow": _HALO},
        )
    )
    figure.update_layout(LAYOUT, height=_HEIGHT_PX, margin=dict.fromkeys("lrtb", _MARGIN_PX))
    return figure


def _links(
    autopsy: Autopsy, everything: SizeGroup, groups: Sequence[SizeGroup]
) -> Iterator[tuple[object, object, int, int]]:
    """Yields source, target, number of objects and colour: from sizes to parts, from parts to ends."""
    colors, of_size = _colors(autopsy.chain.parts), _colors_of(groups)
    for name, ends in autopsy.chain.parts.items():
        for size in groups:
            yield size.bin.name, name, sum(size.counts[end] for end in ends), of_size[size.bin.name]
        for end in ends:
            yield name, end, everything.counts[end], _END_COLORS.get(end, colors[name])


def _colors_of(groups: Sequence[SizeGroup]) -> dict[str, int]:
    return {group.bin.name: _SIZE_COLORS[place % len(_SIZE_COLORS)] for place, group in enumerate(groups)}


def _colors(parts: Iterable[str]) -> dict[str, int]:
    return dict(zip(parts, _PART_COLORS, strict=True))


def _centres(column: Sequence[_Node], columns: Sequence[Sequence[_Node]], pad_px: int) -> Iterator[float]:
    """Yields where the nodes of a column stand in the figure's height, 0 to 1, from the top in their order."""
    height = _HEIGHT_PX - 2 * _MARGIN_PX
    total = sum(node.objects for node in column)
    scale = min((height - pad_px * (len(own) - 1)) / max(total, 1) for own in columns)
    top = (height - scale * total - pad_px * (len(column) - 1)) / 2
    for node in column:
        yield (top + scale * node.objects / 2) / height
        top += scale * node.objects + pad_px


def _words(end: Verdict, autopsy: Autopsy) -> str:
    if end == Verdict.FOUND:
        return f"found, {autopsy.point.words}"
    if end == Verdict.LOW_SCORE:
        return f"score below {autopsy.point.score:.3g}"
    return _SHORT.get(end, end.label)


def _end_color(end: Verdict) -> str:
    return rgb(_END_COLORS[end]) if end in _END_COLORS else INK
