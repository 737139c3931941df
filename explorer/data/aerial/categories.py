"""What the aerial scenes are labelled with: COCO categories of things and stuff."""

from __future__ import annotations

from typing import Any

THINGS = ("car", "truck", "bus", "plane", "ship", "storage tank")
"""Countable objects; category ids 1 to 6."""
STUFF = ("grass", "road", "water", "concrete")
"""Kinds of ground; category ids 7 to 10, and 1 to 4 in the semantic-segmentation PNGs."""

IGNORE = 255
"""Label of pixels that are neither thing nor stuff (trees, roofs, soil) in the semantic-segmentation PNGs."""

_COLOURS_RGB = {
    "car": (220, 20, 60),
    "truck": (255, 128, 0),
    "bus": (255, 215, 0),
    "plane": (65, 105, 225),
    "ship": (148, 0, 211),
    "storage tank": (0, 206, 209),
    "grass": (124, 205, 80),
    "road": (128, 64, 128),
    "water": (64, 140, 200),
    "concrete": (190, 190, 180),
}
_SUPERCATEGORIES = {"car": "vehicle", "truck": "vehicle", "bus": "vehicle", "storage tank": "structure"}


def colour_bgr(name: str) -> tuple[int, int, int]:
    """Returns the colour in which a category is drawn, BGR."""
    red, green, blue = _COLOURS_RGB[name]
    return blue, green, red


def thing_id(name: str) -> int:
    """Returns the COCO category id of a thing."""
    return THINGS.index(name) + 1


def stuff_id(name: str) -> int:
    """Returns the contiguous id, from 1, that a kind of ground has in the semantic-segmentation PNGs."""
    return STUFF.index(name) + 1


def stuff_category_id(contiguous_id: int) -> int:
    """Returns the COCO category id of the kind of ground with that contiguous id."""
    return len(THINGS) + contiguous_id


def thing_categories() -> list[dict[str, Any]]:
    """Returns the `categories` of the instances JSON."""
    return [
        {"id": thing_id(name), "name": name, "supercategory": _SUPERCATEGORIES.get(name, "craft")} for name in THINGS
    ]


def panoptic_categories() -> list[dict[str, Any]]:
    """Returns the `categories` of the panoptic JSON: all things, then all stuff, with RGB colours."""
    stuff = [
        {"id": stuff_category_id(stuff_id(name)), "name": name, "supercategory": "ground", "isthing": 0}
        for name in STUFF
    ]
    things = [{**category, "isthing": 1} for category in thing_categories()]
    return [{**category, "color": list(_COLOURS_RGB[category["name"]])} for category in (*things, *stuff)]
