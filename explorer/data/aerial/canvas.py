"""The picture being made: ground, things and what hides them, in metres, with a label for every pixel.

World frame: origin at the image's centre, metres, turned by the scene's heading. Pixel frame: OpenCV's, pixel centres
at whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from explorer.data.aerial.categories import IGNORE
from explorer.data.aerial.masks import rasterise
from explorer.data.aerial.pen import Colour, Light, Sprite, Vector, fill, fixed
from explorer.data.aerial.textures import fractal, surface
from explorer.types import Array

CLUTTER = -1
"""Owner of pixels that show something which is neither ground nor a labelled thing."""


@dataclass(frozen=True, eq=False)
class Placed:
    """One thing as it was drawn.

    Attributes:
        category: name of the thing.
        polygons: silhouette in COCO pixel coordinates (pixel corners at whole numbers), `(n, 2)` each, not clipped.
        area_px: pixels of the picture that it covered before anything was drawn over it.
        crowd: number of the crowd it belongs to, or None.
    """

    category: str
    polygons: tuple[Array, ...]
    area_px: int
    crowd: int | None


@dataclass(frozen=True, eq=False)
class _Waiting:
    sprite: Sprite
    xy: Vector
    heading: float
    category: str | None
    crowd: int | None


class Canvas:
    """Paints a scene of `size` (height, width) at `px_per_m`, turned by `heading` radians."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], px_per_m: float, heading: float, light: Light):
        self.rng, self.size, self.px_per_m, self.heading = rng, size, px_per_m, heading
        self.light = light
        self.image: Array = np.zeros((*size, 3), np.uint8)
        self.stuff = np.full(size, IGNORE, np.uint8)
        self.owner = np.zeros(size, np.int32)
        self.placed: list[Placed] = []
        self._centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
        cos, sin = np.cos(heading), np.sin(heading)
        self._turn = np.array([[cos, -sin], [sin, cos]])
        self._waiting: list[_Waiting] = []
        self._surfaces: dict[str, Array] = {}
        self._taken: list[tuple[float, float, float]] = []

    @property
    def near(self) -> bool:
        """Whether road vehicles appear larger than COCO's small objects."""
        return self.px_per_m > 12

    @property
    def radius_m(self) -> float:
        """Distance from the centre to the corners, in metres."""
        return float(np.hypot(*self.size)) / 2 / self.px_per_m

    def world_shadow(self) -> Vector:
        """Returns where the shadow of a point one metre up falls, in the world frame."""
        return self.light.turned(self.heading).shadow

    def px(self, points: Array | Sequence[Vector]) -> Array:
        """Converts world metres to pixels."""
        pixels: Array = np.asarray(points, np.float64) @ self._turn.T * self.px_per_m + self._centre
        return pixels

    def sees(self, xy: Vector, margin_m: float) -> bool:
        """Says whether a disc around a world point touches the picture."""
        (x, y), margin = self.px([xy])[0], margin_m * self.px_per_m
        return bool(-margin < x < self.size[1] + margin and -margin < y < self.size[0] + margin)

    def stuff_at(self, xy: Vector) -> int:
        """Returns the ground label at a world point, IGNORE outside the picture."""
        x, y = np.round(self.px([xy])[0]).astype(int)
        return int(self.stuff[y, x]) if 0 <= y < self.size[0] and 0 <= x < self.size[1] else IGNORE

    def take(self, xy: Vector, radius_m: float) -> bool:
        """Claims a disc of ground; False if something else has a part of it."""
        if any(np.hypot(xy[0] - x, xy[1] - y) < radius_m + r for x, y, r in self._taken):
            return False
        self._taken.append((xy[0], xy[1], radius_m))
        return True

    # Ground -----------------------------------------------------------------------------------------------------

    def _surface(self, kind: str) -> Array:
        if kind not in self._surfaces:
            self._surfaces[kind] = surface(kind, self.rng, self.size, self.px_per_m)
        return self._surfaces[kind]

    def cover(self, kind: str, stuff: int) -> None:
        """Lays one kind of ground everywhere."""
        self.image[:] = self._surface(kind)
        self.stuff[:] = stuff

    def lay(self, points: Array | Sequence[Vector], kind: str, stuff: int, ragged_m: float = 0.0) -> None:
        """Lays ground inside a polygon; a ragged edge wanders by about `ragged_m`. Hides what was drawn there."""
        points_px = self.px(points)
        if ragged_m > 0:
            mask, window = np.zeros(self.size, np.uint8), (slice(0, self.size[0]), slice(0, self.size[1]))
            fill(mask, points_px, 255)
            mask = self._fray(mask, ragged_m)
        else:
            mask, window, offset = self._window(points_px)
            fill(mask, points_px - offset, 255)
        if mask.size:
            self.image[window] = _mixed(self._surface(kind)[window], self.image[window], mask)
            inside = mask > 127
            self.stuff[window][inside] = stuff
            self.owner[window][inside] = 0

    def _window(self, points_px: Array, grow_px: float = 1.0) -> tuple[Array, tuple[slice, slice], Array]:
        """Returns an empty mask for the part of the picture around some points, that part, and its corner's x and y."""
        limit = np.array(self.size[::-1])
        low = np.clip(np.floor(points_px.min(axis=0) - grow_px), 0, limit).astype(int)
        high = np.clip(np.ceil(points_px.max(axis=0) + grow_px) + 1, low, limit).astype(int)
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        return mask, (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))), low

    def _fray(self, mask: Array, ragged_m: float) -> Array:
        """Moves a mask's edge in and out by noise."""
        sigma = max(1.0, ragged_m * self.px_per_m)
        soft = cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.float32) / 255
        # No noise far from the edge: it would make islands.
        soft += soft * (1 - soft) * np.clip(0.7 * fractal(self.rng, self.size, 5 * sigma + 6, 3), -1.5, 1.5)
        edge = (soft - 0.5) * min(sigma * 2.0, 12.0) + 0.5
        return (np.clip(edge, 0, 1) * 255).astype(np.uint8)

    def tint(self, *polygons: Array, colour: Colour, strength: float, soft_m: float = 0.0) -> None:
        """Mixes a colour into the ground inside some polygons: stains, wear, foam."""
        soft = soft_m * self.px_per_m
        mask, window, offset = self._window(self.px(np.concatenate(polygons)), 3 * soft + 1)
        if not mask.size:
            return
        for polygon in polygons:
            fill(mask, self.px(polygon) - offset, 255 * strength)
        if soft > 0.4:
            mask = cv2.GaussianBlur(mask, (0, 0), soft)
        self.image[window] = _mixed(colour, self.image[window], mask)

    def tint_mask(self, mask: Array, colour: Colour) -> None:
        """Mixes a colour in as far as a uint8 mask of the whole picture says."""
        self.image[:] = _mixed(colour, self.image, mask)

    def mark(
        self,
        *lines_m: Array | Sequence[Vector],
        width_m: float,
        colour: Colour = (222, 224, 224),
        dash: tuple[float, float] | None = None,
        strength: float = 0.85,
    ) -> None:
        """Paints lines on the ground, whole or in `(mark, gap)` metres of dashes, worn so that the ground shows."""
        paths = [np.asarray(line, np.float64) for line in lines_m]
        pieces = paths if dash is None else [piece for path in paths for piece in _dashes(path, *dash)]
        thickness = width_m * self.px_per_m
        mask, window, offset = self._window(self.px(np.concatenate(paths)), thickness + 1)
        if mask.size:
            lines = [fixed(self.px(piece) - offset) for piece in pieces]
            # A line thinner than a pixel fades instead of vanishing.
            value = 255 * strength * min(1.0, max(thickness, 0.15))
            cv2.polylines(mask, lines, False, (value,), max(1, round(thickness)), cv2.LINE_AA, 4)
            self.image[window] = _mixed(colour, self.image[window], mask)

    # Things -----------------------------------------------------------------------------------------------------

    def put(
        self, sprite: Sprite, xy: Vector, heading: float = 0.0, category: str | None = None, crowd: int | None = None
    ) -> None:
        """Queues an object at a world position and heading; `flush` draws the queue in this order."""
        self._waiting.append(_Waiting(sprite, xy, heading, category, crowd))

    def flush(self) -> None:
        """Draws what waits: first all shadows, then the objects."""
        shadow = np.zeros(self.size, np.uint8)
        for item in self._waiting:
            self._cast(shadow, item)
        blur = float(np.clip(0.12 * self.px_per_m, 0.5, 2.5))
        soft = cv2.GaussianBlur(shadow, (0, 0), blur).astype(np.float32) / 255
        # Shade is lit by the sky alone, so it turns bluish.
        shade = cv2.merge([1 - k * self.light.strength * soft for k in (0.86, 0.96, 1.0)])
        self.image = cv2.multiply(self.image, shade, dtype=cv2.CV_8U)
        for item in self._waiting:
            self._stamp(item)
        self._waiting.clear()

    def _place(self, item: _Waiting, points: Array) -> Array:
        cos, sin = np.cos(item.heading), np.sin(item.heading)
        turned = np.stack([points[:, 0] * cos - points[:, 1] * sin, points[:, 0] * sin + points[:, 1] * cos], axis=1)
        return self.px(turned + np.array(item.xy))

    def _cast(self, shadow: Array, item: _Waiting) -> None:
        full = np.array(self.light.shadow) * item.sprite.height_m * self.px_per_m
        if item.sprite.base is not None:
            base = self._place(item, item.sprite.base)
            fill(shadow, cv2.convexHull(np.concatenate([base, base + full]).astype(np.float32))[:, 0], 255)
            return
        # Wings and tail are at different heights: a short sweep blurs between their shadows.
        steps = int(np.clip(np.hypot(*full) / 3, 2, 16))
        for outline in item.sprite.outlines:
            for part in np.linspace(0.5, 1.0, steps):
                fill(shadow, self._place(item, outline) + full * part, 255)

    def _stamp(self, item: _Waiting) -> None:
        sprite = item.sprite
        height, width = sprite.alpha.shape
        angle, scale = item.heading + self.heading, self.px_per_m / sprite.px_per_m
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        matrix = np.array([[cos, -sin, 0], [sin, cos, 0]])
        half = np.array([(width - 1) / 2, (height - 1) / 2])
        origin = self.px([item.xy])[0]
        reach = np.abs(matrix[:, :2]) @ half + 1
        x0, y0 = np.floor(np.maximum(origin - reach, 0)).astype(int)
        x1, y1 = np.ceil(np.minimum(origin + reach + 1, (self.size[1], self.size[0]))).astype(int)
        if x0 >= x1 or y0 >= y1:
            return
        matrix[:, 2] = origin - matrix[:, :2] @ half - (x0, y0)
        target = (int(x1 - x0), int(y1 - y0))
        alpha = cv2.warpAffine(sprite.alpha, matrix, target, flags=cv2.INTER_LINEAR)
        bgr = cv2.warpAffine(sprite.bgr, matrix, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self.image[y0:y1, x0:x1] = _mixed(bgr, self.image[y0:y1, x0:x1], alpha)
        if item.category is None:
            self.owner[y0:y1, x0:x1][alpha > 127] = CLUTTER
        else:
            self._claim(item)

    def _claim(self, item: _Waiting) -> None:
        assert item.category is not None
        polygons = tuple(self._place(item, outline) + 0.5 for outline in item.sprite.outlines)
        patch, (y, x) = rasterise(polygons, self.size)
        self.placed.append(Placed(item.category, polygons, int(patch.sum()), item.crowd))
        self.owner[y : y + patch.shape[0], x : x + patch.shape[1]][patch] = len(self.placed)


def _mixed(top: Array | Colour, bottom: Array, mask: Array) -> Array:
    """Lays a picture or a colour over another as far as a uint8 mask says."""
    if isinstance(top, tuple):
        colour, top = top, np.empty_like(bottom)
        top[:] = colour
    weight = mask.astype(np.float32) * np.float32(1 / 255)
    return cv2.blendLinear(top, bottom, weight, 1 - weight)


def _dashes(path: Array, mark: float, gap: float) -> list[Array]:
    """Cuts a polyline into pieces of `mark` metres, `gap` metres apart."""
    steps = np.hypot(*np.diff(path, axis=0).T)
    along = np.concatenate([[0], np.cumsum(steps)])
    starts = np.arange(0, along[-1], mark + gap)
    stops = np.minimum(starts + mark, along[-1])
    at = [np.stack([np.interp(s, along, path[:, k]) for k in (0, 1)], axis=1) for s in (starts, stops)]
    return list(np.stack(at, axis=1))
