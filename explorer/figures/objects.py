"""Objects counted by class and size."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from explorer.figures.style import FAINT, LAYOUT, rgb
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import SIZES

_COLORS = dict(zip(SIZES, (1, 4, 3), strict=True))


def objects_by_class(counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Draws numbers of objects as bars, one per class, stacked by COCO size.

    Args:
        counts: by class name, the number of objects of each of `explorer.types.SIZES`; the most frequent class comes
            first, and classes without objects are left out where others have some.
    """
    totals = {name: sum(own.values()) for name, own in counts.items()}
    names = sorted((name for name in counts if totals[name]), key=lambda name: -totals[name]) or list(counts)
    figure = go.Figure(
        [
            go.Bar(
                x=[counts[name][size] for name in names],
                y=list(range(len(names))),
                orientation="h",
                name=size,
                marker={"color": rgb(_COLORS[size])},
                hovertemplate=f"%{{x:,}} {size}<extra></extra>",
            )
            for size in SIZES
        ]
    )
    labels = [in_plotly(name, NAME_LENGTH) for name in names]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=labels, autorange="reversed", automargin=True)
    figure.update_xaxes(title="objects", gridcolor=FAINT, zerolinecolor=FAINT)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    margin = {"l": 60, "r": 20, "t": 50, "b": 50}
    figure.update_layout(LAYOUT, barmode="stack", height=120 + 26 * max(4, len(names)), legend=legend, margin=margin)
    return figure
