"""Energy by pixel, summed up unit by unit, until the size of its spot is known well enough."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit  # Student's t; scipy.stats would take 0.3 s to import

from explorer.types import Floats, Floats32

SHARE = 0.95
"""An effective field's area is that of the brightest pixels that hold this share of the energy."""
CONFIDENCE = 0.95
FEWEST_UNITS = 4
"""Before an interval is gone by; the shortfall is known from two on."""


def area_px(energy: npt.NDArray[np.floating], share: float = SHARE) -> int:
    """Counts the pixels, the brightest ones, that hold a share of the energy; 0 without energy.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share is {share}; give a number above 0 and at most 1, such as {SHARE}")
    whole, part = _pixels(energy, share)
    return whole + 1 if part else 0


def _side_px(energy: npt.NDArray[np.floating]) -> float:
    """The side of the square as large as the area, in which the last pixel counts by the part that is wanted of it."""
    return math.sqrt(sum(_pixels(energy, SHARE)))


def _pixels(energy: npt.NDArray[np.floating], share: float) -> tuple[int, float]:
    """How many pixels are wanted whole, and what part of one more; nothing without energy."""
    if not energy.any():
        return 0, 0.0
    brightest = np.sort(energy, axis=None)[::-1]
    held = np.cumsum(brightest, dtype=np.float64)
    wanted = share * held[-1] - 1e-12 * held[-1]
    whole = int(np.searchsorted(held, wanted))
    return whole, float(np.clip(1 - (held[whole] - wanted) / brightest[whole], 1e-9, 1))


class EnergySum:
    """The energy of one layer's units, and whether more of them would change the side of its spot.

    Few units leave the energy speckled, and the brightest pixels of a speckled spot are fewer than those of a smooth
    one: the side grows with the units. The jackknife estimates both how far it scatters and how far it falls short.

    Args:
        narrower_than: how wide the side's interval may be, as a share of the side; None to take all inputs there are.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11, for the jackknife's bias
    and standard error; the interval is Student's t.
    """

    def __init__(self, narrower_than: float | None = None) -> None:
        self.total: Floats | None = None
        self.units = 0
        self.is_settled = False
        self.shortfall = 0.0
        self._narrower_than = narrower_than
        self._parts: list[Floats32] = []

    def add(self, energy: Floats) -> None:
        """Adds the energy of some units, `(units, height, width)`."""
        added = energy.sum(axis=0)
        self.total = added if self.total is None else self.total + added
        self.units += len(energy)
        if self._narrower_than is not None:
            self._parts += list(energy.astype(np.float32))
            if self.units > 1 and self.total.any():
                width, self.shortfall = self.side_error()
                self.is_settled = self.units >= FEWEST_UNITS and width < self._narrower_than

    def replace(self, energy: Floats) -> None:
        """Starts again with the energy of some units in another window."""
        self.total, self.units, self._parts = None, 0, []
        self.add(energy)

    def side_error(self) -> tuple[float, float]:
        """The width of the side's interval, and how far the side falls short, as shares of it; needs two units."""
        number, total = len(self._parts), np.sum(self._parts, axis=0)
        side = _side_px(total)
        others = np.array([_side_px(total - own) for own in self._parts])
        spread = math.sqrt((number - 1) / number * float(((others - others.mean()) ** 2).sum()))
        width = 2 * float(stdtrit(number - 1, (1 + CONFIDENCE) / 2)) * spread
        return width / side, (number - 1) * (side - float(others.mean())) / side
