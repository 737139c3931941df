"""The photo that was chosen: read once, and again when it is needed later, so that a session keeps no pixels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from explorer.data.images import ImageError, read_image, swap_channels
from explorer.types import Pixels

_THUMBNAIL_PX = 320
_MOST_KEPT = 4
"""Decoded photos in memory, of all sessions together; each has up to `explorer.data.images.MAX_PIXELS`."""


def read_photo(photo: str | Path | None) -> Pixels:
    """Reads the photo that was chosen, `(height, width, 3)` uint8, BGR; it cannot be written to.

    Raises:
        ValueError: there is none, or it cannot be read; the message names the file without its folder.
    """
    if photo is None:
        raise ValueError("Choose a photo first: drop one onto the page or click an example.")
    path = Path(photo)
    facts = path.stat() if path.is_file() else None
    try:
        return _read(path, (facts.st_mtime_ns, facts.st_size, facts.st_ino) if facts else ())
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), path.name)) from error


def thumbnail(photo: Path) -> Pixels:
    """Returns a small picture of a photo, RGB."""
    import cv2

    image_bgr = read_photo(photo)
    shrink = min(1.0, _THUMBNAIL_PX / max(image_bgr.shape[:2]))
    small = cv2.resize(image_bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return swap_channels(np.asarray(small, np.uint8))


@lru_cache(_MOST_KEPT)
def _read(path: Path, facts: tuple[int, ...]) -> Pixels:  # noqa: ARG001 - written anew it is read anew, at any time
    image_bgr = read_image(path)
    image_bgr.flags.writeable = False
    return image_bgr
