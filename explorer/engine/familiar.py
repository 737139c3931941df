"""Whether a photograph looks like those that a model was trained on.

Each channel of the neck's maps has a mean and a deviation over a photograph. How far these lie from what they are on
the training photographs, in standard deviations, is the distance of a photograph. A model that ships with these figures
has a limit for it, above which its answers rest on nothing that it has seen.

Source: Mahalanobis's distance with independent channels; with K. Lee et al., A Simple Unified Framework for Detecting
Out-of-Distribution Samples, NeurIPS 2018 (arXiv 1807.03888), it is one to class means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.engine.detector import Detector
from explorer.types import Floats, Pixels
from explorer.writing import write_json
from explorer.zoo.registry import WEIGHTS, ZooEntry, entries

FILE = "familiar.json"
"""What lies beside a model's weights."""
_LOOK_PX = 512  # length of the longer side: a glance is enough, and takes little time
_MAPS = 4  # p2 to p5
_WITHIN, _MARGIN = 0.99, 1.25  # the limit lies so much above the distance of this share of the photographs left out


@dataclass(frozen=True, eq=False)
class Familiar:
    """What a model's training photographs have in common.

    Attributes:
        mean: `(2 C,)`, by channel of all maps, of their means and deviations over a photograph.
        deviation: `(2 C,)`, of the same between photographs.
        limit: distance from which on a photograph is unlike them.
        photographs: how many they are.
    """

    mean: Floats
    deviation: Floats
    limit: float
    photographs: int

    def distance(self, statistics: Floats) -> float:
        """Root mean square of the channels' distances, in standard deviations; about 1 for photographs of the kind."""
        return float(np.sqrt((((statistics - self.mean) / self.deviation) ** 2).mean()))

    def write(self, folder: Path) -> None:
        """Writes it beside a model's weights."""
        columns = {name: [float(f"{value:.4g}") for value in getattr(self, name)] for name in ("mean", "deviation")}
        write_json({"limit": round(self.limit, 3), "photographs": self.photographs} | columns, folder / FILE)


def statistics_of(detector: Detector, image_bgr: Pixels) -> Floats:
    """Returns mean and deviation of each channel of the neck's maps over a photograph, `(2 C,)`.

    Args:
        detector: any with a backbone that gives maps by name.
        image_bgr: `(H, W, 3)`.
    """
    model_input = replace(detector.model_input, min_size=_LOOK_PX, max_size=_LOOK_PX)
    model: Any = detector.model
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            maps = model.backbone(model.preprocess_image([model_input(image_bgr)]).tensor)
    finally:
        model.train(training)
    flat = [one[0].flatten(1).double() for one in list(maps.values())[:_MAPS]]
    figures: Floats = (
        torch.cat([part for one in flat for part in (one.mean(1), one.std(1, correction=0))]).cpu().numpy()
    )
    return figures


def learn(detector: Detector, photographs: Iterable[Pixels], scenes: Sequence[str]) -> Familiar:
    """Takes the figures of a model's training photographs, and sets the limit by those that are left out in turn.

    Frames of one scene resemble each other, so a scene is left out as a whole: its photographs then are new ones of the
    kind.

    Args:
        detector: the trained model.
        photographs: that it was trained and validated on, or some of them.
        scenes: of each photograph.

    Raises:
        ValueError: they are of fewer than three scenes.
    """
    if len(set(scenes)) < 3:
        raise ValueError(f"The photographs are of {len(set(scenes))} scenes; 3 or more are needed, better 10.")
    own, groups = np.array([statistics_of(detector, image) for image in photographs]), np.array(scenes)
    distances = []
    for scene in dict.fromkeys(scenes):
        rest = _common(own[groups != scene])
        distances += [rest.distance(statistics) for statistics in own[groups == scene]]
    return replace(_common(own), limit=_MARGIN * float(np.quantile(distances, _WITHIN)))


def _common(statistics: Floats) -> Familiar:
    floor = 1e-3 * np.abs(statistics).max()
    return Familiar(statistics.mean(0), statistics.std(0) + floor, 0.0, len(statistics))


def familiar_of(detector: Detector) -> Familiar | None:
    """Reads the figures that lie beside a bundled model's weights; None where there are none."""
    file = detector.weights.with_name(FILE) if detector.weights else None
    if file is None or file.parent.parent != WEIGHTS or not file.is_file():
        return None
    return _read(file)


def with_photographs() -> list[ZooEntry]:
    """The bundled models that record what the photographs look like that they were trained on."""
    return [entry for entry in entries() if entry.bundled and entry.bundled.with_name(FILE).is_file()]


def unfamiliar(detector: Detector, image_bgr: Pixels) -> str:
    """Returns a warning if a photograph differs from those the model was trained on; empty if not, or if unknown.

    Args:
        detector: any detector; only bundled models that were trained on photographs record what these look like.
        image_bgr: `(height, width, 3)` uint8, BGR, as `explorer.read_image` gives it.
    """
    known = familiar_of(detector)
    distance = known.distance(statistics_of(detector, image_bgr)) if known else 0.0
    if known is None or distance <= known.limit:
        return ""
    return (
        f"{detector.name} has not seen such photographs: this one lies {distance:.1f} deviations from those it was "
        f"trained on, {known.limit:.1f} is the limit."
    )


@cache
def _read(file: Path) -> Familiar:
    content = json.loads(file.read_text(encoding="utf-8"))
    mean, deviation = (np.array(content[name], dtype=np.float64) for name in ("mean", "deviation"))
    return Familiar(mean, deviation, float(content["limit"]), int(content["photographs"]))
