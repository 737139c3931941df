"""Full-frame pictures of the ground, seen from above: photographed grain over fractal unevenness.

The grain comes from the grass, gravel and brick photographs in scikit-image (public domain or CC0).
Images are BGR uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from skimage import data as photographs

from explorer.types import Array

Size = tuple[int, int]

_RAMPS_RGB: dict[str, list[list[tuple[int, int, int]]]] = {
    "grass": [
        [(34, 52, 24), (66, 88, 42), (92, 112, 58), (138, 148, 88)],
        [(42, 58, 30), (86, 100, 52), (122, 128, 72), (160, 156, 104)],
        [(26, 50, 26), (48, 84, 40), (72, 108, 52), (112, 136, 76)],
        [(70, 70, 40), (118, 112, 66), (146, 138, 88), (178, 166, 118)],
    ],
    "soil": [
        [(84, 62, 44), (122, 96, 70), (146, 118, 90), (176, 150, 122)],
        [(110, 92, 68), (150, 130, 98), (176, 154, 120), (200, 182, 150)],
    ],
    "sand": [[(160, 140, 104), (196, 176, 138), (214, 196, 160), (236, 222, 192)]],
    "asphalt": [
        [(46, 47, 50), (70, 71, 74), (84, 85, 88), (112, 112, 112)],
        [(62, 62, 62), (92, 91, 89), (108, 106, 103), (134, 131, 126)],
        [(54, 56, 62), (80, 83, 89), (95, 98, 104), (122, 124, 128)],
    ],
    "concrete": [
        [(132, 128, 120), (168, 164, 154), (184, 180, 170), (208, 204, 196)],
        [(142, 142, 140), (172, 172, 170), (186, 186, 184), (210, 210, 208)],
        [(146, 136, 120), (180, 170, 152), (196, 186, 168), (216, 208, 192)],
    ],
    "sea": [
        [(10, 36, 52), (20, 58, 78), (30, 74, 94), (74, 118, 134)],
        [(12, 44, 48), (28, 72, 74), (42, 90, 88), (90, 132, 126)],
        [(14, 30, 48), (22, 44, 68), (32, 58, 84), (74, 100, 124)],
    ],
    "river": [
        [(36, 46, 30), (58, 70, 48), (72, 84, 60), (112, 122, 96)],
        [(48, 56, 46), (78, 86, 70), (94, 102, 84), (130, 136, 116)],
    ],
    "gravel": [[(88, 84, 78), (128, 122, 114), (150, 144, 136), (186, 180, 172)]],
}


@cache
def photograph(name: str) -> Array:
    """Returns a `(512, 512)` uint8 texture of mean 128 and deviation 40, with uneven lighting taken out."""
    image = getattr(photographs, name)().astype(np.float32)
    image -= cv2.GaussianBlur(image, (0, 0), 24)
    levels: Array = np.clip(np.round((image - image.mean()) * (40 / image.std()) + 128), 0, 255).astype(np.uint8)
    return levels


def grain(rng: np.random.Generator, name: str, size: Size, zoom: float, turn: float | None = None) -> Array:
    """Cuts a randomly placed, turned and zoomed `size` piece out of a photograph; zero mean, about unit deviation."""
    angle = rng.uniform(0, 2 * np.pi) if turn is None else turn
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    shift = rng.uniform(0, 512, 2)
    matrix = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    piece = cv2.warpAffine(photograph(name), matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    return (piece.astype(np.float32) - 128) * np.float32(1 / 40)


def fractal(rng: np.random.Generator, size: Size, cell_px: float, octaves: int = 3, aspect: float = 1.0) -> Array:
    """Sums octaves of smooth noise, the coarsest of cells `cell_px` by `cell_px / aspect`; about unit deviation."""
    height, width = size
    if cell_px / aspect / 2**octaves >= 4 and min(size) >= 16:
        # Nothing in it is finer than 8 pixels: half the resolution shows all, in a quarter of the time.
        half = fractal(rng, ((height + 1) // 2, (width + 1) // 2), cell_px / 2, octaves, aspect)
        return cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        cell_x, cell_y = cell_px / 2**octave, cell_px / aspect / 2**octave
        shape = (max(2, round(height / max(cell_y, 1)) + 2), max(2, round(width / max(cell_x, 1)) + 2))
        noise = rng.standard_normal(shape, np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * (1.4 * 0.6**octave)
    return total


def ramp(field: Array, colours_rgb: list[tuple[int, int, int]]) -> Array:
    """Colours a field of about unit deviation from the first colour (-2.5) to the last (2.5)."""
    index = np.clip(field * 51.0 + 128.0, 0, 255).astype(np.uint8)
    stops = np.linspace(0, 255, len(colours_rgb))
    channels = [np.interp(np.arange(256), stops, [c[k] for c in colours_rgb]) for k in (2, 1, 0)]
    table = np.stack(channels, axis=1).round().astype(np.uint8).reshape(256, 1, 3)
    return cv2.applyColorMap(index, table)


def _blend(first: Array, second: Array, weight: Array) -> Array:
    """Mixes two pictures; `weight` is that of the second, clipped to [0, 1]."""
    weight = np.clip(weight, 0, 1).astype(np.float32)
    return cv2.blendLinear(first, second, 1 - weight, weight)


def _pick(rng: np.random.Generator, kind: str) -> list[tuple[int, int, int]]:
    ramps = _RAMPS_RGB[kind]
    return ramps[int(rng.integers(len(ramps)))]


def _grass(rng: np.random.Generator, size: Size, px_per_m: float) -> Array:
    uneven = fractal(rng, size, 14 * px_per_m + 30)
    field = 0.6 * grain(rng, "grass", size, rng.uniform(0.6, 1.0)) + 0.5 * uneven
    lush, dry = ramp(field, _pick(rng, "grass")), ramp(field, _pick(rng, "grass"))
    return _blend(lush, dry, 0.5 + 0.5 * fractal(rng, size, 30 * px_per_m + 40, 2))


def _loose(kind: str) -> Callable[[np.random.Generator, Size, float], Array]:
    def paint(rng: np.random.Generator, size: Size, px_per_m: float) -> Array:
        field = 0.5 * grain(rng, "gravel", size, rng.uniform(0.5, 0.8)) + 0.6 * fractal(rng, size, 12 * px_per_m)
        return ramp(field, _pick(rng, kind))

    return paint


def _asphalt(rng: np.random.Generator, size: Size, px_per_m: float) -> Array:
    field = 0.35 * grain(rng, "gravel", size, 0.5) + 0.35 * fractal(rng, size, 8 * px_per_m + 10)
    return ramp(field, _pick(rng, "asphalt"))


def _concrete(rng: np.random.Generator, size: Size, px_per_m: float) -> Array:
    field = 0.22 * grain(rng, "gravel", size, 0.5) + 0.5 * fractal(rng, size, 10 * px_per_m + 10)
    stains = np.maximum(fractal(rng, size, 5 * px_per_m + 8, 2) - 1.1, 0)
    return ramp(field - 0.9 * stains, _pick(rng, "concrete"))


def _water(kind: str) -> Callable[[np.random.Generator, Size, float], Array]:
    def paint(rng: np.random.Generator, size: Size, px_per_m: float) -> Array:
        swell = fractal(rng, size, max(6.0, 2.5 * px_per_m), 3, aspect=rng.uniform(2, 3.5))
        depth = fractal(rng, size, 60 * px_per_m + 80, 2)
        field = rng.uniform(0.25, 0.5) * swell + 0.6 * depth
        glints = np.maximum(swell - 2.3, 0) * rng.uniform(0, 1.6)
        return ramp(field + glints, _pick(rng, kind))

    return paint


_PAINTERS: dict[str, Callable[[np.random.Generator, Size, float], Array]] = {
    "grass": _grass,
    "soil": _loose("soil"),
    "sand": _loose("sand"),
    "gravel": _loose("gravel"),
    "asphalt": _asphalt,
    "concrete": _concrete,
    "sea": _water("sea"),
    "river": _water("river"),
}


def surface(kind: str, rng: np.random.Generator, size: Size, px_per_m: float) -> Array:
    """Paints a whole frame `(height, width, 3)` of one kind of ground at `px_per_m` pixels per metre."""
    return _PAINTERS[kind](rng, size, px_per_m)
