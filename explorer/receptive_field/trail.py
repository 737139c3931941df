"""What is known of a tensor on its way through a network, and one call of an operation on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from explorer.receptive_field.support import Product, union

Axes = tuple[int, int]
"""Which dimensions of a tensor are rows and columns; -1 for one that is gone."""


@dataclass(frozen=True, eq=False)
class Trail:
    """What is known of a tensor.

    Attributes:
        products: what its units see; empty where they see nothing of the input.
        axes: its rows and columns; one axis twice where `folded` is given.
        whole: layers on the way that look at the whole map.
        unknown: operations on the way that were not understood, with the layers that they stand in.
        folded: numbers of rows and columns of a map whose places lie along one axis; None for a map with two.
        stride: pixels from one unit to the next, downwards and to the right.
    """

    products: tuple[Product, ...]
    axes: Axes
    whole: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    folded: tuple[int, int] | None = None
    stride: tuple[float, float] = (1.0, 1.0)


class NotUnderstoodError(Exception):
    """What an operation does to the support is not known."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an operation.

    Attributes:
        arguments: as the operation was given them, in order.
        operands: the tensors among them that depend on the input, with what is known of them.
        output: what it gave, or one of several.
        layer: the layer that it stands in.
        ignore_global: whether what looks at the whole map is left out.
    """

    arguments: tuple[Any, ...]
    operands: tuple[tuple[Tensor, Trail], ...]
    output: Tensor
    layer: str
    ignore_global: bool

    @property
    def trail(self) -> Trail:
        """That of the first operand."""
        return self.operands[0][1]

    @property
    def tensor(self) -> Tensor:
        """The first operand."""
        return self.operands[0][0]

    def argument(self, place: int, default: Any = None) -> Any:
        return self.arguments[place] if len(self.arguments) > place else default

    def pair(self, place: int, default: int = 0) -> tuple[int, int]:
        """An argument that is one number or one for each axis."""
        given = self.argument(place)
        values = [default] if given is None else [given] if isinstance(given, int) else list(given) or [default]
        return int(values[0]), int(values[-1])


def merged(trails: Sequence[Trail], axes: Axes) -> Trail:
    """Returns what a tensor sees whose units combine units of several tensors at the same place."""
    return Trail(
        union(product for trail in trails for product in trail.products),
        axes,
        once(name for trail in trails for name in trail.whole),
        once(name for trail in trails for name in trail.unknown),
        stride=(min(trail.stride[0] for trail in trails), min(trail.stride[1] for trail in trails)),
    )


def once(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order in which they come first."""
    return tuple(dict.fromkeys(names))
