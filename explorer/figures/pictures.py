"""Feature maps as plain images, drawn without a browser: a map over its photo, and a sheet of channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from explorer.features.maps import RankedChannel, channel, normalise, value_range
from explorer.features.places import on_photo
from explorer.types import FeatureMap, MapView, Pixels

COLORS = "viridis"
"""For maps: even in lightness, and readable without colour vision."""

_GAP_PX, _CAPTION_PX = 8, 22
_PAPER, _INK = (255, 255, 255), (60, 60, 60)


def colored(view: MapView, bounds: tuple[float, float] | None = None) -> Pixels:
    """Returns a view's cells as colours, `(rows, columns, 3)` RGB.

    Args:
        view: numbers get the colours of viridis, dark to bright; colours stay.
        bounds: the values of the darkest and the brightest colour; None takes the view's own range.
    """
    if view.is_color:
        return np.asarray(view.values, np.uint8)
    unit = normalise(np.asarray(view.values, np.float32), bounds or value_range([view]))
    return np.asarray(matplotlib.colormaps[COLORS](unit, bytes=True)[..., :3], np.uint8)


def over_photo(
    image_bgr: Pixels,
    view: MapView,
    *,
    opacity: float = 0.7,
    bounds: tuple[float, float] | None = None,
    box_xyxy: Sequence[float] | None = None,
) -> Pixels:
    """Lays a view over its photo, which shows through in grey; returns RGB of the photo's size.

    Args:
        image_bgr: the photo, `(height, width, 3)`, BGR.
        view: a view of a map of this photo.
        opacity: of the map, 0 to 1.
        bounds: as `colored` has them.
        box_xyxy: a box to draw, in the photo's pixels.

    Raises:
        ValueError: the photo is of another size than the one that the map is of.
    """
    height, width = image_bgr.shape[:2]
    check_photo(image_bgr, view)
    laid = on_photo(colored(view, bounds).astype(np.float32), view.frame, (height, width))
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)[:, :, None].astype(np.float32)
    blend = np.rint(opacity * laid + (1 - opacity) * grey)
    picture = Image.fromarray(np.clip(blend, 0, 255).astype(np.uint8))
    if box_xyxy is not None:
        pen = ImageDraw.Draw(picture)
        x1, y1, x2, y2 = box_xyxy
        for grow, color in ((2, "black"), (1, "white")):  # seen on dark and on bright
            pen.rectangle((x1 - grow, y1 - grow, x2 + grow - 1, y2 + grow - 1), outline=color)
    return np.asarray(picture)


def channel_sheet(
    feature: FeatureMap, ranked: Sequence[RankedChannel], *, columns: int = 4, width_px: int = 1200
) -> Pixels:
    """Draws channels beside each other, each in its own range of values, with its number and score; returns RGB.

    Args:
        feature: the map.
        ranked: the channels, as `explorer.features.maps.top_channels` gives them.
        columns: channels in a row.
        width_px: width of the sheet in pixels.
    """
    if not ranked:
        raise ValueError("There are no channels to draw; give at least one.")
    columns = min(columns, len(ranked))
    tile_width = (width_px - _GAP_PX * (columns + 1)) // columns
    height, width = feature.content.shape[1:]
    cell = feature.frame.cell_px
    tile_height = max(1, round(tile_width * height * cell[0] / (width * cell[1])))
    rows = math.ceil(len(ranked) / columns)
    sheet = Image.new("RGB", (width_px, rows * (tile_height + _CAPTION_PX + _GAP_PX) + _GAP_PX), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for position, one in enumerate(ranked):
        row, column = divmod(position, columns)
        x = _GAP_PX + column * (tile_width + _GAP_PX)
        y = _GAP_PX + row * (tile_height + _CAPTION_PX + _GAP_PX)
        tile = Image.fromarray(colored(channel(feature, one.channel)))
        sheet.paste(tile.resize((tile_width, tile_height), Image.Resampling.BILINEAR), (x, y + _CAPTION_PX))
        pen.text((x, y + _CAPTION_PX / 2), f"channel {one.channel}   {one.score:.3g}", _INK, font, anchor="lm")
    return np.asarray(sheet)


def check_photo(image_bgr: Pixels, view: MapView) -> None:
    """Makes sure that a view is of a photo of this size.

    Raises:
        ValueError: it is not.
    """
    if image_bgr.shape[:2] != view.frame.image_size:
        raise ValueError(
            f"The map of {view.layer} is of a photo of {view.frame.image_size} (height, width); this one is "
            f"{image_bgr.shape[:2]}."
        )
