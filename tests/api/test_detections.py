"""`Detections` as users handle them: parts, tables, COCO documents and supervision's type."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from explorer.engine.class_names import COCO_THINGS
from explorer.types import Detections

SIZE = (40, 60)
BOXES = np.array([[2, 3, 12, 9], [20, 10, 50, 30], [0, 0, 5.5, 7.25]], np.float32)


def made(*, masks: bool = False, names: tuple[str, ...] = ("car", "bus")) -> Detections:
    return Detections(
        BOXES,
        np.array([0.9, 0.5, 0.25], np.float32),
        np.array([1, 0, 1]),
        names,
        SIZE,
        tuple(mask_api.encode(np.asfortranarray(one.astype(np.uint8))) for one in pixels()) if masks else None,
        np.array([0.8, 0.4, 0.2], np.float32) if masks else None,
    )


def pixels() -> np.ndarray:
    masks = np.zeros((3, *SIZE), bool)
    masks[0, 3:9, 2:12], masks[1, 12:25, 22:48], masks[2, :7, :5] = True, True, True
    return masks


def same(one: Detections, other: Detections) -> None:
    np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy)
    np.testing.assert_allclose(one.scores, other.scores)
    names = [[found.class_names[index] for index in found.classes] for found in (one, other)]
    assert names[0] == names[1]
    assert one.image_size == other.image_size
    assert (one.masks is None) == (other.masks is None)
    for mine, theirs in zip(one.masks or (), other.masks or (), strict=True):
        np.testing.assert_array_equal(mask_api.decode(mine), mask_api.decode(theirs))


@pytest.mark.parametrize("masks", [False, True])
def test_parts_are_detections_again(masks: bool) -> None:
    found = made(masks=masks)
    for index, rows in (
        (slice(2), [0, 1]),
        (slice(None, None, -1), [2, 1, 0]),
        (1, [1]),
        (-1, [2]),
        (np.int64(0), [0]),
        ([2, 0], [2, 0]),
        (np.array([True, False, True]), [0, 2]),
        (found.scores > 2, []),
        ([], []),
    ):
        part = found[index]
        np.testing.assert_array_equal(part.boxes_xyxy, BOXES[rows])
        np.testing.assert_array_equal(part.scores, found.scores[rows])
        assert len(part) == len(rows)
        if masks:
            assert part.masks == tuple(found.masks[row] for row in rows)  # type: ignore[index]
            np.testing.assert_array_equal(part.mask_scores, found.mask_scores[rows])  # type: ignore[index]
    assert [len(one) for one in found] == [1, 1, 1]
    for wrong in (3, -4, [0, 9], np.array([True, False])):
        with pytest.raises(IndexError):
            found[wrong]


def test_tables_and_plain_data_say_what_the_columns_say() -> None:
    frame = made().to_pandas()
    assert frame["class"].tolist() == ["bus", "car", "bus"]
    np.testing.assert_array_equal(frame[["x1", "y1", "x2", "y2"]], BOXES)
    assert frame["size"].tolist() == ["small"] * 3
    assert list(made()[:0].to_pandas().columns) == list(frame.columns)
    plain = json.loads(json.dumps(made(masks=True).to_dict()))
    assert plain["image_size"] == [40, 60]
    assert plain["objects"][1]["box_xyxy"] == [20, 10, 50, 30]
    assert plain["objects"][0]["mask"]["size"] == [40, 60]
    assert plain["objects"][0]["mask_score"] == pytest.approx(0.8)
    assert repr(made()) == "<Detections: 3 objects in an image of 40×60 px>"
    assert made()._repr_html_().count("<tr>") == 1 + 3


@pytest.mark.parametrize("masks", [False, True])
def test_a_coco_document_is_pycocotools_and_comes_back(masks: bool, tmp_path: Path) -> None:
    document = json.loads(json.dumps(made(masks=masks).to_coco(image_id=7)))
    path = tmp_path / "found.json"
    path.write_text(json.dumps(document))
    with redirect_stdout(StringIO()):
        coco = COCO(str(path))
    assert [coco.cats[one["category_id"]]["name"] for one in coco.loadAnns([1, 2, 3])] == ["bus", "car", "bus"]
    assert coco.loadAnns(2)[0]["bbox"] == [20, 10, 30, 20]
    if masks:
        np.testing.assert_array_equal(coco.annToMask(coco.loadAnns(2)[0]).astype(bool), pixels()[1])
        assert coco.loadAnns(1)[0]["area"] == pixels()[0].sum()
    same(Detections.from_coco(document), made(masks=masks))
    same(Detections.from_coco(document, image_id=7), made(masks=masks))


def test_classes_of_coco_keep_cocos_ids() -> None:
    names = tuple(COCO_THINGS)
    document = made(names=names).to_coco()
    assert [one["category_id"] for one in document["annotations"]] == [COCO_THINGS[names[i]] for i in (1, 0, 1)]
    same(Detections.from_coco(document), made(names=names))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": []}, "image"),
        ({"annotations": [{"id": 1, "image_id": 1, "category_id": 99, "bbox": [0, 0, 1, 1]}]}, "99"),
        ({"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0]}]}, "bbox"),
        ({"categories": None}, "no list 'categories'"),
        ({"images": [{"id": i, "file_name": "", "height": 4, "width": 4} for i in (1, 2)]}, "image_id"),
    ],
)
def test_a_malformed_document_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Detections.from_coco({**made().to_coco(), **change})
    with pytest.raises(ValueError, match="no image with the id 9"):
        Detections.from_coco(made().to_coco(), image_id=9)


def test_annotations_without_scores_are_sure() -> None:
    document = made().to_coco()
    for annotation in document["annotations"]:
        del annotation["score"]
    assert Detections.from_coco(document).scores.tolist() == [1, 1, 1]


@dataclass
class StandIn:
    """The fields of `supervision.Detections` that its documentation promises."""

    xyxy: np.ndarray
    mask: np.ndarray | None = None
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    tracker_id: np.ndarray | None = None
    data: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("supervision")
    module.Detections = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", module)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.usefixtures("supervision")
def test_supervisions_type_there_and_back(masks: bool) -> None:
    given = made(masks=masks).to_supervision()
    assert isinstance(given, StandIn)
    assert given.data["class_name"].tolist() == ["bus", "car", "bus"]
    assert given.class_id is not None
    if masks:
        np.testing.assert_array_equal(given.mask, pixels())
        same(Detections.from_supervision(given), made(masks=True))
    else:
        same(Detections.from_supervision(given, image_size=SIZE), made())
        with pytest.raises(ValueError, match="image_size"):
            Detections.from_supervision(given)
    shuffled = StandIn(given.xyxy[::-1], None, given.confidence[::-1], given.class_id[::-1])  # type: ignore[index]
    same(Detections.from_supervision(shuffled, class_names=("car", "bus"), image_size=SIZE), made())  # best first


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (StandIn(BOXES), {}, "no class_id"),
        (StandIn(BOXES, class_id=np.array([0, 1, 0])), {}, "class_names"),
        (StandIn(BOXES, class_id=np.array([0, 2, 0])), {"class_names": ("car", "bus")}, "class_id 2 has no name"),
        (
            StandIn(BOXES, pixels(), class_id=np.zeros(3)),
            {"class_names": ("car",), "image_size": (9, 9)},
            "image_size is",
        ),
    ],
)
def test_what_supervisions_type_lacks_is_said(given: StandIn, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Detections.from_supervision(given, **options)


def test_supervision_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ModuleNotFoundError, match=r"to_supervision needs supervision.*pip install supervision"):
        made().to_supervision()
