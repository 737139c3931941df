"""One OSA block drawn from the live module: what is concatenated, what aggregates it, and what V2 added."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from torch import nn

from explorer.backbones.blocks import OSABlock
from explorer.engine.draw import class_color
from explorer.figures.style import INK, LAYOUT

_MAIN, _SIDE = 0.0, 1.0  # rows: the chain, and the line that leads to the concatenation
_ADDED = -1.0
_LAYOUT: dict[str, Any] = LAYOUT | {
    "margin": {"l": 10, "r": 10, "t": 40, "b": 10},
}


def osa_block(block: OSABlock, title: str = "OSA block") -> go.Figure:
    """Draws a block: its chain of 3×3 convolutions, all of whose outputs meet once, at the end.

    Every number is read from the module's own weights.

    Args:
        block: of a VoVNet of this package.
        title: what to write above.
    """
    widths = [_convolutions(layer)[-1].out_channels for layer in block.layers]
    aggregation = _convolutions(block.concat)[-1]
    first = aggregation.in_channels - sum(widths)
    names = [(f"input<br>{first}", 2)]
    if block.conv_reduction is not None:
        names.append((f"1×1<br>{_convolutions(block.conv_reduction)[-1].out_channels}", 1))
    taps = [0]
    for layer, width in zip(block.layers, widths, strict=True):
        convolutions = _convolutions(layer)
        kernel = "dw 3×3 + 1×1" if len(convolutions) > 1 else "3×3"
        taps.append(len(names))
        names.append((f"{kernel}<br>{width}", 4))
    concat = len(names)
    names.append((f"concat<br>{aggregation.in_channels}", 7))
    names.append((f"1×1<br>{aggregation.out_channels}", 1))
    if block.ese is not None:
        names.append((f"eSE<br>{aggregation.out_channels}", 5))
    if block.identity:
        names.append(("+ input", 2))
    figure = go.Figure()
    for place in range(len(names) - 1):
        if place + 1 != concat:
            _arrow(figure, (place, _MAIN), (place + 1, _MAIN))
    for place in taps:
        _line(figure, [(place, _MAIN), (place, _SIDE)])
    _line(figure, [(0, _SIDE), (concat, _SIDE)])
    _arrow(figure, (concat, _SIDE), (concat, _MAIN))
    if block.identity:
        last = len(names) - 1
        _line(figure, [(0, _MAIN), (0, _ADDED), (last, _ADDED)])
        _arrow(figure, (last, _ADDED), (last, _MAIN))
    for place, (words, color) in enumerate(names):
        figure.add_annotation(
            x=place,
            y=_MAIN,
            text=words,
            showarrow=False,
            bgcolor="white",
            font={"color": "#333", "size": 12},
            bordercolor=f"rgb{class_color(color)}",
            borderwidth=2,
            borderpad=5,
        )
    figure.update_xaxes(range=[-0.6, len(names) - 0.4], visible=False)
    figure.update_yaxes(range=[_ADDED - 0.3 if block.identity else -0.6, _SIDE + 0.3], visible=False)
    figure.update_layout(_LAYOUT, height=260 if block.identity else 210, title={"text": title, "x": 0.5})
    return figure


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def _line(figure: go.Figure, points: list[tuple[float, float]]) -> None:
    x, y = zip(*points, strict=True)
    line = {"color": INK, "width": 1.5}
    figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip"))


def _arrow(figure: go.Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    figure.add_annotation(
        x=end[0],
        y=end[1],
        ax=start[0],
        ay=start[1],
        xref="x",
        yref="y",
        axref="x",
        ayref="y",
        text="",
        arrowhead=2,
        arrowcolor=INK,
        arrowwidth=1.5,
        standoff=26,
    )
