"""Objects counted by class and size, and by the length of their sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from explorer.figures.style import FAINT, LAYOUT, rgb
from explorer.text import NAME_LENGTH, in_plotly
from explorer.types import SIZES

_BARS_PER_OCTAVE = 4
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


def objects_by_side(sides_px: npt.ArrayLike, names: Sequence[str], sizes: Sequence[str]) -> go.Figure:
    """Draws numbers of objects over the length of their sides as bars on a logarithmic axis, coloured by size.

    Args:
        sides_px: `(N,)`, in pixels; those below 1 are counted at 1.
        names: the size of each.
        sizes: the sizes there are, in the order of the legend.
    """
    sides = np.maximum(np.asarray(sides_px, np.float64), 1)
    places = np.floor(np.log2(sides) * _BARS_PER_OCTAVE).astype(np.int64)
    every = np.arange(places.min(), places.max() + 1) if len(places) else np.arange(1)
    edges = 2 ** (np.append(every, every[-1] + 1) / _BARS_PER_OCTAVE)
    of = np.asarray(names, dtype=object)
    figure = go.Figure()
    for index, size in enumerate(sizes):
        counts = np.array([int((places[of == size] == place).sum()) for place in every])
        figure.add_bar(
            x=np.sqrt(edges[:-1] * edges[1:]),
            y=counts,
            width=np.diff(edges) * 0.94,
            name=in_plotly(size, NAME_LENGTH),
            marker={"color": rgb((1, 4, 3, 2, 5, 0, 6)[index % 7])},
            customdata=np.stack([edges[:-1], edges[1:]], axis=1),
            hovertemplate="%{y:,} of %{customdata[0]:.3g} to %{customdata[1]:.3g} px<extra>%{fullData.name}</extra>",
        )
    ticks = [2**power for power in range(15)]
    figure.update_xaxes(type="log", title="side of a square of the object's area, px", tickvals=ticks, gridcolor=FAINT)
    figure.update_yaxes(title="objects", gridcolor=FAINT, zerolinecolor=FAINT)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    margin = {"l": 60, "r": 20, "t": 50, "b": 50}
    figure.update_layout(LAYOUT, barmode="stack", height=400, legend=legend, margin=margin)
    return figure
