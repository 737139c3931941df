"""Units that are measured in one pass lie on the map, have the phase of the middle one, and stand far enough apart."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.receptive_field.theoretical import Phase
from explorer.receptive_field.units import Units, apart, nearly_apart

STRIDES = (4, 8, 16, 32, 64)
PERIODS = (1, 2, 4, 8, 16)


def field_of(side: int, period: int, stride: int) -> Any:
    """A theoretical field of that side, whose units' fields lie alike again after a period."""
    phases = (Phase(side, 0.0, False),) * period
    return SimpleNamespace(phases=(phases, phases), is_clipped=False, partial=None, stride_px=(stride, stride))


def check(units: Units, period: int) -> None:
    for places, middle, length in zip((units.rows, units.columns), units.middle, units.grid, strict=True):
        assert all(0 <= place < length for place in places), (units, period)
        assert {(place - middle) % period for place in places} == {0}, (units, period)


@pytest.mark.parametrize("stride", STRIDES)
def test_units_whose_fields_do_not_overlap(stride: int) -> None:
    seen = 0
    for size, period, side in product(range(stride, 1025, 32), PERIODS, (16, 35, 90, 250)):
        units = apart(field_of(side, period, stride), (size // stride, 512 // stride), (size, 512))
        if units:
            seen += 1
            check(units, period)
            assert units.window is not None
            assert min(units.window) >= side
    assert seen


@pytest.mark.parametrize("size", [320, 512, 576, 960])
def test_units_that_nearly_do_not_overlap(size: int) -> None:
    y, x = np.mgrid[:size, :size] - size / 2
    energy = np.exp(-(x**2 + y**2) / (2 * 4**2))
    for stride, period in product(STRIDES, PERIODS):
        units = nearly_apart(field_of(size, period, stride), (size // stride,) * 2, (size, size), energy)
        assert (units is not None) == (size // stride >= 2 * period)
        if units:
            check(units, period)
