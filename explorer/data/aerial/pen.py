"""Drawing objects in metres on small transparent patches.

An object's frame has its origin at the object's centre, x forward and y to its right, in metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from explorer.types import Array

Colour = tuple[int, int, int]
"""BGR, 0 to 255."""
Vector = tuple[float, float]

_FRACTION_BITS = 4
_SILHOUETTE_ALPHA = 110


@dataclass(frozen=True)
class Light:
    """How sun and camera show height, as ground displacement in metres per metre of height.

    Attributes:
        shadow: where the shadow of a raised point falls.
        tilt: where a raised point appears, the camera not being exactly overhead.
        strength: how dark shadows are, 0 to 1.
    """

    shadow: Vector
    tilt: Vector
    strength: float = 0.5

    def turned(self, angle: float) -> Light:
        """Returns the same light in a frame turned by `angle` radians."""
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        (sx, sy), (tx, ty) = self.shadow, self.tilt
        shadow, tilt = (sx * cos + sy * sin, sy * cos - sx * sin), (tx * cos + ty * sin, ty * cos - tx * sin)
        return Light(shadow, tilt, self.strength)

    @property
    def sun(self) -> Vector:
        """Unit vector towards the sun."""
        length = float(np.hypot(*self.shadow)) or 1.0
        return -self.shadow[0] / length, -self.shadow[1] / length


@dataclass(frozen=True, eq=False)
class Sprite:
    """A drawn object.

    Attributes:
        bgr: `(h, w, 3)` uint8.
        alpha: `(h, w)` uint8.
        px_per_m: resolution of the patch, whose centre is the object's origin.
        height_m: height above ground, for the shadow.
        outlines: silhouette polygons `(n, 2)` in metres.
        base: convex polygon `(n, 2)` in metres on which the object stands; None for one on thin legs, with only air
            below it, whose silhouette alone casts the shadow.
    """

    bgr: Array
    alpha: Array
    px_per_m: float
    height_m: float
    outlines: tuple[Array, ...]
    base: Array | None = None


def rounded(x0: float, x1: float, y: float, rear: float, front: float) -> Array:
    """Outline, symmetric about the x axis, of a box from `x0` to `x1` with corner radii at its rear and front."""
    t = np.linspace(0, np.pi / 2, 6)
    fx, fy = x1 - front + front * np.cos(t), y - front + front * np.sin(t)
    rx, ry = x0 + rear - rear * np.sin(t), y - rear + rear * np.cos(t)
    upper = np.stack([np.concatenate([fx, rx]), np.concatenate([fy, ry])], axis=1)
    return np.concatenate([upper, upper[::-1] * (1, -1)])


def box(x0: float, x1: float, y0: float, y1: float) -> Array:
    """Corners of an upright rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def across(x0: float, x1: float, y: float) -> list[Vector]:
    """A line along the x axis."""
    return [(x0, y), (x1, y)]


def disc(x: float, y: float, radius_x: float, radius_y: float | None = None, points: int = 40) -> Array:
    """Outline of an ellipse."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + radius_x * np.cos(t), y + (radius_y or radius_x) * np.sin(t)], axis=1)


def moved(points: Array, x: float, y: float) -> Array:
    """Returns the outline moved by `x` and `y` metres."""
    shifted: Array = points + np.array([x, y])
    return shifted


def shaded(colour: Colour, gain: float) -> Colour:
    """Returns the colour made lighter or darker."""
    b, g, r = (int(min(255, max(0, round(c * gain)))) for c in colour)
    return b, g, r


def fixed(points: Array) -> Array:
    """Converts pixel coordinates to OpenCV's fixed-point polygons (use with `shift=4`)."""
    return np.round(points * (1 << _FRACTION_BITS)).astype(np.int32)


def fill(image: Array, points_px: Array, colour: float | Sequence[float]) -> None:
    """Fills a polygon given in pixel centres, antialiased, in place; an empty image stays empty."""
    value = (colour,) if isinstance(colour, int | float) else tuple(colour)
    if image.size:
        cv2.fillPoly(image, [fixed(points_px)], value, cv2.LINE_AA, _FRACTION_BITS)


class Pen:
    """Draws one object of about `length_m` by `width_m`; `sprite()` hands it over."""

    def __init__(self, length_m: float, width_m: float, px_per_m: float, light: Light, margin_m: float = 0.3) -> None:
        longest = (max(length_m, width_m) + 2 * margin_m) * px_per_m
        # Twice the needed resolution makes thin parts come out antialiased; very large objects can do without.
        self.px_per_m = px_per_m * (2.0 if longest < 220 else 1.3 if longest < 500 else 1.0)
        self.light = light
        width = int(np.ceil((length_m + 2 * margin_m) * self.px_per_m)) + 4
        height = int(np.ceil((width_m + 2 * margin_m) * self.px_per_m)) + 4
        self.bgr: Array = np.zeros((height, width, 3), np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)
        self._centre = np.array([(width - 1) / 2, (height - 1) / 2])

    def px(self, points: Array | Sequence[Vector]) -> Array:
        """Converts metres to patch pixels."""
        pixels: Array = np.asarray(points, np.float64) * self.px_per_m + self._centre
        return pixels

    def body(self, points: Array | Sequence[Vector], colour: Colour) -> None:
        """Adds a part to the silhouette."""
        points_px = fixed(self.px(points))
        cv2.fillPoly(self.alpha, [points_px], (255,), cv2.LINE_AA, _FRACTION_BITS)
        cv2.fillPoly(self.bgr, [points_px], colour, cv2.LINE_8, _FRACTION_BITS)
        # Colour beyond the edge, so that the soft rim of alpha never mixes in the black of the empty patch.
        cv2.polylines(self.bgr, [points_px], True, colour, 3, cv2.LINE_8, _FRACTION_BITS)

    def fill(self, points: Array | Sequence[Vector], colour: Colour, mirrored: bool = False) -> None:
        """Paints a polygon inside the silhouette, and its mirror image at `-y` if asked to."""
        array = np.asarray(points, np.float64)
        fill(self.bgr, self.px(array), colour)
        if mirrored:
            fill(self.bgr, self.px(array * (1, -1)), colour)

    def line(self, points: Array | Sequence[Vector], width_m: float, colour: Colour, mirrored: bool = False) -> None:
        """Draws a line inside the silhouette; thinner than a patch pixel it fades instead of vanishing."""
        thickness = width_m * self.px_per_m
        array = np.asarray(points, np.float64)
        for path in (array, array * (1, -1)) if mirrored else (array,):
            if thickness >= 0.9:
                points_px = [fixed(self.px(path))]
                cv2.polylines(self.bgr, points_px, False, colour, max(1, round(thickness)), cv2.LINE_AA, _FRACTION_BITS)
            else:
                overlay = self.bgr.copy()
                cv2.polylines(overlay, [fixed(self.px(path))], False, colour, 1, cv2.LINE_AA, _FRACTION_BITS)
                cv2.addWeighted(overlay, thickness, self.bgr, 1 - thickness, 0, dst=self.bgr)

    def darken(self, points: Array | Sequence[Vector], strength: float, soft_m: float = 0.0) -> None:
        """Multiplies what is already drawn inside a polygon by `1 - strength`."""
        mask: Array = np.zeros(self.alpha.shape, np.uint8)
        fill(mask, self.px(points), 255)
        if soft_m * self.px_per_m > 0.5:
            mask = cv2.GaussianBlur(mask, (0, 0), soft_m * self.px_per_m)
        self.gain(1 - mask.astype(np.float32) * (strength / 255))

    def raised(self, points: Array | Sequence[Vector], height_m: float, colour: Colour, mirrored: bool = False) -> None:
        """Paints a part that stands `height_m` above what is below it: shadow, then top."""
        array = np.asarray(points, np.float64)
        for path in (array, array * (1, -1)) if mirrored else (array,):
            cast = np.concatenate([path, path + np.array(self.light.shadow) * height_m]).astype(np.float32)
            self.darken(cv2.convexHull(cast)[:, 0], 0.45)
            self.fill(path, colour)

    def gain(self, gain: Array) -> None:
        """Multiplies the patch by a field `(h, w)`."""
        stacked = cv2.merge([np.asarray(gain, np.float32)] * 3)
        self.bgr = cv2.multiply(self.bgr, stacked, dtype=cv2.CV_8U)

    def grid(self) -> tuple[Array, Array]:
        """Returns the metric x and y of the patch's columns `(1, w)` and rows `(h, 1)`."""
        height, width = self.alpha.shape
        x = (np.arange(width, dtype=np.float32) - self._centre[0]) / self.px_per_m
        y = (np.arange(height, dtype=np.float32) - self._centre[1]) / self.px_per_m
        return x[None, :].astype(np.float32), y[:, None].astype(np.float32)

    def round_sides(self, half_width: float, strength: float) -> None:
        """Shades the sides like those of a rounded body, the sunny one less."""
        _, y = self.grid()
        across = np.clip(y / half_width, -1, 1)
        gain = 1 - strength * np.abs(across) ** 3 + 0.5 * strength * across * self.light.sun[1]
        self.gain(np.broadcast_to(gain, self.alpha.shape))

    def sprite(self, height_m: float, base: Array | None = None, on_legs: bool = False) -> Sprite:
        """Finishes the drawing; without `base` the object stands on the hull of its silhouette, or on legs."""
        silhouette = (self.alpha >= _SILHOUETTE_ALPHA).astype(np.uint8)
        contours, _ = cv2.findContours(silhouette, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outlines = []
        for contour in contours:
            simple = cv2.approxPolyDP(contour, 0.7, True)[:, 0].astype(np.float64)
            if len(simple) >= 3:
                outlines.append((simple - self._centre) / self.px_per_m)
        if base is None and not on_legs:
            base = cv2.convexHull(np.concatenate(outlines).astype(np.float32))[:, 0].astype(np.float64)
        return Sprite(self.bgr, self.alpha, self.px_per_m, height_m, tuple(outlines), base)
