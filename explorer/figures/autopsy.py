"""Where objects are lost in a detector, drawn as a flow from their sizes to their ends."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from explorer.autopsy.examine import Autopsy
from explorer.autopsy.verdicts import Verdict
from explorer.figures.style import INK, LAYOUT, rgb

_GROUPS: Mapping[str, tuple[Verdict, ...]] = {
    "lost in proposals": (
        Verdict.NO_ANCHOR,
        Verdict.PRE_NMS_TOPK,
        Verdict.TOO_SMALL,
        Verdict.RPN_NMS,
        Verdict.POST_NMS_TOPK,
        Verdict.NO_PROPOSAL,
    ),
    "lost in box head": (Verdict.BACKGROUND, Verdict.OTHER_CLASS, Verdict.REGRESSED_AWAY, Verdict.SCORE),
    "lost in selection": (Verdict.FINAL_NMS, Verdict.DETECTIONS_LIMIT, Verdict.TAKEN, Verdict.NOT_IN_RUN),
    "detected": (Verdict.LOW_SCORE, Verdict.FOUND),
}
_GROUP_COLORS = dict(zip(_GROUPS, (5, 0, 6, 2), strict=True))
_END_COLORS = {Verdict.FOUND: 2, Verdict.LOW_SCORE: 1}
_SIZE_COLORS = (1, 4, 3)
_SHORT = {Verdict.DETECTIONS_LIMIT: "over the limit", Verdict.SCORE: "below its own threshold"}


def autopsy_sankey(autopsy: Autopsy, *, font_px: int = 13) -> go.Figure:
    """Draws where the objects of each size end: lost among proposals, in the box head or in the selection, or detected.

    What is detected is found, or scored below the threshold. Crowds are left out.

    Args:
        autopsy: of a detector, judged by a run.
        font_px: of the labels; smaller on narrow pages.
    """
    everything, *sizes = (size for size in autopsy.by_size() if size.objects or size.bin.name == "all")
    ends = [verdict for own in _GROUPS.values() for verdict in own if everything.counts[verdict]]
    names = [name for name, own in _GROUPS.items() if set(own) & set(ends)]
    totals = {name: sum(everything.counts[verdict] for verdict in _GROUPS[name]) for name in names}
    nodes: list[tuple[str, int | None]] = [
        (f"{size.bin.name}: {size.objects:,}", color) for size, color in zip(sizes, _SIZE_COLORS, strict=False)
    ]
    nodes += [(f"{name}: {totals[name]:,}", _GROUP_COLORS[name]) for name in names]
    nodes += [
        (f"{_end_words(verdict, autopsy)}: {everything.counts[verdict]:,}", _END_COLORS.get(verdict))
        for verdict in ends
    ]
    group_of = {name: len(sizes) + place for place, name in enumerate(names)}
    end_of = {verdict: len(sizes) + len(names) + place for place, verdict in enumerate(ends)}
    links = [
        (place, group_of[name], sum(size.counts[verdict] for verdict in _GROUPS[name]), _SIZE_COLORS[place])
        for place, size in enumerate(sizes)
        for name in names
    ]
    links += [
        (group_of[name], end_of[verdict], everything.counts[verdict], _END_COLORS.get(verdict, _GROUP_COLORS[name]))
        for name in names
        for verdict in _GROUPS[name]
        if verdict in end_of
    ]
    drawn = [link for link in links if link[2]]
    figure = go.Figure(
        go.Sankey(
            node={
                "label": [label for label, _ in nodes],
                "color": [INK if color is None else rgb(color) for _, color in nodes],
                "pad": 14,
                "thickness": 16,
                "line": {"width": 0},
            },
            link={
                "source": [source for source, _, _, _ in drawn],
                "target": [target for _, target, _, _ in drawn],
                "value": [value for _, _, value, _ in drawn],
                "color": [rgb(color, 0.35) for _, _, _, color in drawn],
            },
            textfont={"color": INK, "size": font_px, "shadow": "none"},
        )
    )
    figure.update_layout(LAYOUT, height=480, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _end_words(verdict: Verdict, autopsy: Autopsy) -> str:
    if verdict == Verdict.FOUND:
        return f"found, {autopsy.point.words}"
    if verdict == Verdict.LOW_SCORE:
        return f"score below {autopsy.point.score:.3g}"
    return _SHORT.get(verdict, verdict.label)
