"""One OSA block drawn from the live module: what is concatenated, what aggregates it, and what V2 added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from torch import nn

from explorer.backbones.blocks import ESE, OSABlock
from explorer.figures.style import INK, LAYOUT, rgb

_MAIN, _SIDE = 0.0, 1.0  # rows: the chain, and the line that leads to the concatenation
_ADDED = -1.0
_LAYOUT: dict[str, Any] = LAYOUT | {
    "margin": {"l": 10, "r": 10, "t": 40, "b": 10},
}


@dataclass(frozen=True)
class _Chain:
    """A block as a row of boxes.

    Attributes:
        boxes: words and colour of each, in the order that the data takes.
        taps: places of the boxes whose outputs are concatenated.
        concat: place of the concatenation.
        identity: whether the input is added to the output.
    """

    boxes: list[tuple[str, int]]
    taps: list[int]
    concat: int
    identity: bool


def osa_block(block: nn.Module, title: str = "OSA block") -> go.Figure:
    """Draws a block: its chain of convolutions, all of whose outputs meet once, at the end.

    Every number is read from the module's own weights.

    Args:
        block: of a VoVNet of this package, or of timm's HGNet and HGNetV2, which descend from it.
        title: what to write above.

    Raises:
        ValueError: `block` aggregates in no such way.
    """
    chain = _chain(block)
    boxes, last = chain.boxes, len(chain.boxes) - 1
    figure = go.Figure()
    for place in range(last):
        if place + 1 != chain.concat:
            _arrow(figure, (place, _MAIN), (place + 1, _MAIN))
    for place in chain.taps:
        _line(figure, [(place, _MAIN), (place, _SIDE)])
    _line(figure, [(0, _SIDE), (chain.concat, _SIDE)])
    _arrow(figure, (chain.concat, _SIDE), (chain.concat, _MAIN))
    if chain.identity:
        _line(figure, [(0, _MAIN), (0, _ADDED), (last, _ADDED)])
        _arrow(figure, (last, _ADDED), (last, _MAIN))
    for place, (words, color) in enumerate(boxes):
        figure.add_annotation(
            x=place,
            y=_MAIN,
            text=words,
            showarrow=False,
            bgcolor="white",
            font={"color": "#333", "size": 12},
            bordercolor=rgb(color),
            borderwidth=2,
            borderpad=5,
        )
    figure.update_xaxes(range=[-0.6, last + 0.6], visible=False)
    figure.update_yaxes(range=[_ADDED - 0.3 if chain.identity else -0.6, _SIDE + 0.3], visible=False)
    figure.update_layout(_LAYOUT, height=260 if chain.identity else 210, title={"text": title, "x": 0.5})
    return figure


def _chain(block: nn.Module) -> _Chain:
    if isinstance(block, OSABlock):
        parts = [block.concat] if block.ese is None else [block.concat, block.ese]
        return _chained(block.layers, block.conv_reduction, parts, identity=block.identity)
    try:  # timm's `HighPerfGpuBlock`
        parts = list(block.aggregation)  # type: ignore[arg-type]
        return _chained(block.layers, None, parts, identity=bool(block.residual))  # type: ignore[arg-type]
    except AttributeError as error:
        raise ValueError(
            f"{type(block).__name__} is not a block with one-shot aggregation. Give an OSABlock of VoVNet, or a block "
            "of timm's HGNet or HGNetV2."
        ) from error


def _chained(
    layers: Iterable[nn.Module], reduction: nn.Module | None, aggregation: Sequence[nn.Module], *, identity: bool
) -> _Chain:
    """Puts the layers in a row, with what brings the input to their width and what follows the concatenation."""
    widths = [_convolutions(layer)[-1].out_channels for layer in layers]
    collected = _convolutions(aggregation[0])[0].in_channels
    boxes = [(f"input<br>{collected - sum(widths)}", 2)]
    if reduction is not None:
        boxes.append((f"1×1<br>{_convolutions(reduction)[-1].out_channels}", 1))
    taps = [0]
    for layer, width in zip(layers, widths, strict=True):
        taps.append(len(boxes))
        boxes.append((f"{' +<br>'.join(map(_kernel, _convolutions(layer)))}<br>{width}", 4))
    concat = len(boxes)
    boxes.append((f"concat<br>{collected}", 7))
    for part in aggregation:
        convolution = _convolutions(part)[0]
        gate = isinstance(part, ESE) or any(isinstance(inner, nn.Sigmoid) for inner in part.modules())
        boxes.append((f"{'eSE' if gate else _kernel(convolution)}<br>{convolution.out_channels}", 5 if gate else 1))
    if identity:
        boxes.append(("+ input", 2))
    return _Chain(boxes, taps, concat, identity)


def _kernel(convolution: nn.Conv2d) -> str:
    height, width = convolution.kernel_size
    depthwise = convolution.groups == convolution.in_channels > 1
    return f"{'dw ' if depthwise else ''}{height}×{width}"


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
