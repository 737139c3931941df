"""What the first tab does: one photo through several models, filters, who sees what, files to take away."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
import pytest
import torch
from pycocotools import mask as mask_api

from explorer.engine import devices, loading
from explorer.engine.colors import class_color
from explorer.engine.devices import DeviceError
from explorer.scoring.protocols import SODA
from explorer.scoring.runs import load_run
from explorer.types import Detections
from explorer.ui.actions.compare import compare
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models
from explorer.ui.actions.progress import Stopped
from explorer.ui.actions.takeaway import as_coco, write_files
from explorer.ui.examples import Example, examples
from explorer.ui.layout.compare import _seen
from explorer.ui.layout.compare import _warnings as warnings_of
from explorer.ui.layout.session import explained
from explorer.zoo import registry
from explorer.zoo.downloads import DownloadError
from explorer.zoo.resolve import fetch_weights
from tests.ui.conftest import FakeDetector

ALL = Filters(0.05)


@pytest.fixture
def both(zoo: Any, photo: Path) -> PhotoComparison:
    return compare(zoo.models, ["A", "B"], photo)


def test_each_model_sees_the_photo_as_bgr(zoo: Any, photo: Path) -> None:
    result = compare(zoo.models, ["A", "B", "A"], photo)
    assert list(result.predictions) == ["A", "B"]
    assert result.photo.name == "photo.png"
    assert len(zoo.fakes["A"].images) == 4
    image = zoo.fakes["A"].images[-1]
    assert image[0, 0].tolist() == [30, 20, 10]


def test_other_objects_of_the_same_number_are_another_digest(both: PhotoComparison) -> None:
    """By which the files to download are written anew: the table of counts may be the same."""
    first = next(iter(both.predictions))
    seen = both.predictions[first]
    moved = replace(seen, detections=replace(seen.detections, boxes_xyxy=seen.detections.boxes_xyxy + 1))
    other = replace(both, predictions={**both.predictions, first: moved})
    assert other.counts(ALL) == both.counts(ALL)
    digests = [both.digest(ALL), other.digest(ALL), both.digest(Filters(0.05, classes=("car",)))]
    assert len({*digests, replace(both, photo=Path("other.png")).digest(ALL)}) == 4
    assert both.digest(ALL) in _seen(both, ALL, "", 1400).counts


def test_filters_act_without_running_a_model(zoo: Any, both: PhotoComparison) -> None:
    def objects(filters: Filters) -> list[Any]:
        return [row["objects"] for row in both.counts(filters)]

    assert objects(Filters(0.5)) == [2, 2]
    assert objects(ALL) == [3, 2]
    assert objects(Filters(0.05, sizes=("small",))) == [2, 0]
    assert objects(Filters(0.05, sizes=("medium",))) == [1, 1]
    assert objects(Filters(0.05, sizes=("large",))) == [0, 1]
    assert objects(Filters(0.05, sizes=())) == [0, 0]
    assert objects(Filters(0.05, classes=("plane",))) == [1, 2]
    assert objects(Filters(0.05, classes=("ship",))) == [0, 0]
    assert [trace.name for trace in both.figure(Filters(0.5, sizes=("small",))).data] == ["", "car"]
    assert len(zoo.fakes["A"].images) == 4


def test_the_table_counts_sizes_and_milliseconds(both: PhotoComparison) -> None:
    assert both.counts(Filters(0.5))[0] == {
        "": "A",
        "model": "A",
        "objects": 2,
        "small": 1,
        "medium": 1,
        "large": 0,
        "time, ms": "213 (213–213)",
    }


def test_fast_models_are_timed_three_times_after_a_run_that_warms_them(zoo: Any, photo: Path) -> None:
    compare(zoo.models, ["A"], photo)
    assert [image.shape for image in zoo.fakes["A"].images] == [(480, 640, 3), *[(100, 120, 3)] * 3]
    compare(zoo.models, ["A"], photo)
    assert len(zoo.fakes["A"].images) == 7  # it is warm now
    once = compare(zoo.models, ["B"], photo, timed=False)
    assert once.counts(ALL)[0]["time, ms"] == "213"
    assert len(zoo.fakes["B"].images) == 2


def test_annotated_objects_are_counted_by_the_rule_of_every_tab(both: PhotoComparison) -> None:
    boxes = np.array([[10, 10, 20, 20], [40, 40, 90, 90], [0, 0, 9, 9], [5, 60, 15, 70]], np.float32)
    truth = Detections(boxes, np.ones(4, np.float32), np.array([0, 1, 1, 2]), ("car", "plane", "ship"), (100, 120))
    known = replace(both, truth=truth)
    assert [row["found"] for row in known.counts(Filters(0.5))] == ["2 of 3", "1 of 3"]
    assert [row["found"] for row in known.counts(Filters(0.65))] == ["1 of 3", "1 of 3"]
    # SODA ignores objects above 2000 px², of which there is one, found by both
    assert [row["found"] for row in replace(known, protocol=SODA).counts(Filters(0.5))] == ["1 of 2", "0 of 2"]
    drawn = known.figure(Filters(0.5))
    assert {trace.name for trace in drawn.data} == {"", "car", "plane", "annotated"}
    assert sum(bool(trace.showlegend) for trace in drawn.data if trace.name == "annotated") == 1


def test_small_objects_are_magnified_as_each_model_sees_them(both: PhotoComparison) -> None:
    ((picture, words),) = both.magnified(Filters(0.5))
    assert words == "#0 car, 10 × 10 px, seen by A only"
    assert picture.shape == (200, 404, 3)
    left, right = picture[:, :200], picture[:, 204:]
    assert [(own == class_color(0)).all(axis=2).any() for own in (left, right)] == [True, False]
    assert both.magnified_numbers(Filters(0.5)) == [0]


def test_a_large_photo_is_looked_at_in_tiles_where_that_is_asked_for(zoo: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.full((600, 900, 3), 90, np.uint8))
    whole = compare(zoo.models, ["A", "B"], path, timed=False)
    assert whole.advice == (
        "This photo of 900 × 600 px is downscaled for the models: A at 33% of its size, B at 33% of its size. Select "
        "“Large photo: use tiles” to find small objects."
    )
    tiled = compare(zoo.models, ["A"], path, timed=False, tiles=True)
    assert "in overlapping tiles of 640 px" in tiled.advice


def test_of_a_small_photo_nothing_is_said(both: PhotoComparison) -> None:
    assert (both.advice, dict(both.unfamiliar)) == ("", {})


def test_a_model_that_has_not_seen_such_photographs_says_so_above_its_picture(
    zoo: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, others = "demo/V-19-slim-dw-bccd", "demo/V-19-slim-dw-aerial-real"
    zoo.fakes.update({cells: zoo.fakes["C"], others: zoo.fakes["C"]})
    lost = {"B", others}
    monkeypatch.setattr("explorer.engine.familiar.unfamiliar", lambda own, _: "B <b>is lost</b>" * (own.name in lost))
    found = compare(zoo.models, ["A", "B"], photo)
    assert found.unfamiliar == {"B": "B <b>is lost</b>"}
    assert found.advice == f"{cells} was trained on such photographs (blood cells): add it under “Models”."
    assert compare(zoo.models, ["B", cells], photo).advice == ""  # another one of its kind would know no better
    titles = [own.text for own in found.figure(ALL).layout.annotations[:2]]
    assert titles == ["A · A", "B · B<br><b>\u26a0 unlike its training photographs</b>"]


def test_who_sees_what(both: PhotoComparison) -> None:
    assert both.who_sees_what(Filters(0.5)) == [
        {"#": 0, "seen by": "A only", "class": "car", "size, px": "10 × 10", "A": "0.90", "B": "–"},
        {"#": 1, "seen by": "B only", "class": "plane", "size, px": "120 × 100", "A": "–", "B": "0.55"},
        {"#": 2, "seen by": "both", "class": "plane", "size, px": "50 × 50", "A": "0.60", "B": "0.70"},
    ]
    assert both.class_names == ["car", "plane"]


def test_of_one_model_nobody_else_can_miss_anything(zoo: Any, photo: Path) -> None:
    alone = compare(zoo.models, ["A"], photo).who_sees_what(ALL)
    assert {row["seen by"] for row in alone} == {"A"}


def test_a_row_is_where_every_picture_is_zoomed_to(both: PhotoComparison) -> None:
    left, top, right, bottom = both.view_of(Filters(0.5), 0)
    assert left <= 10 < 20 <= right
    assert top <= 10 < 20 <= bottom
    assert (right - left) / (bottom - top) == pytest.approx(120 / 100)
    assert both.view_of(Filters(0.5), 1) == (0, 0, 120, 100)
    layout = both.figure(Filters(0.5), (left, top, right, bottom)).layout
    assert layout.xaxis.range == (left, right)
    assert layout.yaxis2.range == (bottom, top)
    with pytest.raises(ValueError, match="no longer exists"):
        both.view_of(Filters(0.5), 3)


def test_files_hold_what_is_shown(both: PhotoComparison, tmp_path: Path) -> None:
    table, picture = write_files(both, Filters(0.5, classes=("plane",)), tmp_path)
    document = json.loads(table.read_text())
    assert document["image"] == {"id": 1, "file_name": "photo.png", "height": 100, "width": 120}
    assert document["info"].keys() >= {"date", "versions", "code", "machine"}
    assert document["models"]["A"]["results"] == [
        {"image_id": 1, "category_id": 2, "bbox": [40, 40, 50, 50], "score": pytest.approx(0.6)}
    ]
    assert document["models"]["B"]["categories"][1] == {"id": 2, "name": "plane"}
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[1] >= 2 * 4 * 120  # enlarged, so that every label has room
    assert drawn[:34].min() < 50  # names of the models
    assert drawn.std() > 0


def test_the_download_is_a_run_on_data_that_has_the_photo(both: PhotoComparison, tmp_path: Path) -> None:
    table, _ = write_files(both, Filters(0.0), tmp_path)
    images = [
        {"id": own, "file_name": f"{name}.png", "height": 100, "width": 120} for own, name in ((1, "x"), (2, "photo"))
    ]
    categories = [{"id": 5, "name": "plane"}, {"id": 1, "name": "ship"}]
    objects = [{"id": 1, "image_id": 2, "category_id": 5, "bbox": [40, 40, 50, 50]}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": objects}))
    for name in ("A", "B"):
        run = load_run(table, f"{tmp_path}/a.json:{tmp_path}", name)
        shown = both.shown(Filters(0.0))[name]
        assert run.truth.image_ids.tolist() == [2]
        assert [run.truth.class_names[row] for row in run.found.classes] == [
            shown.class_names[index] for index in shown.classes if shown.class_names[index] in ("plane", "ship")
        ]


def test_masks_are_outlined_and_kept_in_coco_results(both: PhotoComparison) -> None:
    mask = np.zeros((100, 120), np.uint8, order="F")
    mask[40:90, 40:90] = 1
    prediction = both.predictions["A"]
    masked = replace(prediction.detections, masks=(mask_api.encode(mask),) * 3)
    comparison = PhotoComparison(both.photo, {"A": replace(prediction, detections=masked)})
    outlines = [trace for trace in comparison.figure(ALL).data if trace.line.dash == "dot"]
    assert len(outlines) == 2
    assert (min(outlines[1].x[:-1]), max(outlines[1].x[:-1])) == (40.5, 89.5)
    assert not any(trace.showlegend for trace in outlines)
    result = as_coco(comparison, ALL)["models"]["A"]["results"][0]
    assert mask_api.area({**result["segmentation"]}) == 2500
    json.dumps(result)


def test_what_is_missing_is_said(zoo: Any, photo: Path) -> None:
    with pytest.raises(ValueError, match="photo first"):
        compare(zoo.models, ["A"], None)
    with pytest.raises(ValueError, match="at least one model"):
        compare(zoo.models, [], photo)


def test_a_file_that_is_no_photo_is_refused_by_name(zoo: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(ValueError, match=r"notes\.png"):
        compare(zoo.models, ["A"], path)


def test_a_model_that_cannot_be_had_costs_its_own_column_only(
    zoo: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    get = zoo.models.get

    def refuse(name: str, progress: Any, device: str) -> Any:
        if name == "gone":
            raise DownloadError("No source gave the weights of gone:\n  https://x answered 403\nIf you have the file")
        return get(name, progress, device)

    monkeypatch.setattr(zoo.models, "get", refuse)
    result = compare(zoo.models, ["A", "gone", "B"], photo)
    assert result.unavailable == {"gone": "No source gave the weights of gone."}
    assert result.letters == {"A": "A", "B": "B"}
    first, _, last = result.counts(ALL)
    assert (first["objects"], last["objects"], last["model"]) == (3, "–", "gone (not available)")
    assert first.keys() == last.keys()
    assert {row["seen by"] for row in result.who_sees_what(ALL)} == {"A only", "B only", "both"}
    words = [note.text for note in result.figure(ALL).layout.annotations]
    assert {"gone · not available", "No source gave the weights of gone."} <= set(words)
    written = json.loads(write_files(result, ALL, tmp_path)[0].read_text())
    assert (list(written["models"]), list(written["unavailable"])) == (["A", "B"], ["gone"])
    with pytest.raises(DownloadError, match="answered 403"):
        compare(zoo.models, ["gone"], photo)
    none = compare(zoo.models, ["gone"], photo, even_none=True)
    assert (none.predictions, none.image_size, none.who_sees_what(ALL), none.magnified(ALL)) == ({}, (100, 120), [], [])
    assert none.counts(ALL)[0]["model"] == "gone (not available)"
    words = [note.text for note in none.figure(ALL).layout.annotations]
    assert words == ["gone · not available", "No source gave the weights of gone."]


def test_released_models_that_are_refused_say_so_in_one_line(
    zoo: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    monkeypatch.delenv("EXPLORER_MIRROR", raising=False)
    get, refused = zoo.models.get, "faster_rcnn_V_39_FPN_3x"

    def fetched(name: str, told: Any, device: str) -> Any:
        return fetch_weights(registry.get(name)) if name == refused else get(name, told, device)

    monkeypatch.setattr(zoo.models, "get", fetched)
    (why,) = compare(zoo.models, ["A", refused], photo).unavailable.values()
    said = f"The weights of {refused} cannot be downloaded: their source refuses since 2025 (Dropbox answers 403)."
    assert why == said


def test_progress_can_stop_it_between_models(zoo: Any, photo: Path) -> None:
    def tell(share: float, words: str) -> None:
        if share >= 0.5:
            raise Stopped(words)

    with pytest.raises(Stopped, match="B"):
        compare(zoo.models, ["A", "B"], photo, tell)
    assert (len(zoo.fakes["A"].images), len(zoo.fakes["B"].images)) == (4, 0)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.caption)
def test_examples_are_colour_photos_without_network(example: Example) -> None:
    photo = example.read()
    assert photo.dtype == np.uint8
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert min(photo.shape[:2]) >= 256
    assert photo.std() > 10


@pytest.mark.parametrize("module", ["compare", "errors", "features", "fields", "models", "speed"])
def test_actions_load_neither_gradio_nor_torch(module: str) -> None:
    heavy = "('gradio', 'torch', 'plotly', 'detectron2')"
    code = f"import sys, explorer.ui.actions.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@dataclass
class OnGpu(FakeDetector):
    """Fails as on a broken GPU if its name is A."""

    device: torch.device = field(default_factory=lambda: torch.device("cuda"))

    def detect(self, image_bgr: Any) -> Any:
        if self.name == "A":
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nFor debugging consider")
        return super().detect(image_bgr)


@pytest.fixture
def on_gpu(zoo: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that stand for a GPU."""
    on = ["auto"]

    def load(model: str, *, device: str, **options: Any) -> FakeDetector:
        kind = OnGpu if device in on else FakeDetector
        return kind(zoo.fakes[model].found, name=model)

    monkeypatch.setattr(loading, "load_detector", load)
    monkeypatch.setattr(devices, "failure_of", lambda device: "")
    return on


def test_a_model_whose_gpu_fails_is_run_by_the_cpu(
    zoo: Any, on_gpu: list[str], photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = Models(extra=["A", "B"], warm=False)
    result = compare(models, ["A", "B"], photo)
    assert (list(result.predictions), dict(result.unavailable)) == (["A", "B"], {})
    assert [message.partition(": ")[2][:10] for message in caplog.messages] == ["CUDA error"]
    assert list(result.fallbacks) == caplog.messages
    assert f"<li>{caplog.messages[0]}</li>" in warnings_of(result)  # on the page, too
    assert models.get("A").device.type == "cpu"  # and stays there


def test_a_model_that_no_device_can_run_costs_its_column_only(zoo: Any, on_gpu: list[str], photo: Path) -> None:
    on_gpu.append("cpu")
    models = Models(extra=["A", "B"], warm=False)
    result = compare(models, ["A", "B"], photo)
    assert list(result.predictions) == ["B"]
    assert result.unavailable == {"A": "The GPU failed: CUDA error: an illegal memory access was encountered."}
    with pytest.raises(DeviceError, match="nvidia-smi"):
        compare(models, ["A"], photo)


def test_a_model_on_a_gpu_that_failed_since_is_loaded_anew(
    zoo: Any, on_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(extra=["B"], warm=False)
    first = models.get("B")
    assert models.get("B") is first
    monkeypatch.setattr(devices, "failure_of", lambda device: "CUDA error")
    assert models.get("B") is not first


def test_a_gpu_that_fails_is_told_on_the_page_and_other_faults_are_not_hidden() -> None:
    with pytest.raises(gr.Error, match="The GPU failed: CUDA out of memory") as told:
        explained(fail_with)(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert not told.value.print_exception
    assert "Try again: the CPU takes over" in told.value.message
    assert "device cpu" not in told.value.message  # nobody chooses a device there
    with pytest.raises(RuntimeError, match="shapes differ"):
        explained(fail_with)(RuntimeError("shapes differ"))


def fail_with(error: Exception) -> None:
    raise error
