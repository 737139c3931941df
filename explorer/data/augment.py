"""Augmentations of photographs beyond detectron2's: crops around objects at many scales, quarter turns, other cameras.

All draw from NumPy's global generator, as detectron2's own do; the training stream seeds it for every sample.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import cv2
import numpy as np
import PIL.Image
from detectron2.data import transforms as T
from fvcore.transforms.transform import Transform

from explorer.types import Array, Floats, Ints, Pixels


class CropAroundObject(T.RandomCrop):
    """A random crop that holds the centre of an object drawn at random, where the image has any, or one anywhere."""

    def __init__(
        self,
        crop_type: str,
        crop_size: tuple[float, float],
        *,
        zoom: tuple[float, float] = (1.0, 1.0),
        balanced: bool = False,
        anywhere: float = 0.0,
    ) -> None:
        """Prepares crops.

        Args:
            crop_type: as detectron2's `RandomCrop` has it.
            crop_size: as there.
            zoom: smallest and largest factor by which a crop's sides are divided, drawn evenly on a logarithmic scale.
                Resizing to a fixed size afterwards magnifies what it shows by this factor.
            balanced: draw the class first, evenly, and then one of its objects, so that rare classes are seen.
            anywhere: share of the crops that lie anywhere, with objects or without: a detector that sees no place
                without objects takes much for one.

        Raises:
            ValueError: the factors are not positive or not in order, or the share is not between 0 and 1.
        """
        super().__init__(crop_type, crop_size)
        if not 0 < zoom[0] <= zoom[1]:
            raise ValueError(f"INPUT.CROP.ZOOM is {list(zoom)}: give two positive factors, the smaller one first.")
        if not 0 <= anywhere <= 1:
            raise ValueError(f"INPUT.CROP.ANYWHERE is {anywhere:g}: give a share between 0 and 1.")
        self.zoom, self.balanced, self.anywhere = zoom, balanced, anywhere

    def get_transform(self, image: Pixels, boxes: Floats, classes: Ints | None = None) -> T.Transform:
        """Draws the crop.

        Args:
            image: `(H, W, 3)`.
            boxes: `(n, 4)`, `x1, y1, x2, y2` in pixels of `image`.
            classes: `(n,)` class indices; needed where the draw is balanced.
        """
        height, width = image.shape[:2]
        size = np.asarray(self.get_crop_size((height, width)), dtype=np.float64)
        if self.zoom != (1.0, 1.0):
            size = size / self.zoom[0] / (self.zoom[1] / self.zoom[0]) ** np.random.rand()  # noqa: NPY002
        cut = np.minimum(np.maximum(size.round(), 1), (height, width)).astype(int)
        last = np.asarray((height, width)) - cut
        low, high = np.zeros(2, int), last
        around = not self.anywhere or np.random.rand() >= self.anywhere  # noqa: NPY002
        if around and len(boxes):
            corners = boxes[self._drawn(len(boxes), classes)]
            centre = np.asarray((corners[1] + corners[3], corners[0] + corners[2])) / 2
            low, high = (centre - cut + 1).clip(0, last).astype(int), centre.clip(0, last).astype(int)
        top, left = np.random.randint(low, high + 1)  # noqa: NPY002
        return T.CropTransform(int(left), int(top), int(cut[1]), int(cut[0]))

    def _drawn(self, count: int, classes: Ints | None) -> int:
        """Draws the object to show."""
        if not self.balanced or classes is None:
            return int(np.random.randint(count))  # noqa: NPY002
        return int(np.random.choice(np.flatnonzero(classes == np.random.choice(np.unique(classes)))))  # noqa: NPY002


class RandomTranspose(T.Augmentation):
    """Swaps rows and columns of every second image; with flips in both directions, all eight views of a square."""

    def get_transform(self, image: Pixels) -> Transform:  # noqa: ARG002 - detectron2 passes what is named so
        """Draws whether."""
        return TransposeTransform() if np.random.rand() < 0.5 else T.NoOpTransform()  # noqa: NPY002


class TransposeTransform(Transform):
    """Rows become columns."""

    def apply_image(self, img: Array) -> Array:
        return np.ascontiguousarray(img.swapaxes(0, 1))

    def apply_coords(self, coords: Array) -> Array:
        return coords[:, ::-1].copy()

    def inverse(self) -> Transform:
        return self


class OtherCamera(T.Augmentation):
    """Colour, light, sharpness, noise and compression of another camera, for a share of the images."""

    def __init__(self, share: float) -> None:
        """Prepares; `share` is between 0 and 1.

        Raises:
            ValueError: it is not.
        """
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"INPUT.OTHER_CAMERA is {share:g}: give a share between 0 and 1.")
        self.share = share

    def get_transform(self, image: Pixels) -> Transform:  # noqa: ARG002 - detectron2 passes what is named so
        """Draws the camera."""
        if np.random.rand() >= self.share:  # noqa: NPY002
            return T.NoOpTransform()
        return T.ColorTransform(_camera(np.random.RandomState(np.random.randint(2**31))))  # noqa: NPY002


def _camera(draw: np.random.RandomState) -> Any:
    gains = np.exp(draw.normal(0, 0.06, 3))
    exposure, gamma, saturation = np.exp(draw.normal(0, 0.2)), np.exp(draw.normal(0, 0.15)), draw.uniform(0.3, 1.5)
    blur = draw.uniform(0.4, 1.4) if draw.rand() < 0.35 else 0.0
    noise = draw.uniform(1, 8) if draw.rand() < 0.35 else 0.0
    quality = int(draw.uniform(30, 95)) if draw.rand() < 0.5 else 0

    def seen(image: Pixels) -> Pixels:
        light = (image / np.float32(255)) ** np.float32(gamma) * (255 * exposure * gains).astype(np.float32)
        grey = light.mean(2, keepdims=True)
        light = grey + (light - grey) * np.float32(saturation)
        if blur:
            light = cv2.GaussianBlur(light, (0, 0), blur)
        if noise:
            light = light + draw.normal(0, noise, light.shape).astype(np.float32)
        pixels: Pixels = light.clip(0, 255).astype(np.uint8)
        if quality:
            encoded = BytesIO()
            PIL.Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
            pixels = np.asarray(PIL.Image.open(encoded))
        return pixels

    return seen
