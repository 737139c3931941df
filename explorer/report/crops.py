"""Missed objects as pictures: a crop of the photo with the object, what came nearest, and a bar that says the scale."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from explorer.data.images import ImageError, read_image
from explorer.report.misses import Miss
from explorer.scoring.columns import Truth
from explorer.text import NAME_LENGTH, in_html
from explorer.types import Floats, Pixels

SHOWN_PX = 216
"""Side of a crop on the page."""
AROUND = 3.0
"""A crop is so many times as wide as its object's longer side, …"""
LEAST_SIDE_PX, MOST_SIDE_PX = 48, 640
"""… within these bounds, in pixels of the photo."""
_BARS_PX = (2, 4, 8, 16, 32, 64, 128, 256)


def miss_figure(truth: Truth, miss: Miss) -> str:
    """Draws one miss as an HTML `figure`: the crop, boxes as thin outlines, a scale bar, and what is known in words."""
    image_id = truth.image_ids[truth.images[miss.row]]
    path = truth.file_names[truth.images[miss.row]]
    name = truth.class_names[truth.classes[miss.row]]
    width, height = truth.boxes_xywh[miss.row, 2:].tolist()
    says = [f"<b>{in_html(name, NAME_LENGTH)}</b> {width:.0f} × {height:.0f} px: {in_html(miss.reason)}"]
    if miss.nearest:
        near = miss.nearest
        says.append(f"nearest: {in_html(near.class_name, NAME_LENGTH)} {near.score:.2f}, IoU {near.iou:.2f}")
    if miss.rival_score > 0:
        says.append(f"the other run finds it, {miss.rival_score:.2f}")
    says.append(in_html(f"image {image_id}, annotation {truth.ids[miss.row]}"))
    alternative = f"{name} of {width:.0f} by {height:.0f} pixels, {miss.reason}"
    try:
        picture = _picture(read_image(path), truth.boxes_xywh[miss.row], miss, alternative)
    except ImageError as error:
        picture = f'<p class="absent">{in_html(error)}</p>'
    return f"<figure>{picture}<figcaption>{'<br>'.join(says)}</figcaption></figure>"


def _picture(image_bgr: Pixels, box_xywh: Floats, miss: Miss, alternative: str) -> str:
    x, y, width, height = box_xywh.tolist()
    side = float(np.clip(AROUND * max(width, height), LEAST_SIDE_PX, MOST_SIDE_PX))
    left = _start(x + width / 2, side, image_bgr.shape[1])
    top = _start(y + height / 2, side, image_bgr.shape[0])
    scale = SHOWN_PX / side
    bar = next((length for length in reversed(_BARS_PX) if length * scale < SHOWN_PX / 3), _BARS_PX[0])
    shapes = [_outline(box_xywh.tolist(), left, top, scale, "object")]
    if miss.nearest:
        shapes.append(_outline(miss.nearest.box_xywh, left, top, scale, "nearest"))
    low = SHOWN_PX - 10
    shapes.append(f'<path class="bar" d="M10 {low}h{bar * scale:.1f}"/><text x="10" y="{low - 6}">{bar} px</text>')
    return (
        f'<svg viewBox="0 0 {SHOWN_PX} {SHOWN_PX}" role="img" aria-label="{in_html(alternative)}">'
        f'<image width="{SHOWN_PX}" height="{SHOWN_PX}" href="{_crop(image_bgr, left, top, side)}"/>'
        f"{''.join(shapes)}</svg>"
    )


def _start(center: float, side: float, length: int) -> float:
    """Where a crop begins such that it lies within the photo; around its middle where the photo is smaller."""
    return (length - side) / 2 if length < side else float(np.clip(center - side / 2, 0, length - side))


def _outline(box_xywh: tuple[float, ...] | list[float], left: float, top: float, scale: float, kind: str) -> str:
    x, y, width, height = box_xywh
    place = f'x="{(x - left) * scale:.1f}" y="{(y - top) * scale:.1f}"'
    return f'<rect class="{kind}" {place} width="{width * scale:.1f}" height="{height * scale:.1f}"/>'


def _crop(image_bgr: Pixels, left: float, top: float, side: float) -> str:
    """The square as a JPEG inside a URI, at twice the page's pixels; what lies beyond the photo is grey."""
    pixels = 2 * SHOWN_PX
    zoom = pixels / side
    # cv2 counts from the middle of the first pixel on, outlines from its edge
    grid = np.array([[zoom, 0, (0.5 - left) * zoom - 0.5], [0, zoom, (0.5 - top) * zoom - 0.5]])
    zoomed = pixels > side
    crop = cv2.warpAffine(
        image_bgr,
        grid,
        (pixels, pixels),
        flags=cv2.INTER_NEAREST if zoomed else cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(128, 128, 128),
    )
    _, encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
