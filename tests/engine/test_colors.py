"""Colours of classes are told apart on any screen and with every kind of colour vision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from explorer.data.aerial.categories import THINGS
from explorer.engine.colors import DARK, LIGHT, PALETTE, class_color, colors_by_name, ink_on
from explorer.types import Detections

CLOSE = 16
"""In CIEDE2000; Okabe and Ito's orange and yellow differ by 11.6 without green receptors."""
VISION = {
    "usual": np.eye(3),
    "without red receptors": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "without green receptors": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
"""Matrices of linear RGB at severity 1, Machado, Oliveira and Fernandes 2009, table 1."""


def seen(colors: npt.ArrayLike, vision: str) -> npt.NDArray[np.float64]:
    unit = np.asarray(colors, np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.asarray(VISION[vision]).T, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def found(names: tuple[str, ...], *classes: int) -> Detections:
    count = len(classes)
    return Detections(np.zeros((count, 4), np.float32), np.ones(count, np.float32), np.array(classes), names, (9, 9))


def contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """The contrast ratio of WCAG 2."""
    unit = np.array([one, other]) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ (0.2126, 0.7152, 0.0722))
    return float((high + 0.05) / (low + 0.05))


@pytest.mark.parametrize("vision", VISION)
def test_no_two_classes_that_occur_together_look_alike(vision: str) -> None:
    lab = rgb2lab(seen(PALETTE, vision)[None])[0]
    pairs = list(itertools.combinations(range(len(PALETTE)), 2))
    distances = deltaE_ciede2000(lab[[a for a, _ in pairs]], lab[[b for _, b in pairs]])
    assert distances.min() > CLOSE, pairs[int(distances.argmin())]


def test_the_distance_is_that_of_the_published_examples() -> None:
    # Sharma, Wu and Dalal 2005, table 1, pairs 1 and 25
    assert deltaE_ciede2000([50, 2.6772, -79.7751], [50, 0, -82.7485]) == pytest.approx(2.0425, abs=1e-4)
    assert deltaE_ciede2000([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387]) == pytest.approx(
        1.2644, abs=1e-4
    )


def test_a_class_has_the_colour_of_its_index_and_ten_of_them_ten_colours() -> None:
    assert colors_by_name([found(THINGS, 0, 3)]) == {"car": class_color(0), "plane": class_color(3)}
    many = tuple(f"class {index}" for index in range(80))
    assert len(set(colors_by_name([found(many, 0, 10, 20, 30, 1, 11, 21, 79, 78, 77)]).values())) == 10
    assert len(colors_by_name([found(many, *range(80))])) == 80
    assert class_color(len(PALETTE)) == class_color(0)


def test_models_with_other_lists_of_classes_share_the_colour_of_a_name() -> None:
    both = colors_by_name([found(("car", "bus"), 0, 1), found(("person", "bus", "car"), 1, 2)])
    assert both == {"car": class_color(0), "bus": class_color(1)}


@pytest.mark.parametrize("color", PALETTE)
def test_words_on_a_colour_are_legible(color: tuple[int, int, int]) -> None:
    assert ink_on(color) in (DARK, LIGHT)
    assert contrast(color, ink_on(color)) >= 4.5
