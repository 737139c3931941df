"""A photo as the background of a figure, in the photo's own coordinates."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from explorer.types import Pixels

_MAX_SIDE_PX = 1600
"""Longest side of the picture sent to the page; the figure keeps the original image's coordinates."""


def backdrop(image_bgr: Pixels) -> dict[str, Any]:
    """Returns the arguments of Plotly's `add_layout_image` that lay a photo `(height, width, 3)` under a figure."""
    height, width = image_bgr.shape[:2]
    corner = {"x": 0, "y": 0, "sizex": width, "sizey": height}
    return {"source": _data_uri(image_bgr), "sizing": "stretch", "layer": "below", **corner}


def _data_uri(image_bgr: Pixels) -> str:
    """The image as a JPEG inside a URI, scaled down where it is larger than a page can show."""
    scale = _MAX_SIDE_PX / max(image_bgr.shape[:2])
    if scale < 1:
        image_bgr = np.asarray(
            cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
