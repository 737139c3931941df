"""Energy by pixel, summed up input by input, until the size of its spot is known well enough."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit  # Student's t; scipy.stats would take 0.3 s to import

from explorer.types import Floats

SHARE = 0.95
"""An effective field's area is that of the brightest pixels that hold this share of the energy."""
CONFIDENCE = 0.95
FEWEST_BATCHES = 4
"""Before an interval is looked at; then it is after every second batch."""


def area_px(energy: npt.NDArray[np.floating], share: float = SHARE) -> int:
    """Counts the pixels, the brightest ones, that hold a share of the energy; 0 without energy.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of {share} is asked for; give one above 0 and at most 1, as in {SHARE}")
    if not energy.any():
        return 0
    held = np.cumsum(np.sort(energy, axis=None)[::-1], dtype=np.float64)
    return int(np.searchsorted(held, share * held[-1] - 1e-12 * held[-1]) + 1)


class EnergySum:
    """The energy of one layer's unit, and whether more inputs would change the side of its spot.

    Few inputs leave the energy speckled, and the brightest pixels of a speckled spot are fewer than those of a smooth
    one: the side grows with the inputs. The jackknife estimates both how far it scatters and how far it falls short.

    Args:
        narrower_than: how wide the side's interval may be, as a share of the side; None to take all inputs there are.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11, for the jackknife's bias
    and standard error; the interval is Student's t.
    """

    def __init__(self, narrower_than: float | None = None) -> None:
        self.total: Floats | None = None
        self.inputs = 0
        self.is_settled = False
        self._narrower_than = narrower_than
        self._batches: list[npt.NDArray[np.float32]] = []

    def add(self, energy: Floats, inputs: int) -> None:
        """Adds a batch's energy `(height, width)`.

        Raises:
            ValueError: it has another size than those before.
        """
        if self.total is not None and self.total.shape != energy.shape:
            raise ValueError(f"inputs are of {self.total.shape} and {energy.shape} px; give one size")
        self.total = energy if self.total is None else self.total + energy
        self.inputs += inputs
        if self._narrower_than is not None:
            self._batches.append(energy.astype(np.float32))
            number = len(self._batches)
            if number >= FEWEST_BATCHES and number % 2 == 0 and self.total.any():
                width, shortfall = self.side_error()
                self.is_settled = width < self._narrower_than and abs(shortfall) < self._narrower_than / 2

    def side_error(self) -> tuple[float, float]:
        """The width of the side's interval, and how far the side falls short, as shares of it; needs two batches."""
        number, total = len(self._batches), np.sum(self._batches, axis=0)
        side = math.sqrt(area_px(total))
        others = np.array([math.sqrt(area_px(total - own)) for own in self._batches])
        spread = math.sqrt((number - 1) / number * float(((others - others.mean()) ** 2).sum()))
        width = 2 * float(stdtrit(number - 1, (1 + CONFIDENCE) / 2)) * spread
        return width / side, (number - 1) * (side - float(others.mean())) / side
