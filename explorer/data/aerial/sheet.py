"""A contact sheet of scenes, some with their labels drawn: `python -m explorer.data.aerial.sheet docs/aerial.png`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from explorer.data.aerial.categories import STUFF, THINGS, colour_bgr
from explorer.data.aerial.scene import Scene, render_scene
from explorer.types import Array

SHOWN: tuple[tuple[str, int, str], ...] = (
    ("crossing", 7, ""),
    ("port", 3, ""),
    ("apron", 1, "boxes"),
    ("river", 7, ""),
    ("car park", 7, "boxes"),
    ("tank farm", 3, ""),
    ("marina", 7, ""),
    ("motorway", 3, "labels"),
    ("airfield", 7, ""),
    ("open sea", 3, "boxes"),
    ("suburb", 7, ""),
    ("depot", 1, "labels"),
)
"""Layout, seed and overlay of each picture."""
_TILE = (252, 336)
_GAP_PX = 4


def with_boxes(scene: Scene) -> Array:
    """Returns the picture with a box around every object; crowds have a thin white one."""
    image = scene.image
    for annotation in scene.annotations:
        x, y, w, h = (int(v) for v in annotation["bbox"])
        crowd = annotation["iscrowd"]
        colour = (255, 255, 255) if crowd else colour_bgr(THINGS[annotation["category_id"] - 1])
        cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), colour, 1 if crowd else 2)
    return image


def with_labels(scene: Scene) -> Array:
    """Returns the picture half covered by the colours of its panoptic segments, outlined."""
    image = scene.image
    names = (*THINGS, *STUFF)
    for segment in scene.segments:
        mask = scene.segment_ids == segment["id"]
        colour = np.array(colour_bgr(names[segment["category_id"] - 1]))
        image[mask] = (0.45 * image[mask] + 0.55 * colour).astype(np.uint8)
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, (255, 255, 255), 1)
    return image


def contact_sheet(shown: Sequence[tuple[str, int, str]] = SHOWN, columns: int = 3) -> Array:
    """Returns scenes side by side, `(height, width, 3)` uint8 BGR.

    Args:
        shown: layout, seed and overlay (`""`, `"boxes"` or `"labels"`) of each scene.
        columns: number of scenes in a row.
    """
    height, width = (side + _GAP_PX for side in _TILE)
    rows = -(-len(shown) // columns)
    sheet: Array = np.full((rows * height - _GAP_PX, columns * width - _GAP_PX, 3), 255, np.uint8)
    for number, (layout, seed, overlay) in enumerate(shown):
        scene = render_scene(seed, layout=layout)
        image = {"": lambda s: s.image, "boxes": with_boxes, "labels": with_labels}[overlay](scene)
        y, x = height * (number // columns), width * (number % columns)
        tile = cv2.resize(image, _TILE[::-1], interpolation=cv2.INTER_AREA)
        sheet[y : y + _TILE[0], x : x + _TILE[1]] = tile
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the contact sheet to the file named on the command line."""
    parser = argparse.ArgumentParser(description="Write a contact sheet of aerial scenes.")
    parser.add_argument("file", type=Path, help="PNG or JPEG to write")
    file: Path = parser.parse_args(arguments).file
    done, data = cv2.imencode(file.suffix, contact_sheet(), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done
    file.write_bytes(bytes(data))


if __name__ == "__main__":
    main()
