"""Objects of other libraries become runs: stand-ins of their types, and the libraries themselves where installed.

Each is made of a real detector's boxes on BCCD, whose figures are pycocotools', and of a few invented ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.cocoeval import COCOeval

import explorer as ex
from explorer.scoring.columns import Run, Truth
from explorer.scoring.metrics import metrics_of
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import read_truth, truth_from_coco
from tests.fixtures.cells import STATS, Cells

Official = Callable[..., COCOeval]
INVENTED = {
    "images": [
        {"id": key, "file_name": f"/data/{name}.jpg", "width": 100, "height": 100}
        for key, name in ((3, "a"), (5, "b"), (9, "c"))
    ],
    "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 17, "bbox": [10, 10, 20, 30], "area": 600, "iscrowd": 0},
        {"id": 2, "image_id": 3, "category_id": 18, "bbox": [52, 6, 40, 50], "area": 2000, "iscrowd": 0},
        {"id": 3, "image_id": 5, "category_id": 18, "bbox": [0, 0, 20, 25], "area": 500, "iscrowd": 0},
    ],
}
FOUND = [
    {"image_id": 3, "category_id": 17, "bbox": [10.0, 10, 20, 30], "score": 0.9},
    {"image_id": 3, "category_id": 18, "bbox": [50.0, 5, 40, 55], "score": 0.25},
    {"image_id": 5, "category_id": 18, "bbox": [0.0, 0, 20, 20], "score": 0.5},
]


@dataclass
class Supervision:
    """The attributes of `supervision.Detections` that are read."""

    xyxy: np.ndarray
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xyxy)


@dataclass(frozen=True)
class Found:
    """What is on one image: corners, places of classes, scores."""

    boxes: list[list[float]]
    labels: list[int]
    scores: list[float]


@dataclass(frozen=True)
class Photos:
    """A data set, and a detector's boxes by file name.

    Attributes:
        truth: the images and objects.
        results: the boxes as COCO results.
        figures: pycocotools' of them, in percent.
        found: the same by the name of the image's file.
    """

    truth: Truth
    results: list[dict[str, Any]]
    figures: dict[str, float]
    found: dict[str, Found]

    @classmethod
    def of(cls, truth: Truth, results: list[dict[str, Any]], figures: dict[str, float]) -> Photos:
        found = {Path(name).name: Found([], [], []) for name in truth.file_names}
        names, rows = list(found), {key: row for row, key in enumerate(truth.image_ids.tolist())}
        places = {key: place for place, key in enumerate(truth.category_ids.tolist())}
        for own in results:
            on, (x, y, w, h) = found[names[rows[own["image_id"]]]], own["bbox"]
            on.boxes.append([x, y, x + w, y + h])
            on.labels.append(places[own["category_id"]])
            on.scores.append(own["score"])
        return cls(truth, results, figures, found)

    @property
    def names(self) -> tuple[str, ...]:
        return self.truth.class_names


@pytest.fixture(scope="module")
def invented(official: Official) -> Photos:
    stats = 100 * official(INVENTED, FOUND, "bbox").stats
    figures = dict(zip(STATS, np.where(stats < 0, np.nan, stats).tolist(), strict=True))
    return Photos.of(truth_from_coco(INVENTED), FOUND, figures)


@pytest.fixture(scope="module", params=["invented", "BCCD"])
def photos(request: pytest.FixtureRequest) -> Photos:
    if request.param == "invented":
        return request.getfixturevalue("invented")
    cells: Cells = request.getfixturevalue("cells")
    return Photos.of(read_truth(cells.data), cells.results, cells.figures)


def check(run: Run, photos: Photos) -> None:
    """The same detections as of COCO results, and pycocotools' figures."""
    expected = found_among(photos.results, photos.truth)
    np.testing.assert_array_equal(run.found.images, expected.images)
    np.testing.assert_array_equal(run.found.classes, expected.classes)
    np.testing.assert_array_equal(run.found.scores, expected.scores)
    np.testing.assert_allclose(run.found.boxes_xywh, expected.boxes_xywh, atol=1e-9)
    assert metrics_of(run).values["bbox"] == pytest.approx(photos.figures, abs=1e-9, nan_ok=True)


def supervision_of(found: Found, make: Any = Supervision, **data: Any) -> Any:
    return make(
        xyxy=np.array(found.boxes).reshape(-1, 4),
        confidence=np.array(found.scores),
        class_id=np.array(found.labels, dtype=int),
        data={key: np.array(values) for key, values in data.items()},
    )


def test_supervisions_detections(photos: Photos) -> None:
    truth, found = photos.truth, photos.found
    check(ex.Run.from_supervision({name: supervision_of(own) for name, own in found.items()}, truth), photos)
    named = {
        name: supervision_of(own, class_name=[photos.names[label] for label in own.labels])
        for name, own in found.items()
    }
    for own in named.values():
        own.class_id = own.class_id + 70  # as a model of other classes has it
    check(ex.Run.from_supervision(named, truth), photos)
    names = dict(enumerate(photos.names, start=70))
    check(ex.Run.from_supervision(named, truth, class_names=names), photos)
    with pytest.raises(ValueError, match=r"class 7\d, which class_names does not name"):
        ex.Run.from_supervision(named, truth, class_names=list(photos.names))


def test_rf_detrs_output_of_no_class_is_no_detection(photos: Photos) -> None:
    """As RF-DETR 1.11.2 fine-tuned on three classes returns it below a threshold of 0.05."""
    found = {}
    for name, own in photos.found.items():
        labels = [photos.names[label] for label in own.labels]
        more = Found([*own.boxes, [0.0, 0.0, 9.0, 9.0]], [*own.labels, len(photos.names)], [*own.scores, 0.02])
        found[name] = supervision_of(more, class_name=[*labels, "__background__"])
    check(ex.Run.from_supervision(found, photos.truth), photos)
    check(ex.Run.from_supervision(found, photos.truth, class_names=list(photos.names)), photos)


def test_what_supervisions_detections_lack_is_said(invented: Photos) -> None:
    truth, own = invented.truth, supervision_of(invented.found["a.jpg"])
    with pytest.raises(ValueError, match=r"'a\.jpg' have no confidence"):
        ex.Run.from_supervision({"a.jpg": Supervision(np.zeros((1, 4)))}, truth)
    with pytest.raises(ValueError, match="does not say which image"):
        ex.Run.from_supervision([own], truth)
    with pytest.raises(ValueError, match="no file of that name"):
        ex.Run.from_supervision({"z.jpg": own}, truth)


def test_images_without_detections_are_counted_aloud(invented: Photos) -> None:
    truth, own = invented.truth, supervision_of(invented.found["a.jpg"])
    run = ex.Run.from_supervision({"a.jpg": own}, truth, name="theirs")
    (note,) = run.metrics.details["notes"]
    assert note.startswith(
        "2 of 3 images have no detections of theirs; they count as images in which nothing was found."
    )
    assert note in run._repr_html_()
    of_all = dict.fromkeys(invented.found, own)
    assert ex.Run.from_supervision(of_all, truth).metrics.details["notes"] == []


def test_images_that_are_named_count_as_looked_at(invented: Photos, tmp_path: Path) -> None:
    """Without a detection, too: only of images that nobody names is it not known whether the detector saw them."""
    truth, nothing = invented.truth, Found([], [], [])
    only = {name: own if name == "a.jpg" else nothing for name, own in invented.found.items()}
    made = {name: supervision_of(own) for name, own in only.items()}
    assert ex.Run.from_supervision(made, truth).metrics.details["notes"] == []
    outputs = {name: [] for name in only}
    (note,) = ex.Run.from_transformers(dict(list(outputs.items())[:1]), truth).metrics.details["notes"]
    assert note.startswith(f"{len(only) - 1} of {len(only)} images have no detections")
    assert ex.Run.from_transformers(outputs, truth).metrics.details["notes"] == []


def test_supervision_itself(photos: Photos) -> None:
    supervision = pytest.importorskip("supervision")
    own = {name: supervision_of(found, supervision.Detections) for name, found in photos.found.items()}
    check(ex.Run.from_supervision(own, photos.truth), photos)


def ultralytics_of(name: str, photos: Photos) -> SimpleNamespace:
    """The attributes of Ultralytics' `Results` that are read; its columns are tensors."""
    found = photos.found[name]
    boxes = SimpleNamespace(
        xyxy=torch.tensor(found.boxes, dtype=torch.float64).reshape(-1, 4),
        cls=torch.tensor(found.labels, dtype=torch.float32),
        conf=torch.tensor(found.scores, dtype=torch.float64),
    )
    return SimpleNamespace(path=f"photos/{name}", boxes=boxes, names=dict(enumerate(photos.names)))


def test_ultralytics_results(photos: Photos) -> None:
    results = (ultralytics_of(name, photos) for name in photos.found)
    check(ex.Run.from_ultralytics(results, photos.truth), photos)
    with pytest.raises(ValueError, match="has no boxes"):
        ex.Run.from_ultralytics([SimpleNamespace(path="a.jpg", boxes=None, names={})], photos.truth)


def test_ultralytics_itself(photos: Photos) -> None:
    results = pytest.importorskip("ultralytics.engine.results")
    own, names = [], dict(enumerate(photos.names))
    for name, found in photos.found.items():
        rows = [[*box, score, label] for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)]
        rows_of = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
        own.append(results.Results(np.zeros((100, 100, 3), np.uint8), f"photos/{name}", names, boxes=rows_of))
    check(ex.Run.from_ultralytics(own, photos.truth), photos)


def test_transformers_outputs(photos: Photos) -> None:
    pipeline = {
        f"photos/{name}": [
            {
                "score": score,
                "label": photos.names[label],
                "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
            }
            for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True)
        ]
        for name, found in photos.found.items()
    }
    check(ex.Run.from_transformers(pipeline, photos.truth), photos)
    processed = {
        name: {
            "scores": torch.tensor(found.scores, dtype=torch.float64),
            "labels": torch.tensor(found.labels, dtype=torch.int64),
            "boxes": torch.tensor(found.boxes, dtype=torch.float64).reshape(-1, 4),
        }
        for name, found in photos.found.items()
    }
    check(ex.Run.from_transformers(processed, photos.truth, class_names=dict(enumerate(photos.names))), photos)
    check(ex.Run.from_transformers(processed, photos.truth), photos)
    with pytest.raises(ValueError, match=r"the output of 'a\.jpg' is 3; give the pipeline's list"):
        ex.Run.from_transformers({"a.jpg": 3}, photos.truth)


def test_transformers_itself(cells: Cells) -> None:
    """A small model of random weights, whose two kinds of output say the same; the pipeline's has whole pixels."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[64, 64],
        num_detection_tokens=6,
        id2label={0: "RBC", 1: "WBC", 2: "Platelets"},
    )
    model = transformers.YolosForObjectDetection(config).eval()
    processor = transformers.YolosImageProcessor(size={"height": 64, "width": 64})
    pipeline = transformers.pipeline("object-detection", model=model, image_processor=processor)
    whole, processed = {}, {}
    for path in read_truth(cells.data).file_names[:3]:
        image = Image.open(path)
        inputs, sizes = processor(images=image, return_tensors="pt"), [image.size[::-1]]
        whole[path] = pipeline(image, threshold=0)
        (processed[path],) = processor.post_process_object_detection(model(**inputs), 0, sizes)
    one = ex.Run.from_transformers(whole, cells.data)
    other = ex.Run.from_transformers(processed, cells.data, class_names=model.config.id2label)
    assert len(one.found) == 18
    np.testing.assert_array_equal(one.found.classes, other.found.classes)
    np.testing.assert_allclose(one.found.scores, other.found.scores, atol=1e-6)
    np.testing.assert_array_equal(one.found.boxes_xywh % 1, 0)
    np.testing.assert_allclose(one.found.boxes_xywh, other.found.boxes_xywh, atol=1)


def test_a_protocol_and_a_comparison(invented: Photos) -> None:
    found, truth = invented.found, invented.truth
    detections = {name: supervision_of(own) for name, own in found.items()}
    one = ex.Run.from_supervision(detections, truth, name="a", protocol="ai-tod")
    assert "APvt" in one.metrics.values["bbox"]
    other = ex.Run.from_ultralytics([ultralytics_of("a.jpg", invented)], truth, name="b", protocol="ai-tod")
    assert ex.compare(one, other, resamples=5).comparison.names == ("a", "b")


def test_a_name_without_its_folder_is_enough(photos: Photos) -> None:
    found = {Path(name).stem: supervision_of(own) for name, own in photos.found.items()}
    check(ex.Run.from_supervision(found, photos.truth), photos)
