"""Which units of a map are followed back in one pass, and which pixels around each are its own.

Units whose fields do not overlap can be measured in one pass. Where theoretical fields do, units may still stand so far
apart that next to nothing of a unit's energy lies beyond its own window. That little is counted in the neighbour's
window, or lost beyond the border; so the side of the spot falls short by about half of what it would without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from explorer.receptive_field.energy import area_px
from explorer.receptive_field.theoretical import ReceptiveField
from explorer.types import Floats

CUT = 0.02
"""How much smaller the side of a spot may be without the energy beyond its window."""

Energy = Floats


@dataclass(frozen=True)
class Units:
    """Units of a map, each in the middle of a window of pixels.

    Attributes:
        rows: of the units, in the map.
        columns: of the units; each row is combined with each column.
        grid: `(rows, columns)` of the map.
        input_size: `(height, width)` in pixels.
        window: `(height, width)` of each unit's own pixels; None where one unit has all of them.
        stride: pixels from one unit to the next, downwards and to the right; of no account without a window.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    grid: tuple[int, int]
    input_size: tuple[int, int]
    window: tuple[int, int] | None
    stride: tuple[int, int] = (0, 0)

    @property
    def middle(self) -> tuple[int, int]:
        """The unit in the middle of the map, where the energy of all of them is put."""
        return self.grid[0] // 2, self.grid[1] // 2

    def alone(self) -> Units:
        """The middle unit with the same window."""
        return replace(self, rows=self.middle[:1], columns=self.middle[1:])

    def windows(self, energy: Energy) -> Energy:
        """Cuts the energy `(n, height, width)` of a pass into `(n * units, *window)`; zeros beyond the border."""
        if self.window is None:
            return energy
        high, wide = self.window
        padded = np.pad(energy, [(0, 0), (high, high), (wide, wide)])
        corners = [
            (self._first(0, row) + high, self._first(1, column) + wide) for row in self.rows for column in self.columns
        ]
        return np.concatenate([padded[:, y : y + high, x : x + wide] for y, x in corners])

    def put_back(self, window: Energy) -> Energy:
        """Puts a window's energy around the middle unit into `(height, width)` of zeros."""
        if self.window is None:
            return window
        (high, wide), (y, x) = self.window, (self._first(axis, unit) for axis, unit in enumerate(self.middle))
        whole = np.zeros((self.input_size[0] + 2 * high, self.input_size[1] + 2 * wide))
        whole[y + high : y + 2 * high, x + wide : x + 2 * wide] = window
        return whole[high:-high, wide:-wide]

    def _first(self, axis: int, unit: int) -> int:
        """The first pixel of a unit's window; negative beyond the border."""
        stride = self.stride[axis]
        return unit * stride + stride // 2 - (self.window or self.input_size)[axis] // 2


def middle_alone(grid: tuple[int, int], input_size: tuple[int, int]) -> Units:
    """The unit in the middle, whose window is all of the input."""
    return Units((grid[0] // 2,), (grid[1] // 2,), grid, input_size, None)


def apart(field: ReceptiveField, grid: tuple[int, int], input_size: tuple[int, int]) -> Units | None:
    """Returns as many units as there are whose theoretical fields do not overlap; None where there is one at most.

    Args:
        field: the layer's theoretical field; what looks at the whole map is to be left out of it.
        grid: `(rows, columns)` of the map.
        input_size: `(height, width)` of the input that is measured, in pixels.
    """
    if field.is_clipped or field.partial:
        return None
    reach = max(abs(phase.offset_px) + phase.size_px / 2 for phases in field.phases for phase in phases)
    return _spread(field, grid, input_size, 2 * reach)


def nearly_apart(
    field: ReceptiveField, grid: tuple[int, int], input_size: tuple[int, int], energy: Energy
) -> Units | None:
    """Returns as many units as stand so far apart that cutting their windows out costs at most `CUT` of the side.

    Args:
        field: as in `apart`.
        grid: as in `apart`.
        input_size: as in `apart`.
        energy: `(height, width)` of the middle unit alone.
    """
    if field.is_clipped or field.partial or not energy.any():
        return None
    side = math.sqrt(area_px(energy))
    for number in range(math.floor(min(input_size) / max(side, 1)), 1, -1):
        units = _spread(field, grid, input_size, min(input_size) / number, math.floor)
        if units and math.sqrt(area_px(units.alone().windows(energy[None]))) > (1 - CUT) * side:
            return units
    return None


def _spread(
    field: ReceptiveField,
    grid: tuple[int, int],
    input_size: tuple[int, int],
    distance_px: float,
    rounded: Callable[[float], int] = math.ceil,
) -> Units | None:
    """Spreads units like the middle one about so far apart; None where there is room for one alone."""
    places: list[tuple[int, ...]] = []
    window = []
    for axis, units in enumerate(grid):
        stride, period = field.stride_px[axis], len(field.phases[axis])  # what differs by phase is not mixed
        if not stride:
            return None
        step = max(rounded(distance_px / (stride * period)), 1) * period
        number = max(units // step, 1)
        middle = units // 2
        # half a period is rounded down: rounded up, the last unit would lie beyond the map
        first = middle + math.ceil((units / 2 - (number - 1) * step / 2 - middle) / period - 0.5) * period
        places.append(tuple(first + step * place for place in range(number)))
        window.append(step * stride)
    if len(places[0]) * len(places[1]) < 2:
        return None
    return Units(places[0], places[1], grid, input_size, (window[0], window[1]), field.stride_px)
