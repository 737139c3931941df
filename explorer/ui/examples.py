"""Photos to try without network, and what is annotated in them.

Aerial scenes made here, blood cells (image 31 of BCCD's test set, MIT licence beside it), two aerial photographs of
Munich (KIT AIS Data Set, CC BY 3.0, see the note beside them), and photographs that scikit-image and scikit-learn ship.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from explorer.data.images import read_image, swap_channels
from explorer.types import Detections, Floats32, Ints, Pixels

_MODELS = ("demo/V-19-slim-dw", "demo/MobileNetV2")
_VEHICLES = ("demo/V-19-slim-dw-aerial-real", "demo/MobileNetV2-aerial-real")
_CELL_MODELS = ("demo/V-19-slim-dw-bccd", "demo/MobileNetV2-bccd")
_MOST_REMEMBERED = 64


@dataclass(frozen=True)
class Example:
    """A photo to try.

    Attributes:
        caption: what to call it.
        look: gives the photo, `(height, width, 3)` uint8, RGB, and its annotated objects, None where nobody knows them.
        models: those to try on it.
    """

    caption: str
    look: Callable[[], tuple[Pixels, Detections | None]]
    models: tuple[str, ...] = _MODELS

    def read(self) -> Pixels:
        """Gives the photo, `(height, width, 3)` uint8, RGB."""
        return self.look()[0]


OPENING = "avenue, Munich"
"""The caption of the example that the page opens on, a photograph that no model was trained on; its models are chosen
at first."""
AERIAL = {"airfield": 7, "crossing": 7, "apron": 5}
"""Seed by layout."""
_SCIKIT_IMAGE = {
    "motorcycle": "stereo_motorcycle",
    "coffee": "coffee",
    "astronaut": "astronaut",
}
_PHOTOS = Path(__file__).parent / "photos"


def examples() -> list[Example]:
    """Lists the example photos; none is rendered or read before it is asked for."""
    aerial = [Example(layout, _aerial(layout, seed)) for layout, seed in AERIAL.items()]
    cells = Example("blood cells", _cells, _CELL_MODELS)
    munich = [Example(f"{name}, Munich", _file(f"munich-{name}.jpg"), _VEHICLES) for name in ("avenue", "street")]
    ground = [Example(caption, _scikit_image(name)) for caption, name in _SCIKIT_IMAGE.items()]
    return [*munich, cells, *aerial, *ground, Example("temple", _china)]


def opening() -> Example:
    """The example that the page opens on."""
    return next(example for example in examples() if example.caption == OPENING)


@lru_cache(_MOST_REMEMBERED)
def looked_at(caption: str) -> Pixels:
    """Reads an example once, and remembers what is annotated in it for `annotated_in`."""
    photo, truth = next(example for example in examples() if example.caption == caption).look()
    photo.flags.writeable = False
    if truth is not None:
        _TRUTHS[_fingerprint(photo)] = truth
    return photo


def annotated_in(image_bgr: Pixels) -> Detections | None:
    """Returns what is annotated in a photo, `(height, width, 3)` BGR, if it is an example that was looked at."""
    return _TRUTHS.get(_fingerprint(swap_channels(image_bgr))) if _TRUTHS else None


_TRUTHS: dict[str, Detections] = {}


def _fingerprint(photo: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(photo).tobytes()).hexdigest()


def _aerial(layout: str, seed: int) -> Callable[[], tuple[Pixels, Detections | None]]:
    def look() -> tuple[Pixels, Detections | None]:
        from explorer.data.aerial import render_scene
        from explorer.data.aerial.categories import THINGS

        scene = render_scene(seed, layout=layout)
        boxes = np.array([own["bbox"] for own in scene.annotations], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        ids = np.array([own["category_id"] for own in scene.annotations], np.int64)
        return swap_channels(scene.image), _truth(boxes, ids - 1, THINGS, scene.size)

    return look


def _file(name: str) -> Callable[[], tuple[Pixels, Detections | None]]:
    def look() -> tuple[Pixels, Detections | None]:
        return swap_channels(read_image(_PHOTOS / name)), None

    return look


def _cells() -> tuple[Pixels, Detections | None]:
    photo, _ = _file("blood-cells.jpg")()
    known = json.loads((_PHOTOS / "blood-cells.json").read_text())
    objects = np.array(known["objects_class_xyxy"])
    size = (photo.shape[0], photo.shape[1])
    return photo, _truth(objects[:, 1:].astype(np.float32), objects[:, 0], tuple(known["classes"]), size)


def _scikit_image(name: str) -> Callable[[], tuple[Pixels, Detections | None]]:
    def look() -> tuple[Pixels, Detections | None]:
        import skimage.data

        photo = getattr(skimage.data, name)()
        return np.array(photo[0] if isinstance(photo, tuple) else photo, dtype=np.uint8), None

    return look


def _china() -> tuple[Pixels, Detections | None]:
    from sklearn.datasets import load_sample_image

    return np.array(load_sample_image("china.jpg"), dtype=np.uint8), None


def _truth(
    boxes_xyxy: Floats32,
    classes: Ints,
    class_names: tuple[str, ...],
    size: tuple[int, int],
) -> Detections:
    return Detections(boxes_xyxy, np.ones(len(classes), np.float32), classes, class_names, size)
