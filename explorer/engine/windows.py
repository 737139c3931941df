"""Windows on a photograph: how it is cut into overlapping tiles or slices."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

OVERLAP = 0.2
"""How much of a tile its neighbour shows again, by default."""

Window = tuple[int, int, int, int]
"""`(top, left, bottom, right)` in pixels of the photograph."""


@dataclass(frozen=True)
class Tiles:
    """Square tiles of a fixed size.

    Attributes:
        size: length of a side in pixels of the photograph; photographs that fit into one tile are not cut.
        overlap: share of a side that neighbours have in common, at least.

    Raises:
        ValueError: the size is below 32, or the overlap is not in [0, 0.9].
    """

    size: int
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"The tiles' size is {self.size} px; give 32 or more, such as 640.")
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"The tiles' overlap is {self.overlap:g}; give a share between 0 and 0.9, such as 0.2.")

    def windows(self, height: int, width: int) -> list[Window]:
        """Returns windows of one size that cover a photograph; none where it fits into one tile."""
        if max(height, width) <= self.size:
            return []
        common = round(self.size * self.overlap)
        counts = [max(1, -(-(length - common) // (self.size - common))) for length in (height, width)]
        return _grid((height, width), [min(self.size, length) for length in (height, width)], counts)


@dataclass(frozen=True)
class Slices:
    """The same number of slices along both sides, whatever the size.

    Attributes:
        parts: slices along a side.

    Raises:
        ValueError: fewer than two parts.
    """

    parts: int

    def __post_init__(self) -> None:
        if self.parts < 2:
            raise ValueError(f"The number of slices along a side is {self.parts}; give 2 or more.")

    def windows(self, height: int, width: int) -> list[Window]:
        """Returns windows of one size that cover a photograph."""
        share = self.parts - (self.parts - 1) * OVERLAP
        sides = [min(length, int(np.ceil(length / share))) for length in (height, width)]
        return _grid((height, width), sides, [self.parts, self.parts])


Cut = Tiles | Slices
"""A way to cut photographs."""


def seen_whole(cut: Cut | None, sizes: Iterable[tuple[int, int]], what: str) -> str:
    """Says that something looks at photographs as a whole which detection cuts into tiles; empty where it cuts none.

    Args:
        cut: of the detector.
        sizes: `(height, width)` of the photographs.
        what: looks at them, such as "The autopsy".
    """
    number = sum(bool(cut.windows(height, width)) for height, width in sizes) if cut else 0
    if not number:
        return ""
    photographs = "1 photograph" if number == 1 else f"{number:,} photographs"
    return f"{what} runs on whole images, whereas evaluation processes {photographs} in tiles."


def _grid(lengths: Sequence[int], sides: Sequence[int], counts: Sequence[int]) -> list[Window]:
    spans = [list(_spans(*one)) for one in zip(lengths, sides, counts, strict=True)]
    return [(top, left, bottom, right) for (top, bottom), (left, right) in itertools.product(*spans)]


def _spans(length: int, side: int, count: int) -> Iterator[tuple[int, int]]:
    for start in np.linspace(0, length - side, count).round().astype(int).tolist():
        yield start, start + side
