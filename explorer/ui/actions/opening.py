"""What the page opens on: a finished comparison, recorded when the example was chosen, so that no model has to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from explorer.types import Detections
from explorer.ui.actions.compare import compare
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.dataset import Recorded
from explorer.ui.actions.models import Models
from explorer.ui.actions.photos import read_photo
from explorer.ui.examples import annotated_in, looked_at, opening
from explorer.writing import write_json

RECORDED = Path(__file__).resolve().parents[1] / "photos" / "opening.json"
_DIGITS = 3


def opening_photo(folder: Path) -> Path:
    """Writes the example that the page opens on as a file into a folder."""
    import cv2

    path = folder / "example.png"
    cv2.imwrite(str(path), looked_at(opening().caption)[..., ::-1])
    return path


def recorded_comparison(photo: Path) -> PhotoComparison:
    """What the example's models find in it, as `record` wrote it down; nothing is timed.

    Args:
        photo: the example as a file.
    """
    known: dict[str, Any] = json.loads(RECORDED.read_text())
    image_bgr = read_photo(photo)
    size = image_bgr.shape[:2]
    predictions = {name: Recorded(_detections(own, size)) for name, own in known["found"].items()}
    said = {"unfamiliar": known["unfamiliar"], "advice": known["advice"]}
    return PhotoComparison(photo, predictions, truth=annotated_in(image_bgr), **said)


def first_comparison(models: Models, names: Sequence[str], photo: Path) -> PhotoComparison | None:
    """What the page shows at first: the record, or what models given at start find; None where none can be used."""
    from explorer.zoo.downloads import DownloadError

    if tuple(names) == opening().models:
        return recorded_comparison(photo)
    try:
        return compare(models, names, photo)
    except (ValueError, DownloadError):  # said when they are asked for
        return None


def record(models: Models, folder: Path) -> None:
    """Runs the example's models on it and writes down what they find; to be called when either changes.

    Args:
        models: where detectors are kept.
        folder: for the photo.
    """
    found = compare(models, opening().models, opening_photo(folder), timed=False)
    by_model = {
        name: {
            "classes": list(prediction.detections.class_names),
            "class_score_xyxy": [
                [int(index), round(float(score), _DIGITS), *(round(float(value), 1) for value in box)]
                for index, score, box in zip(
                    prediction.detections.classes,
                    prediction.detections.scores,
                    prediction.detections.boxes_xyxy,
                    strict=True,
                )
            ],
        }
        for name, prediction in found.predictions.items()
    }
    said = {"unfamiliar": dict(found.unfamiliar), "advice": found.advice}
    write_json({"found": by_model, **said}, RECORDED)


def _detections(known: dict[str, Any], size: tuple[int, ...]) -> Detections:
    rows = np.array(known["class_score_xyxy"], np.float64).reshape(-1, 6)
    return Detections(
        rows[:, 2:].astype(np.float32),
        rows[:, 1].astype(np.float32),
        rows[:, 0].astype(np.int64),
        tuple(known["classes"]),
        (size[0], size[1]),
    )
