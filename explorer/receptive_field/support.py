"""Which input pixels reach which units: exact sets, and what each operation does to them.

A support says, for one axis, which input positions reach which output positions: a boolean matrix. What an
operation on a feature map does to it follows from the operation's own geometry: kernel, stride, padding, dilation.
The set of pixels that a unit sees is a union of products of a set of rows and a set of columns: one product in most
networks, more where branches have kernels of different shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from explorer.types import Bools, Ints


@dataclass(frozen=True, eq=False)
class Product:
    """For every unit, a set of rows times a set of columns.

    Attributes:
        rows: `(output rows, input rows)`: which input rows reach which output rows.
        columns: `(output columns, input columns)`.
    """

    rows: Bools
    columns: Bools

    def covers(self, other: Product) -> bool:
        """Whether every unit sees at least what it sees in `other`."""
        if self.rows is self.columns and other.rows is other.columns:
            return _covers(self.rows, other.rows)
        return _covers(self.rows, other.rows) and _covers(self.columns, other.columns)


def union(products: Iterable[Product]) -> tuple[Product, ...]:
    """Returns the products that are needed: one that another covers is left out."""
    needed: list[Product] = []
    for product in products:
        if any(kept.covers(product) for kept in needed):
            continue
        needed = [kept for kept in needed if not product.covers(kept)]
        needed.append(product)
    return tuple(needed)


def identity(size: tuple[int, int]) -> tuple[Product, ...]:
    """The support of the input itself: each pixel sees itself."""
    return (Product(np.eye(size[0], dtype=np.bool_), np.eye(size[1], dtype=np.bool_)),)


def windows(support: Bools, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Bools:
    """What a convolution's or a pooling's outputs see along one axis; what lies in the padding is not there.

    Args:
        support: `(inputs, pixels)`, of what the windows slide over.
        outputs: number of outputs.
        kernel: taps of a window.
        stride: between windows.
        padding: in front.
        dilation: between taps.

    Returns:
        `(outputs, pixels)`.
    """
    seen = np.zeros((outputs, support.shape[1]), dtype=np.bool_)
    starts = np.arange(outputs) * stride - padding
    for tap in range(kernel):
        place = starts + tap * dilation
        inside = (place >= 0) & (place < len(support))
        seen[inside] |= support[place[inside]]
    return seen


def spread(support: Bools, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Bools:
    """What a transposed convolution's outputs see along one axis; arguments as in `windows`."""
    seen = np.zeros((outputs, support.shape[1]), dtype=np.bool_)
    for source in range(len(support)):
        for tap in range(kernel):
            place = source * stride - padding + tap * dilation
            if 0 <= place < outputs:
                seen[place] |= support[source]
    return seen


def picked(support: Bools, sources: Ints) -> Bools:
    """What outputs see that are copies of inputs, or nothing where the source is -1: nearest resizing, slices, pads."""
    seen = support[np.maximum(sources, 0)]
    seen[sources < 0] = False
    return seen


def _covers(larger: Bools, smaller: Bools) -> bool:
    if larger is smaller:
        return True
    middle = len(larger) // 2  # one unit alone mostly tells that it is not
    return not (smaller[middle] > larger[middle]).any() and not (smaller > larger).any()
