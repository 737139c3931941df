"""Detections drawn on their image: thin frames around objects, translucent masks, labels that cover nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as mask_api

from explorer.data.images import read_image, swap_channels
from explorer.engine.colors import DARK, LIGHT, RGB, class_color, colors_by_name, ink_on
from explorer.text import legible
from explorer.types import Bools, Detections, Panoptic, Pixels

MASK_OPACITY = 0.40
SEGMENT_OPACITY = 0.50
LABEL_LENGTH = 40
"""Longest name in a label, in characters."""
SMALLEST_LABELLED_SEGMENT = 0.01
"""Share of the image below which a panoptic segment gets no label."""


def draw_detections(
    image_bgr: Pixels,
    detections: Detections,
    *,
    labels: bool = True,
    every_label: bool = False,
    caption: str = "",
    colors: Mapping[str, RGB] | None = None,
) -> Pixels:
    """Draws boxes, masks and labels.

    A frame lies around its object, not on it, so that an object of a few pixels stays visible. A label that would
    cover another label or another object's box is left out; better detections come first.

    Args:
        image_bgr: `(height, width, 3)`, left as it is.
        detections: in the frame of the image.
        labels: write class and score in percent.
        every_label: leave none out; one without room beside its box stands farther off, with a line to it.
        caption: what a person must know who sees nothing but the picture; it stands in its corner.
        colors: by class name; those of `colors_by_name` where None.

    Returns:
        A new image `(height, width, 3)`, BGR.
    """
    canvas = swap_channels(image_bgr)
    by_name = colors or colors_by_name([detections])
    shades = [by_name[detections.class_names[int(index)]] for index in detections.classes]
    order = np.argsort(-detections.areas_px, kind="stable").tolist()  # small ones on top
    if detections.masks is not None:
        for index in order:
            _tint(canvas, mask_api.decode(detections.masks[index]).astype(bool), shades[index], MASK_OPACITY)
    picture = Image.fromarray(canvas)
    pen = _Pen.for_image(picture)
    boxes = [_Box(*box) for box in np.rint(detections.boxes_xyxy).astype(int).tolist()]
    for index in order:
        pen.frame(boxes[index], shades[index])
    pen.caption(caption)
    if labels:
        for index, box in enumerate(boxes):
            name = legible(detections.class_names[int(detections.classes[index])], LABEL_LENGTH)
            text = f"{name} {100 * detections.scores[index]:.0f}"
            others = [other for place, other in enumerate(boxes) if place != index]
            if not pen.label(text, box, shades[index], others) and every_label:
                pen.label_off(text, box, shades[index])
    return swap_channels(np.asarray(picture))


def draw_panoptic(image_bgr: Pixels, panoptic: Panoptic, *, caption: str = "") -> Pixels:
    """Tints every segment, parts them by lines and names the larger ones.

    A category has the same colour throughout the picture; pixels without a segment stay as they are.

    Args:
        image_bgr: `(height, width, 3)`, left as it is.
        panoptic: in the frame of the image.
        caption: see `draw_detections`.

    Returns:
        A new image `(height, width, 3)`, BGR.
    """
    canvas = swap_channels(image_bgr)
    categories = list(dict.fromkeys(segment["category"] for segment in panoptic.segments))
    segments = [
        (segment["category"], panoptic.segment_ids == segment["id"], class_color(categories.index(segment["category"])))
        for segment in panoptic.segments
    ]
    for _, mask, color in segments:
        _tint(canvas, mask, color, SEGMENT_OPACITY)
    picture = Image.fromarray(canvas)
    pen = _Pen.for_image(picture)
    pen.caption(caption)
    for name, mask, color in sorted(segments, key=lambda segment: -int(segment[1].sum())):
        if mask.mean() >= SMALLEST_LABELLED_SEGMENT:
            pen.label_at(legible(name, LABEL_LENGTH), _deepest_point(mask), color)
    return swap_channels(np.asarray(picture))


def picture_of(
    image: Pixels | str | Path | None,
    detections: Detections,
    panoptic: Panoptic | None = None,
    *,
    labels: bool = True,
    caption: str = "",
) -> Image.Image:
    """Draws what was found in an image as a picture of Pillow's.

    Args:
        image: `(height, width, 3)` uint8 in BGR, or a file; None for the file that the detections know.
        detections: in the frame of the image.
        panoptic: segments of the same image, which are drawn instead where there are some.
        labels: write class and score in percent.
        caption: see `draw_detections`.

    Raises:
        ValueError: there is no image, or it has another size than the detections are for.
        ImageError: the file cannot be read.
    """
    pixels = pixels_of(image, detections)
    if panoptic is None:
        drawn = draw_detections(pixels, detections, labels=labels, caption=caption)
    else:
        drawn = draw_panoptic(pixels, panoptic, caption=caption)
    return Image.fromarray(swap_channels(drawn))


def pixels_of(image: Pixels | str | Path | None, detections: Detections) -> Pixels:
    """Returns the image that detections are in, `(height, width, 3)` in BGR; arguments and errors of `picture_of`."""
    source = detections.file if image is None else image
    if source is None:
        raise ValueError(
            "These detections were found in an array, which they do not keep: give the image, as in draw(image)."
        )
    pixels = source if isinstance(source, np.ndarray) else read_image(source)
    if pixels.shape[:2] != tuple(detections.image_size):
        raise ValueError(
            f"The detections are for an image of (height, width) {tuple(detections.image_size)}, and this one has "
            f"{pixels.shape[:2]}: give the image that they were found in."
        )
    return pixels


@dataclass(frozen=True)
class _Box:
    """A rectangle in whole pixels, `x2` and `y2` exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    def meets(self, other: _Box) -> bool:
        return self.x1 < other.x2 and other.x1 < self.x2 and self.y1 < other.y2 and other.y1 < self.y2

    def contains(self, other: _Box) -> bool:
        return self.x1 <= other.x1 and self.y1 <= other.y1 and self.x2 >= other.x2 and self.y2 >= other.y2

    def grown(self, margin: int) -> _Box:
        return _Box(self.x1 - margin, self.y1 - margin, self.x2 + margin, self.y2 + margin)


@dataclass
class _Pen:
    """Draws frames and labels on one picture, in sizes that suit it."""

    picture: Image.Image
    width: int
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont
    taken: list[_Box] = field(default_factory=list)

    @classmethod
    def for_image(cls, picture: Image.Image) -> _Pen:
        size = max(picture.size)
        return cls(picture, max(1, round(size / 700)), ImageFont.load_default(max(10, round(size / 55))))

    def frame(self, box: _Box, color: RGB) -> None:
        """Draws a coloured frame just outside the box, and a dark line around it that shows on bright ground."""
        draw = ImageDraw.Draw(self.picture)
        for margin, shade, width in ((self.width + 1, DARK, 1), (self.width, color, self.width)):
            outer = box.grown(margin)
            draw.rectangle((outer.x1, outer.y1, outer.x2 - 1, outer.y2 - 1), outline=shade, width=width)

    def label(self, text: str, box: _Box, color: RGB, others: Sequence[_Box]) -> bool:
        """Writes above the box, else below or inside it, where nothing else is covered; says whether there was room."""
        width, height = self._size(text)
        gap = self.width + 1
        corners = [(box.x1 - gap, box.y1 - gap - height), (box.x1 - gap, box.y2 + gap)]
        if box.x2 - box.x1 > width and box.y2 - box.y1 > 3 * height:
            corners.append((box.x1, box.y1))
        hindrances = [*self.taken, *(other for other in others if not other.contains(box))]
        frame = _Box(0, 0, *self.picture.size)
        for x, y in corners:
            left = min(max(x, 0), max(0, frame.x2 - width))
            place = _Box(left, y, left + width, y + height)
            if frame.contains(place) and not any(place.meets(other) for other in hindrances):
                self._write(text, place, color)
                return True
        return False

    def label_off(self, text: str, box: _Box, color: RGB) -> None:
        """Writes at the nearest place that covers no other label, with a line to the box; over others if none is."""
        width, height = self._size(text)
        xs = range(0, max(1, self.picture.width - width), max(1, height // 2))
        ys = range(0, max(1, self.picture.height - height), max(1, height // 2))
        middle = ((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2)
        places = sorted(
            (_Box(x, y, x + width, y + height) for x in xs for y in ys),
            key=lambda place: np.hypot(place.x1 + width / 2 - middle[0], place.y1 + height / 2 - middle[1]),
        )
        free = (own for own in places if not own.meets(box) and not any(own.meets(other) for other in self.taken))
        place = next(free, places[0])
        end = (min(max(middle[0], place.x1), place.x2), min(max(middle[1], place.y1), place.y2))
        ImageDraw.Draw(self.picture).line([middle, end], fill=color, width=self.width)
        self._write(text, place, color)

    def label_at(self, text: str, center: tuple[int, int], color: RGB) -> None:
        """Writes around a point `(x, y)`, if no other label is there."""
        width, height = self._size(text)
        x = min(max(center[0] - width // 2, 0), max(0, self.picture.width - width))
        y = min(max(center[1] - height // 2, 0), max(0, self.picture.height - height))
        place = _Box(x, y, x + width, y + height)
        if not any(place.meets(other) for other in self.taken):
            self._write(text, place, color)

    def caption(self, text: str) -> None:
        """Writes into the upper left corner."""
        if text:
            self.label_at(text, (0, 0), LIGHT)

    def _size(self, text: str) -> tuple[int, int]:
        _, top, _, bottom = self.font.getbbox("Äg" + text)
        return int(self.font.getlength(text)) + 6, int(bottom - top) + 4

    def _write(self, text: str, place: _Box, color: RGB) -> None:
        draw = ImageDraw.Draw(self.picture)
        draw.rectangle((place.x1, place.y1, place.x2 - 1, place.y2 - 1), fill=color)
        ink = ink_on(color)
        draw.text((place.x1 + 3, (place.y1 + place.y2) / 2), text, fill=ink, font=self.font, anchor="lm")
        self.taken.append(place)


def _tint(canvas: Pixels, mask: Bools, color: RGB, opacity: float) -> None:
    """Blends a colour into the mask's pixels of an RGB image and draws the mask's edge in the full colour."""
    canvas[mask] = np.rint((1 - opacity) * canvas[mask] + opacity * np.array(color)).astype(np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    canvas[mask & (inner == 0)] = color


def _deepest_point(mask: Bools) -> tuple[int, int]:
    """Returns the pixel `(x, y)` of the mask that is farthest from its edge."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)
