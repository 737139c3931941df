"""What the pages do, without a page: choose models, detect, filter, count."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from explorer.data.images import read_image
from explorer.types import Detections
from explorer.zoo.registry import ZooEntry, entries

if TYPE_CHECKING:  # torch, detectron2 and plotly load with the first photo, so that the page opens at once
    import plotly.graph_objects as go

    from explorer.engine.detector import Detector, Prediction

LOWEST_SCORE = 0.05
"""Detectors report objects down to this score; the threshold on the page filters what they reported."""


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be used now, and what to call it in a list."""

    name: str
    label: str


def model_choices(extra: Sequence[str] = ()) -> list[ModelChoice]:
    """Lists the models whose weights are on this machine, bundled ones first, then `extra` config files."""
    ready = [entry for entry in entries() if entry.status in {"bundled", "cached"}]
    return [ModelChoice(entry.name, _label(entry)) for entry in ready] + [ModelChoice(name, name) for name in extra]


def _label(entry: ZooEntry) -> str:
    return entry.name if entry.bundled else f"{entry.name} · {entry.status}"


class Models:
    """Detectors by name, loaded when first asked for; the least recently used one goes when there are too many."""

    def __init__(self, capacity: int = 4) -> None:
        self._capacity = capacity
        self._loaded: OrderedDict[str, Detector] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Detector:
        """Returns a detector that reports objects from `LOWEST_SCORE` up.

        Raises:
            ValueError: the model is unknown or its weights cannot be used.
        """
        with self._lock:
            if name not in self._loaded:
                from explorer.engine.detector import load_detector

                self._loaded[name] = load_detector(name, lowest_score=LOWEST_SCORE)
                while len(self._loaded) > self._capacity:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return self._loaded[name]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What several models found in one photo.

    Attributes:
        image_bgr: `(height, width, 3)` uint8, BGR.
        predictions: by model name, in the order asked for, with every object from `LOWEST_SCORE` up.
    """

    image_bgr: npt.NDArray[np.uint8]
    predictions: Mapping[str, Prediction]

    def figure(self, threshold: float) -> go.Figure:
        """Draws the photo once per model with the boxes of at least `threshold`."""
        from explorer.figures.detections import side_by_side

        return side_by_side(self.image_bgr, {name: self._kept(name, threshold) for name in self.predictions})

    def table(self, threshold: float) -> list[dict[str, str | int]]:
        """One row per model: objects of at least `threshold` by COCO size, and milliseconds spent."""
        rows: list[dict[str, str | int]] = []
        for name, prediction in self.predictions.items():
            found = self._kept(name, threshold)
            milliseconds = {
                "model, ms": round(1000 * prediction.timing.stages_s["model"]),
                "all, ms": round(1000 * prediction.timing.total_s),
            }
            rows.append({"model": name, "objects": len(found), **found.count_by_size(), **milliseconds})
        return rows

    def _kept(self, name: str, threshold: float) -> Detections:
        found = self.predictions[name].detections
        return found.keep(found.scores >= threshold)


def compare(models: Models, names: Sequence[str], photo: str | Path | None) -> Comparison:
    """Runs each model on one photo.

    Args:
        models: where detectors are kept.
        names: one or more model names; a name given twice is run once.
        photo: a JPEG, PNG or WebP file.

    Raises:
        ValueError: no photo, one that cannot be read, no model, or a model that cannot be used.
    """
    if photo is None:
        raise ValueError("Choose a photo first: drop one on the page or click an example.")
    if not names:
        raise ValueError("Choose at least one model.")
    image_bgr = read_image(photo)
    return Comparison(image_bgr, {name: models.get(name).detect(image_bgr) for name in dict.fromkeys(names)})
