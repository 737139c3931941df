"""Pictures to take away: what models found, with everything that is needed to read it without the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from explorer.data.images import swap_channels
from explorer.engine.colors import DARK, LIGHT, RGB, colors_by_name
from explorer.engine.draw import draw_detections
from explorer.text import NAME_LENGTH, legible
from explorer.types import Detections, Pixels

_LEAST_SIDE_PX, _MOST_ZOOM = 1000, 4
_MARGIN_PX, _TITLE_PX, _ROW_PX, _FONT_PX = 12, 34, 26, 18
_AROUND, _LEAST_CROP_PX, _TILE_PX = 3.0, 24, 200


def labelled_sheet(
    image_bgr: Pixels, detections: Mapping[str, Detections], *, truth: Detections | None = None, columns: int = 2
) -> Pixels:
    """Draws the photo once per model under its name, every object with its label, and a legend below.

    Small photos are enlarged by a whole number, so that labels have room.

    Args:
        image_bgr: `(height, width, 3)`.
        detections: by what to call the model, in the photo's frame.
        truth: the annotated objects, outlined in white.
        columns: pictures in a row.

    Returns:
        `(rows, columns, 3)`, BGR.
    """
    zoom = int(np.clip(_LEAST_SIDE_PX // max(image_bgr.shape[:2]), 1, _MOST_ZOOM))
    photo = np.asarray(cv2.resize(image_bgr, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), np.uint8)
    height, width = photo.shape[:2]
    columns = min(columns, len(detections))
    colors, font = colors_by_name(detections.values()), ImageFont.load_default(_FONT_PX)
    entries = [
        *((name, color) for name, color in colors.items()),
        *([("annotated", LIGHT)] if truth is not None else []),
    ]
    full = columns * width + (columns + 1) * _MARGIN_PX
    places, legend_px = _legend(entries, full, font)
    rows = math.ceil(len(detections) / columns)
    sheet = Image.new("RGB", (full, rows * (height + _TITLE_PX) + legend_px + 2 * _MARGIN_PX), LIGHT)
    pen = ImageDraw.Draw(sheet)
    for place, (name, found) in enumerate(detections.items()):
        row, column = divmod(place, columns)
        x, y = _MARGIN_PX + column * (width + _MARGIN_PX), row * (height + _TITLE_PX)
        drawn = draw_detections(_outlined(photo, truth, zoom), _enlarged(found, zoom), every_label=True, colors=colors)
        sheet.paste(Image.fromarray(swap_channels(drawn)), (x, y + _TITLE_PX))
        pen.text((x, y + _TITLE_PX / 2), legible(name, NAME_LENGTH), DARK, font, anchor="lm")
    top = rows * (height + _TITLE_PX) + _MARGIN_PX
    for (name, color), (x, y) in zip(entries, places, strict=True):
        pen.rectangle((x, top + y + 4, x + 22, top + y + 18), fill=color, outline=DARK)
        pen.text((x + 30, top + y + 11), legible(name, NAME_LENGTH), DARK, font, anchor="lm")
    return swap_channels(np.asarray(sheet))


def magnified(
    image_bgr: Pixels, box_xyxy: Sequence[float], detections: Mapping[str, Detections], tile_px: int = _TILE_PX
) -> Pixels:
    """Cuts the surroundings of an object out of the photo, once per model with its boxes, and enlarges them.

    Args:
        image_bgr: `(height, width, 3)`.
        box_xyxy: the object's.
        detections: by model.
        tile_px: the side of each enlarged square.

    Returns:
        `(tile_px, models × tile_px + gaps, 3)`, RGB.
    """
    x1, y1, x2, y2 = box_xyxy
    height, width = image_bgr.shape[:2]
    side = int(min(max(_AROUND * max(x2 - x1, y2 - y1), _LEAST_CROP_PX), height, width))
    left = int(np.clip((x1 + x2 - side) / 2, 0, width - side))
    top = int(np.clip((y1 + y2 - side) / 2, 0, height - side))
    scale = tile_px / side
    cut = image_bgr[top : top + side, left : left + side]
    crop: Pixels = np.asarray(cv2.resize(cut, (tile_px, tile_px), interpolation=cv2.INTER_CUBIC), np.uint8)
    colors = colors_by_name(detections.values())
    tiles: list[Pixels] = []
    for found in detections.values():
        own = _enlarged(found, scale, (left, top), (tile_px, tile_px))
        if tiles:
            tiles.append(np.full((tile_px, 4, 3), 255, np.uint8))
        tiles.append(_framed(crop, own, colors))
    return swap_channels(np.concatenate(tiles, axis=1))


def _framed(crop: Pixels, found: Detections, colors: Mapping[str, RGB]) -> Pixels:
    """Draws boxes in lines that stay visible when the picture is shown small."""
    canvas = crop.copy()
    for box, index in zip(np.rint(found.boxes_xyxy).astype(int).tolist(), found.classes.tolist(), strict=True):
        for color, thick in ((DARK, 6), (colors[found.class_names[index]], 3)):
            cv2.rectangle(canvas, box[:2], box[2:], color[::-1], thick)
    return canvas


def _enlarged(
    found: Detections, scale: float, corner_xy: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None
) -> Detections:
    """The boxes in the frame of an enlarged part of the photo, masks left out."""
    boxes = (found.boxes_xyxy - np.array([*corner_xy, *corner_xy], np.float32)) * np.float32(scale)
    height, width = size or (round(found.image_size[0] * scale), round(found.image_size[1] * scale))
    seen = (boxes[:, 0] < width) & (boxes[:, 2] > 0) & (boxes[:, 1] < height) & (boxes[:, 3] > 0)
    shown = found.keep(seen)
    return Detections(boxes[seen], shown.scores, shown.classes, shown.class_names, (height, width))


def _outlined(photo: Pixels, truth: Detections | None, zoom: int) -> Pixels:
    if truth is None:
        return photo
    canvas = photo.copy()
    for x1, y1, x2, y2 in np.rint(truth.boxes_xyxy * zoom).astype(int).tolist():
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), LIGHT, 1)
    return canvas


def _legend(
    entries: Sequence[tuple[str, RGB]], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[list[tuple[int, int]], int]:
    """Where the legend's entries stand, and how high it is."""
    places, x, y = [], _MARGIN_PX, 0
    for name, _ in entries:
        wide = 30 + int(font.getlength(legible(name, NAME_LENGTH))) + 24
        if x > _MARGIN_PX and x + wide > width:
            x, y = _MARGIN_PX, y + _ROW_PX
        places.append((x, y))
        x += wide
    return places, y + _ROW_PX if entries else 0
