"""What the page opens on: a finished comparison and examination, recorded so that no model has to run.

After a change of the examples or their models, `record` and `record_errors` write them anew.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.data.images import swap_channels
from explorer.types import Detections
from explorer.ui.actions.compare import compare
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.dataset import Recorded
from explorer.ui.actions.errors import USUAL_IMAGES, Examination, aerial_scenes, annotated_images, examine, examined
from explorer.ui.actions.models import Models
from explorer.ui.actions.photos import read_photo
from explorer.ui.actions.progress import ProgressBar
from explorer.ui.examples import annotated_in, looked_at, opening
from explorer.writing import write_json

if TYPE_CHECKING:
    from explorer.report.analysis import RunAnalysis

RECORDED = Path(__file__).resolve().parents[1] / "photos" / "opening.json"
RECORDED_ERRORS = RECORDED.with_name("errors.zip")
"""A run folder for each model, in their order."""
_DIGITS = 3


def opening_photo(folder: Path) -> Path:
    """Writes the example that the page opens on as a file into a folder."""
    import cv2

    path = folder / "example.png"
    cv2.imwrite(str(path), swap_channels(looked_at(opening().caption)))
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
        return replace(recorded_comparison(photo), protocol=models.protocol)
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


def recorded_examination(progress: ProgressBar | None = None) -> Examination:
    """What the example's models miss on generated aerial scenes, as `record_errors` wrote it down.

    Args:
        progress: called with the share that is done and what is being done: making the scenes.
    """
    from explorer.data.zipped import unpack
    from explorer.report.analysis import autopsy_beside
    from explorer.scoring.runs import load_run

    data = aerial_scenes(USUAL_IMAGES, progress)
    with TemporaryDirectory() as folder:
        unpack(RECORDED_ERRORS, Path(folder))
        runs = [load_run(own, data) for own in sorted(Path(folder).iterdir())]
        autopsies = [autopsy_beside(run) for run in runs]
    return examined([replace(run, folder=None, notes=tuple(run.facts["notes"])) for run in runs], autopsies)


def record_errors(models: Models) -> None:
    """Examines the example's models on aerial scenes and writes their runs down; to be called when either changes.

    Args:
        models: where detectors are kept; they report what they find above their own thresholds.
    """
    found = examine(models, opening().models, annotated_images(None, USUAL_IMAGES))
    with TemporaryDirectory() as folder, zipfile.ZipFile(RECORDED_ERRORS, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, analysis in enumerate(found.analyses):
            own = Path(folder) / str(place)
            own.mkdir()
            _write_run(analysis, own)
            for file in sorted(own.iterdir()):  # without times: the same bytes for the same run
                archive.writestr(zipfile.ZipInfo(f"{place}/{file.name}"), file.read_bytes(), zipfile.ZIP_DEFLATED, 9)


def _write_run(analysis: RunAnalysis, folder: Path) -> None:
    """Writes a run and its autopsy as the commands do, but boxes to a hundredth of a pixel."""
    from explorer.autopsy.files import AUTOPSY_FILE, write_autopsy
    from explorer.scoring.convert import coco_results
    from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE
    from explorer.scoring.runs import FACTS_FILE

    run = analysis.run
    boxes = [{**own, "bbox": [round(value, 2) for value in own["bbox"]]} for own in coco_results(run)]
    write_json(boxes, folder / RESULTS_FILE)
    write_json(run.truth.image_ids.tolist(), folder / IMAGES_FILE)
    facts = {"model": run.name, "classes": list(run.truth.class_names), "notes": list(run.notes)}
    write_json(facts, folder / FACTS_FILE)
    assert analysis.autopsy is not None
    write_autopsy(analysis.autopsy, folder / AUTOPSY_FILE)


def _detections(known: dict[str, Any], size: tuple[int, ...]) -> Detections:
    rows = np.array(known["class_score_xyxy"], np.float64).reshape(-1, 6)
    return Detections(
        rows[:, 2:].astype(np.float32),
        rows[:, 1].astype(np.float32),
        rows[:, 0].astype(np.int64),
        tuple(known["classes"]),
        (size[0], size[1]),
    )
