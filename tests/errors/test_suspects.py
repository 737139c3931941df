"""Label errors that were planted come first; sound annotations that a detector finds are not doubted."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.errors.suspects import KINDS, suspects
from explorer.report.analysis import analyse
from explorer.scoring.columns import Run, Truth, in_order

SIDE = 40.0


def field(images: int = 6) -> Truth:
    """Six objects of two classes in each image, far from each other."""
    from explorer.scoring.runs import truth_from_coco

    places = [(20.0 + 100 * (k % 3), 20.0 + 100 * (k // 3)) for k in range(6)]
    annotations = [
        {
            "id": 1 + 6 * image + k,
            "image_id": image + 1,
            "category_id": 1 + k % 2,
            "bbox": [x, y, SIDE, SIDE],
            "area": SIDE**2,
            "iscrowd": 0,
        }
        for image in range(images)
        for k, (x, y) in enumerate(places)
    ]
    return truth_from_coco(
        {
            "images": [{"id": 1 + k, "file_name": f"{k}.jpg", "height": 240, "width": 320} for k in range(images)],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": annotations,
        }
    )


@pytest.fixture
def planted() -> tuple[Run, dict[str, Any]]:
    """A detector that finds every object, and annotations of which three are wrong."""
    truth = field()
    rng = np.random.default_rng(3)
    boxes = truth.boxes_xywh + rng.normal(0, 1, truth.boxes_xywh.shape)
    scores = rng.uniform(0.7, 0.99, len(truth))
    noise = np.array([[150.0, 150.0, 20.0, 20.0]] * 6)  # a false detection of low score in each image
    found = in_order(
        np.append(truth.images, np.arange(6)),
        np.append(truth.classes, np.zeros(6, np.int64)),
        np.concatenate([boxes, noise]),
        np.append(scores, rng.uniform(0.05, 0.2, 6)),
    )
    classes, placed = truth.classes.copy(), truth.boxes_xywh.copy()
    classes[8] = 1 - classes[8]
    placed[15, :2] += 0.5 * SIDE
    wrong = replace(truth, classes=classes, boxes_xywh=placed).of_objects(np.delete(np.arange(len(truth)), 30))
    return Run("sure", wrong, found, {}), {"missing": truth.boxes_xywh[30], "image": int(truth.images[30])}


def test_what_was_planted_comes_first(planted: tuple[Run, dict[str, Any]], tmp_path: Path) -> None:
    run, known = planted
    found = suspects(run)
    first = {one.kind: one for one in found[:3]}
    assert set(first) == set(KINDS)
    assert (first["wrong class"].object, first["badly placed"].object) == (8, 15)
    missing = first["missing box"]
    assert missing.object == -1
    assert run.found.images[missing.detection] == known["image"]
    np.testing.assert_allclose(run.found.boxes_xywh[missing.detection], known["missing"], atol=4)
    assert all(one.kind == "missing box" and one.likelihood < 0.05 for one in found[3:])  # of low score
    assert len({one.detection for one in found}) == len(found)
    assert [one.likelihood for one in found] == sorted((one.likelihood for one in found), reverse=True)
    assert [one.kind for one in suspects(run, kinds=["wrong class"])] == ["wrong class"]
    percent = replace(run, found=replace(run.found, scores=100 * run.found.scores))
    with pytest.raises(ValueError, match=r"sure has scores from .* label errors are ranked by scores between 0 and 1"):
        suspects(percent)
    analysis = analyse(percent, resamples=2)
    assert analysis.label_errors == ()
    assert "calibration and likely label errors, which need scores between 0 and 1, are left out" in analysis.notes[-1]
    with pytest.raises(ValueError, match="no kind of label error 'blurred'; there are missing box"):
        suspects(run, kinds=["blurred"])  # type: ignore[list-item]


def test_sound_annotations_are_not_doubted() -> None:
    truth = field()
    found = in_order(truth.images, truth.classes, truth.boxes_xywh, np.full(len(truth), 0.9))
    assert suspects(Run("perfect", truth, found, {})) == ()


def test_a_crowd_and_duplicates_are_no_errors() -> None:
    truth = field(1)
    crowded = replace(truth, crowds=np.arange(6) == 0)
    found = in_order(
        np.zeros(4, np.int64),
        np.array([0, 0, 0, 1]),
        np.array([[22.0, 22, 15, 15], [120, 20, 40, 40], [121, 20, 40, 40], [120, 20, 40, 40]]),
        np.array([0.9, 0.8, 0.7, 0.95]),
    )
    kinds = [(one.kind, one.object) for one in suspects(Run("r", crowded, found, {}))]
    assert kinds == [("wrong class", 1)]  # object 1 is a dog: cats there are doubted once


def test_the_command_shows_and_writes_them(
    planted: tuple[Run, dict[str, Any]], tmp_path: Path, as_files: Callable[[Run, Path], tuple[Path, str]]
) -> None:
    run, _ = planted
    results, data = as_files(run, tmp_path)
    table = tmp_path / "suspects.csv"
    done = CliRunner().invoke(app, ["data", "suspects", str(results), "--data", data, "--csv", str(table)])
    assert done.exit_code == 0, done.output
    assert "wrong class" in done.stdout
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {row["kind"] for row in rows[:3]} == set(KINDS)
    assert rows[0]["rank"] == "1"


@pytest.fixture
def as_files() -> Callable[[Run, Path], tuple[Path, str]]:
    """Writes a run's annotations and detections as files."""
    import json

    from PIL import Image

    from explorer.report.document import annotations_with

    def write(run: Run, folder: Path) -> tuple[Path, str]:
        content = annotations_with(run.truth, {})
        (folder / "data/annotations").mkdir(parents=True)
        (folder / "data/val").mkdir()
        for image in content["images"]:
            image["file_name"] = Path(image["file_name"]).name
            Image.new("RGB", (320, 240)).save(folder / "data/val" / image["file_name"])
        (folder / "data/annotations/instances_val.json").write_text(json.dumps(content))
        found = run.found
        results = [
            {"image_id": int(image) + 1, "category_id": int(own) + 1, "bbox": box, "score": score}
            for image, own, box, score in zip(
                found.images, found.classes, found.boxes_xywh.tolist(), found.scores.tolist(), strict=True
            )
        ]
        (folder / "results.json").write_text(json.dumps(results))
        return folder / "results.json", f"{folder / 'data'}:val"

    return write
