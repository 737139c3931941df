"""What stands between the scene and the file: sun and sky, lens, sensor and JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from explorer.data.aerial.pen import Light
from explorer.types import Array


def sunlight(rng: np.random.Generator) -> Light:
    """Draws a sun 32 to 65 degrees high, or an overcast sky, and a camera up to 10 degrees off the vertical."""
    azimuth, length = rng.uniform(0, 2 * np.pi), 1 / np.tan(np.radians(rng.uniform(32, 65)))
    strength = rng.uniform(0.12, 0.25) if rng.random() < 0.15 else rng.uniform(0.4, 0.56)
    towards, lean = rng.uniform(0, 2 * np.pi), np.tan(np.radians(rng.uniform(0, 10)))
    return Light(
        (float(length * np.cos(azimuth)), float(length * np.sin(azimuth))),
        (float(lean * np.cos(towards)), float(lean * np.sin(towards))),
        float(strength),
    )


def expose(rng: np.random.Generator, image: Array) -> Array:
    """Applies lighting, haze, vignetting, blur and sensor noise."""
    height, width = image.shape[:2]
    if rng.random() < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.35, 0.9))
    warmth = rng.normal(0, 0.035)
    gains = rng.uniform(0.86, 1.16) * np.array([1 - warmth, 1.0, 1 + warmth])
    haze = max(0.0, rng.normal(0.02, 0.07))
    tone = np.arange(256) / 255.0
    contrast = rng.uniform(0.9, 1.12)
    curves = []
    for gain, air in zip(gains, (0.86, 0.82, 0.78), strict=True):
        curve = np.clip(tone * gain, 0, 1) ** contrast * (1 - haze) + haze * air
        curves.append(np.clip(np.round(curve * 255), 0, 255))
    image = cv2.LUT(image, np.stack(curves, axis=1).astype(np.uint8).reshape(1, 256, 3))
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    falloff = 1 - rng.uniform(0, 0.12) * (x * x + y * y)
    sigma = rng.uniform(0.5, 4.5)
    noise = rng.standard_normal((height, width), np.float32) * sigma
    lit = cv2.multiply(image, cv2.merge([falloff] * 3), dtype=cv2.CV_32F) + noise[..., None]
    return cv2.convertScaleAbs(np.maximum(lit, 0))


def compress(rng: np.random.Generator, image: Array) -> bytes:
    """Encodes as JPEG at a quality between 68 and 95."""
    quality = int(rng.integers(68, 96))
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return bytes(data)
