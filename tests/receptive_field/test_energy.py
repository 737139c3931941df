"""How well the side of a spot is known, from the inputs that its energy was summed over."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from explorer.receptive_field.energy import EnergySum, area_px


def speckled(number: int, seed: int, side: int = 61) -> list[np.ndarray]:
    """Energies of a Gaussian spot of 6 px standard deviation, each pixel's drawn with one degree of freedom."""
    y, x = np.mgrid[:side, :side] - side // 2
    smooth = np.exp(-(x**2 + y**2) / (2 * 6**2))
    return list(smooth * np.random.default_rng(seed).chisquare(1, (number, side, side)))


def test_area_counts_the_brightest_pixels() -> None:
    assert area_px(np.array([[5.0, 1.0], [3.0, 1.0]]), 0.8) == 2
    assert area_px(np.array([[5.0, 1.0], [3.0, 1.0]], dtype=np.float32), 0.81) == 3
    assert area_px(np.zeros((3, 3))) == 0


def test_the_interval_is_as_wide_as_the_side_scatters() -> None:
    sides, widths = [], []
    for seed in range(60):
        spot = EnergySum(narrower_than=1e-9)
        for energy in speckled(12, seed):
            spot.add(energy[None])
        assert spot.total is not None
        sides.append(math.sqrt(area_px(spot.total)))
        widths.append(spot.side_error()[0])
    # Student's t with 11 degrees of freedom: 2.2 standard errors to each side
    assert np.mean(widths) == pytest.approx(2 * 2.2 * np.std(sides, ddof=1) / np.mean(sides), rel=0.25)


@pytest.mark.parametrize(("number", "lost", "left"), [(12, 0.01, 0.005), (4, 0.03, 0.015), (2, 0.06, 0.03)])
def test_the_shortfall_is_what_more_inputs_bring(number: int, lost: float, left: float) -> None:
    many = math.sqrt(area_px(np.sum(speckled(400, 100), axis=0)))
    few, amended = [], []
    for seed in range(20):
        spot = EnergySum(narrower_than=1e-9)
        spot.add(np.array(speckled(number, seed)))
        assert spot.total is not None
        assert not spot.is_settled
        side = math.sqrt(area_px(spot.total))
        few.append(side)
        amended.append(side * (1 + spot.shortfall))
    assert np.mean(few) < (1 - lost) * many
    assert np.mean(amended) == pytest.approx(many, rel=left)  # a single one of 12 units scatters by 0.7 %


def test_the_standard_error_is_near_the_bootstraps() -> None:
    energies = np.array(speckled(40, 1))
    spot = EnergySum(narrower_than=1e-9)
    for energy in energies:
        spot.add(energy[None])
    drawn = bootstrap(
        (np.arange(40),),
        lambda rows: math.sqrt(area_px(energies[rows.astype(int)].sum(axis=0))),
        vectorized=False,
        n_resamples=300,
        random_state=0,
        method="percentile",
    )
    side = math.sqrt(area_px(energies.sum(axis=0)))
    assert spot.side_error()[0] * side / (2 * 2.02) == pytest.approx(drawn.standard_error, rel=0.3)


def test_a_sum_settles_when_the_interval_is_narrow() -> None:
    spot, eager, patient = EnergySum(0.2), EnergySum(0.5), EnergySum()
    for number, energy in enumerate(speckled(30, 2), start=1):
        for own in (spot, eager, patient):
            if not own.is_settled:
                own.add(energy[None])
        if number == 3:
            assert not eager.is_settled
    assert 4 <= eager.units <= spot.units < patient.units == 30
    assert patient.shortfall == 0 < spot.shortfall
