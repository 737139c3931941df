"""The colours that things are painted in, as BGR."""

from __future__ import annotations

import numpy as np

from explorer.data.aerial.pen import Colour, shaded

Paints = tuple[Colour, ...]

GLASS: Colour = (48, 40, 34)
RUBBER: Colour = (38, 38, 38)
WHITE: Colour = (238, 238, 236)

CARS: tuple[tuple[Colour, int], ...] = (
    ((236, 236, 234), 26),
    ((176, 176, 174), 14),
    ((40, 38, 38), 16),
    ((104, 102, 100), 12),
    ((36, 34, 158), 11),
    ((124, 62, 28), 11),
    ((62, 84, 38), 3),
    ((40, 176, 222), 4),
    ((150, 176, 196), 3),
)
"""Car paints and how common each is."""
LORRIES: Paints = (
    (232, 232, 230),
    (150, 72, 30),
    (40, 40, 176),
    (70, 124, 46),
    (30, 120, 214),
    (96, 96, 98),
    (206, 204, 198),
)
BUSES: Paints = ((26, 172, 240), (34, 34, 196), (176, 96, 28), (84, 150, 40), (228, 230, 230), (40, 118, 226))
FREIGHT: Paints = (
    (44, 58, 158),
    (132, 82, 36),
    (86, 128, 60),
    (40, 112, 196),
    (176, 176, 170),
    (60, 60, 64),
    (190, 180, 70),
)
"""Shipping containers."""
ACCENTS: Paints = (
    (140, 44, 20),
    (34, 30, 190),
    (80, 130, 30),
    (20, 110, 230),
    (90, 40, 90),
    (60, 60, 60),
    (170, 120, 20),
)
"""Tail fins, funnels, stripes."""
FUSELAGES: Paints = ((240, 238, 236), (240, 240, 240), (228, 226, 220), (196, 194, 190), (236, 232, 214))
LIGHT_AIRCRAFT: Paints = ((242, 242, 240), (240, 238, 230), (60, 200, 236), (206, 214, 220))
DECKS: Paints = ((58, 66, 128), (74, 96, 70), (112, 112, 108), (60, 74, 148), (120, 96, 70))
HULLS: Paints = ((48, 44, 40), (96, 50, 30), (40, 40, 120), (70, 70, 72), (60, 84, 40))
HATCHES: Paints = ((70, 90, 150), (110, 120, 116), (80, 110, 80), (150, 150, 140))
BOATS: Paints = ((242, 242, 240), (236, 236, 230), (242, 242, 240), (150, 100, 50), (60, 60, 170))
TEAK: Paints = ((110, 150, 186), (140, 160, 176), (196, 200, 204))
TANKS: Paints = (
    (236, 236, 234),
    (236, 236, 234),
    (206, 210, 210),
    (170, 190, 200),
    (120, 150, 130),
    (110, 130, 168),
)
LEAVES: Paints = ((40, 74, 48), (36, 62, 40), (52, 88, 66), (48, 92, 84), (50, 70, 62))
TILES: Paints = ((70, 88, 150), (60, 72, 118), (104, 104, 108), (84, 84, 90), (92, 110, 140), (76, 92, 112))
FLAT_ROOFS: Paints = (
    (176, 178, 178),
    (134, 136, 138),
    (206, 206, 204),
    (150, 160, 168),
    (110, 112, 116),
    (160, 140, 120),
)


def choose(rng: np.random.Generator, colours: Paints, spread: float = 0.12) -> Colour:
    """Picks one of the colours and varies its brightness."""
    return shaded(colours[int(rng.integers(len(colours)))], float(rng.uniform(1 - spread, 1 + spread)))
