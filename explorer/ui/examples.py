"""Photos to try without network: aerial scenes made here, and photographs that scikit-image and scikit-learn ship."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Photo = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Example:
    """A photo with a caption; `read` gives it as `(height, width, 3)` uint8, RGB."""

    caption: str
    read: Callable[[], Photo]


def examples() -> list[Example]:
    """Lists the example photos; none is rendered or read before it is asked for."""
    aerial = [Example(layout, _aerial(layout, seed)) for layout, seed in _AERIAL.items()]
    real = [Example(caption, _scikit_image(name)) for caption, name in _SCIKIT_IMAGE.items()]
    return [*aerial, *real, Example("temple", _china)]


_AERIAL = {"airfield": 7, "crossing": 7, "apron": 5}
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


def _china() -> Photo:
    from sklearn.datasets import load_sample_image

    return np.asarray(load_sample_image("china.jpg"), dtype=np.uint8)
