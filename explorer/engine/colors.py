"""Colours of classes, told apart on photographs with every kind of colour vision."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from explorer.types import Detections

RGB = tuple[int, int, int]

PALETTE: tuple[RGB, ...] = (
    (238, 170, 0),
    (34, 85, 255),
    (255, 17, 85),
    (85, 255, 255),
    (170, 51, 136),
    (255, 153, 187),
    (17, 153, 119),
    (170, 153, 255),
    (153, 255, 170),
    (119, 102, 0),
)
"""Any two differ by 16 or more in CIEDE2000, also as people without red or green receptors see them."""
DARK: RGB = (20, 20, 20)
LIGHT: RGB = (255, 255, 255)


def class_color(index: int) -> RGB:
    """Returns a class's colour, the same in every picture; after ten classes colours repeat."""
    return PALETTE[index % len(PALETTE)]


def colors_by_name(found: Iterable[Detections]) -> dict[str, RGB]:
    """Returns the colour of each class that occurs, by its name, the same for every model.

    A class has the colour of its index. Where another class that occurs has that one, it takes the next that is free:
    up to ten classes in a picture have ten colours.
    """
    wanted: dict[str, int] = {}
    for own in found:
        for index in np.unique(own.classes).tolist():
            wanted.setdefault(own.class_names[index], index)
    places: dict[str, int] = {}
    for name, index in sorted(wanted.items(), key=lambda pair: (pair[1], pair[0])):
        steps = (index + step for step in range(len(PALETTE)))
        free = (place for place in steps if place % len(PALETTE) not in places.values())
        places[name] = next(free, index) % len(PALETTE)
    return {name: PALETTE[place] for name, place in places.items()}


def ink_on(color: RGB) -> RGB:
    """Returns black or white, whichever is read better on a colour."""
    luminance = _luminance(color)
    on_dark, on_light = ((luminance + 0.05) / (_luminance(DARK) + 0.05), 1.05 / (luminance + 0.05))
    return DARK if on_dark >= on_light else LIGHT


def _luminance(color: RGB) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    unit = np.array(color) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
