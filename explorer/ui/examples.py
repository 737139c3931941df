"""Photos to try without network.

Aerial scenes made here, blood cells (image 31 of BCCD's test set, MIT licence beside it), and photographs that
scikit-image and scikit-learn ship.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from explorer.data.images import read_image

Photo = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Example:
    """A photo with a caption; `read` gives it as `(height, width, 3)` uint8, RGB; `models` are those to try on it."""

    caption: str
    read: Callable[[], Photo]
    models: tuple[str, ...] = ("demo/V-19-slim-dw", "demo/MobileNetV2")


def examples() -> list[Example]:
    """Lists the example photos; none is rendered or read before it is asked for."""
    aerial = [Example(layout, _aerial(layout, seed)) for layout, seed in AERIAL.items()]
    real = [Example(caption, _scikit_image(name)) for caption, name in _SCIKIT_IMAGE.items()]
    cells = Example("blood cells", _cells, ("demo/V-19-slim-dw-bccd",))
    return [*aerial, cells, *real, Example("temple", _china)]


AERIAL = {"airfield": 7, "crossing": 7, "apron": 5}
"""Seed by layout."""
_SCIKIT_IMAGE = {
    "motorcycle": "stereo_motorcycle",
    "coffee": "coffee",
    "astronaut": "astronaut",
}


def _aerial(layout: str, seed: int) -> Callable[[], Photo]:
    def read() -> Photo:
        from explorer.data.aerial import render_scene

        return np.ascontiguousarray(render_scene(seed, layout=layout).image[..., ::-1])

    return read


def _scikit_image(name: str) -> Callable[[], Photo]:
    def read() -> Photo:
        import skimage.data

        photo = getattr(skimage.data, name)()
        return np.asarray(photo[0] if isinstance(photo, tuple) else photo, dtype=np.uint8)

    return read


def _cells() -> Photo:
    return np.ascontiguousarray(read_image(Path(__file__).parent / "photos" / "blood-cells.jpg")[..., ::-1])


def _china() -> Photo:
    from sklearn.datasets import load_sample_image

    return np.asarray(load_sample_image("china.jpg"), dtype=np.uint8)
