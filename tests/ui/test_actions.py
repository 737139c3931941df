"""What the page does, tried without a page and with detectors that answer from a list."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from explorer.types import Detections, Timing
from explorer.ui import actions
from explorer.ui.actions import LOWEST_SCORE, Models, compare, model_choices
from explorer.ui.examples import examples


class FakeDetector:
    def __init__(self, scores):
        self.scores = np.array(scores, np.float32)
        self.calls = 0

    def detect(self, image_bgr):
        from explorer.engine.detector import Prediction

        self.calls += 1
        self.image = image_bgr
        boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (len(self.scores), 1))
        found = Detections(
            boxes, self.scores, np.zeros(len(boxes), np.int64), ("car",), (image_bgr.shape[0], image_bgr.shape[1])
        )
        return Prediction(found, None, Timing({"preprocess": 0.01, "model": 0.2, "postprocess": 0.003}))


@pytest.fixture
def models(monkeypatch):
    loaded = []
    fakes = {"A": FakeDetector([0.9, 0.6, 0.1]), "B": FakeDetector([0.3]), "C": FakeDetector([])}

    def load(name, *, lowest_score):
        loaded.append((name, lowest_score))
        return fakes[name]

    monkeypatch.setattr("explorer.engine.detector.load_detector", load)
    store = Models(capacity=2)
    store.loaded, store.fakes = loaded, fakes
    return store


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((40, 50, 3), (30, 20, 10), np.uint8))
    return path


def test_each_model_sees_the_photo_as_bgr_once(models, photo):
    result = compare(models, ["A", "B", "A"], photo)
    assert list(result.predictions) == ["A", "B"]
    assert models.fakes["A"].calls == 1
    assert models.fakes["A"].image[0, 0].tolist() == [30, 20, 10]


def test_the_threshold_filters_without_running_a_model(models, photo):
    result = compare(models, ["A", "B"], photo)
    assert [row["objects"] for row in result.table(0.5)] == [2, 0]
    assert [row["objects"] for row in result.table(0.05)] == [3, 1]
    assert len(result.figure(0.5).data) == 1
    assert models.fakes["A"].calls == 1


def test_the_table_counts_sizes_and_milliseconds(models, photo):
    assert compare(models, ["A"], photo).table(0.5) == [
        {
            "model": "A",
            "objects": 2,
            "small": 2,
            "medium": 0,
            "large": 0,
            "model, ms": 200,
            "all, ms": 213,
        }
    ]


def test_models_are_kept_and_the_least_recently_used_goes(models):
    for name in ("A", "B", "A", "C", "A", "B"):
        models.get(name)
    assert [name for name, _ in models.loaded] == ["A", "B", "C", "B"]
    assert {score for _, score in models.loaded} == {LOWEST_SCORE}


def test_what_is_missing_is_said(models, photo):
    with pytest.raises(ValueError, match="photo first"):
        compare(models, ["A"], None)
    with pytest.raises(ValueError, match="at least one model"):
        compare(models, [], photo)


def test_a_file_that_is_no_photo_is_refused_by_name(models, tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(ValueError, match=r"notes\.png"):
        compare(models, ["A"], path)


def test_choices_are_models_that_can_run_now(monkeypatch):
    class Entry:
        def __init__(self, name, status):
            self.name, self.status, self.bundled = name, status, status == "bundled"

    monkeypatch.setattr(
        actions, "entries", lambda: [Entry("demo/a", "bundled"), Entry("b", "download"), Entry("c", "cached")]
    )
    assert [choice.name for choice in model_choices(["mine.yaml"])] == ["demo/a", "c", "mine.yaml"]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.caption)
def test_examples_are_colour_photos_without_network(example):
    photo = example.read()
    assert photo.dtype == np.uint8
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert min(photo.shape[:2]) >= 256
    assert photo.std() > 10


def test_actions_load_neither_gradio_nor_torch():
    code = "import sys, explorer.ui.actions; print([m for m in ('gradio', 'torch', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
