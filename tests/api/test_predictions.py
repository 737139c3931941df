"""Objects of other libraries become runs: stand-ins of their types, and the libraries themselves where installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import explorer as ex
from explorer.scoring.columns import Run, Truth
from explorer.scoring.metrics import metrics_of
from explorer.scoring.results_file import found_among

NAMES = ("cat", "dog")
BOXES = {"a.jpg": [[10.0, 10, 30, 40], [50, 5, 90, 60]], "b.jpg": [[0, 0, 20, 20]], "c.jpg": []}
LABELS = {"a.jpg": [0, 1], "b.jpg": [1], "c.jpg": []}
SCORES = {"a.jpg": [0.9, 0.25], "b.jpg": [0.5], "c.jpg": []}


@dataclass
class Supervision:
    """The attributes of `supervision.Detections` that are read."""

    xyxy: np.ndarray
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xyxy)


@pytest.fixture
def truth() -> Truth:
    boxes = np.array([[10, 10, 20, 30], [52, 6, 40, 50], [0, 0, 20, 25]], np.float64)
    return Truth(
        image_ids=np.array([3, 5, 9]),
        file_names=tuple(f"/data/{name}" for name in BOXES),
        image_sizes=np.full((3, 2), 100),
        category_ids=np.array([17, 18]),
        class_names=NAMES,
        ids=np.array([1, 2, 3]),
        images=np.array([0, 0, 1]),
        classes=np.array([0, 1, 1]),
        boxes_xywh=boxes,
        areas_px=boxes[:, 2] * boxes[:, 3],
        crowds=np.zeros(3, np.bool_),
    )


def check(run: Run, truth: Truth) -> None:
    """The same as COCO results, to the last digit."""
    results = [
        {
            "image_id": truth.image_ids[row].item(),
            "category_id": (17, 18)[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for row, name in enumerate(BOXES)
        for (x1, y1, x2, y2), label, score in zip(BOXES[name], LABELS[name], SCORES[name], strict=True)
    ]
    expected = Run("expected", truth, found_among(results, truth), {})
    for column in ("images", "classes", "boxes_xywh", "scores"):
        np.testing.assert_array_equal(getattr(run.found, column), getattr(expected.found, column))
    assert run.metrics.values["bbox"] == pytest.approx(metrics_of(expected).values["bbox"], nan_ok=True)


def supervision_of(name: str, make: Any = Supervision, **data: Any) -> Any:
    return make(
        xyxy=np.array(BOXES[name]).reshape(-1, 4),
        confidence=np.array(SCORES[name]),
        class_id=np.array(LABELS[name], dtype=int),
        data={key: np.array(values) for key, values in data.items()},
    )


def test_supervisions_detections(truth: Truth) -> None:
    check(ex.Run.from_supervision({name: supervision_of(name) for name in BOXES}, truth), truth)
    wrong = {name: supervision_of(name, class_name=[NAMES[label] for label in LABELS[name]]) for name in BOXES}
    for found in wrong.values():
        found.class_id = found.class_id + 70  # as a model of other classes has it
    check(ex.Run.from_supervision(wrong, truth), truth)
    check(ex.Run.from_supervision(wrong, truth, class_names={70: "cat", 71: "dog"}), truth)
    with pytest.raises(ValueError, match="class 70, which class_names does not name"):
        ex.Run.from_supervision(wrong, truth, class_names=["cat", "dog"])
    with pytest.raises(ValueError, match=r"'a\.jpg' have no confidence"):
        ex.Run.from_supervision({"a.jpg": Supervision(np.zeros((1, 4)))}, truth)
    with pytest.raises(ValueError, match="does not say which image"):
        ex.Run.from_supervision([supervision_of("a.jpg")], truth)
    with pytest.raises(ValueError, match="no file that is called so"):
        ex.Run.from_supervision({"z.jpg": supervision_of("a.jpg")}, truth)


def test_images_without_detections_are_counted_aloud(truth: Truth) -> None:
    run = ex.Run.from_supervision({"a.jpg": supervision_of("a.jpg")}, truth, name="theirs")
    (note,) = run.metrics.details["notes"]
    assert note.startswith(
        "2 of 3 images have no detections of theirs; they count as images in which nothing was found."
    )
    assert note in run._repr_html_()
    of_all = {name: supervision_of("a.jpg") for name in BOXES}
    assert ex.Run.from_supervision(of_all, truth).metrics.details["notes"] == []


def test_supervision_itself(truth: Truth) -> None:
    supervision = pytest.importorskip("supervision")
    own = {name: supervision_of(name, supervision.Detections) for name in BOXES}
    check(ex.Run.from_supervision(own, truth), truth)


def ultralytics_of(name: str) -> SimpleNamespace:
    """The attributes of Ultralytics' `Results` that are read; its columns are tensors."""
    boxes = SimpleNamespace(
        xyxy=torch.tensor(BOXES[name], dtype=torch.float64).reshape(-1, 4),
        cls=torch.tensor(LABELS[name], dtype=torch.float32),
        conf=torch.tensor(SCORES[name], dtype=torch.float64),
    )
    return SimpleNamespace(path=f"photos/{name}", boxes=boxes, names=dict(enumerate(NAMES)))


def test_ultralytics_results(truth: Truth) -> None:
    check(ex.Run.from_ultralytics(map(ultralytics_of, BOXES), truth), truth)
    with pytest.raises(ValueError, match="has no boxes"):
        ex.Run.from_ultralytics([SimpleNamespace(path="a.jpg", boxes=None, names={})], truth)


def test_ultralytics_itself(truth: Truth) -> None:
    results = pytest.importorskip("ultralytics.engine.results")
    own = []
    for name in BOXES:
        rows = [[*box, score, label] for box, score, label in zip(BOXES[name], SCORES[name], LABELS[name], strict=True)]
        rows_of = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
        names = dict(enumerate(NAMES))
        own.append(results.Results(np.zeros((100, 100, 3), np.uint8), f"photos/{name}", names, boxes=rows_of))
    check(ex.Run.from_ultralytics(own, truth), truth)


def test_transformers_outputs(truth: Truth) -> None:
    pipeline = {
        f"photos/{name}": [
            {
                "score": score,
                "label": NAMES[label],
                "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
            }
            for box, label, score in zip(BOXES[name], LABELS[name], SCORES[name], strict=True)
        ]
        for name in BOXES
    }
    check(ex.Run.from_transformers(pipeline, truth), truth)
    processed = {
        name: {
            "scores": torch.tensor(SCORES[name], dtype=torch.float64),
            "labels": torch.tensor(LABELS[name], dtype=torch.int64),
            "boxes": torch.tensor(BOXES[name], dtype=torch.float64).reshape(-1, 4),
        }
        for name in BOXES
    }
    check(ex.Run.from_transformers(processed, truth, class_names={0: "cat", 1: "dog"}), truth)
    check(ex.Run.from_transformers(processed, truth), truth)
    with pytest.raises(ValueError, match=r"the output of 'a\.jpg' is 3; give the pipeline's list"):
        ex.Run.from_transformers({"a.jpg": 3}, truth)


def test_a_protocol_and_a_comparison(truth: Truth) -> None:
    one = ex.Run.from_supervision({name: supervision_of(name) for name in BOXES}, truth, name="a", protocol="ai-tod")
    assert "APvt" in one.metrics.values["bbox"]
    other = ex.Run.from_ultralytics([ultralytics_of("a.jpg")], truth, name="b", protocol="ai-tod")
    assert ex.compare(one, other, resamples=5).comparison.names == ("a", "b")


def test_a_name_without_its_folder_is_enough(truth: Truth) -> None:
    found = {str(Path(name).with_suffix("")): supervision_of(name) for name in BOXES}
    check(ex.Run.from_supervision(found, truth), truth)
