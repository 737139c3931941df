"""Results of anyone: images by file name and classes by name where ids are another's, and never a guess in silence."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from explorer.scoring.columns import Run
from explorer.scoring.convert import coco_annotations
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import load_run, truth_from_coco
from explorer.scoring.sizes import COCO_BINS
from explorer.types import Detections

Content = dict[str, Any]
Results = list[dict[str, Any]]
Invent = Callable[..., tuple[Content, Results]]
Write = Callable[..., Run]


@pytest.fixture
def data(invent: Invent) -> tuple[Content, Results]:
    return invent(2, images=6)


@pytest.fixture
def read(data: tuple[Content, Results], tmp_path: Path) -> Write:
    """Writes annotations and a results file, and reads the run."""

    def read(results: Any, content: Content | None = None, **options: Any) -> Run:
        (tmp_path / "a.json").write_text(json.dumps(content or data[0]))
        (tmp_path / "found.json").write_text(json.dumps(results))
        return load_run(tmp_path / "found.json", f"{tmp_path}/a.json:{tmp_path}", **options)

    return read


def assert_same(run: Run, other: Run) -> None:
    assert run.truth.image_ids.tolist() == other.truth.image_ids.tolist()
    for column in ("images", "classes", "boxes_xywh", "scores"):
        np.testing.assert_array_equal(getattr(run.found, column), getattr(other.found, column))


def with_names(content: Content, names: Callable[[int], str]) -> Content:
    images = [image | {"file_name": names(number)} for number, image in enumerate(content["images"])]
    return content | {"images": images}


@pytest.mark.parametrize("name", ["file", "stem", "path"])
def test_texts_that_are_no_ids_are_file_names(name: str, data: tuple[Content, Results], read: Write) -> None:
    content, results = with_names(data[0], lambda number: f"val/{number:06d}.jpg"), data[1]
    called = {image["id"]: image["file_name"].removeprefix("val/") for image in content["images"]}
    change: dict[str, Callable[[str], str]] = {
        "file": str,
        "stem": lambda own: own.removesuffix(".jpg"),
        "path": lambda own: f"some\\where/else/{own}",
    }
    named = [result | {"image_id": change[name](called[result["image_id"]])} for result in results]
    assert_same(read(named, content), read(results, content))
    assert_same(read(named, content, match_by="file_name"), read(results, content))
    with pytest.raises(ValueError, match="which is not among the 6 images"):
        read(named, content, match_by="id")


def test_numbers_are_stems_where_names_are_asked_for(data: tuple[Content, Results], read: Write) -> None:
    content, results = with_names(data[0], lambda number: f"{number + 100:012d}.jpg"), data[1]
    called = {image["id"]: number + 100 for number, image in enumerate(content["images"])}
    named = [result | {"image_id": called[result["image_id"]]} for result in results]
    assert_same(read(named, content, match_by="file_name"), read(results, content))
    with pytest.raises(
        ValueError, match=r"not among the 6 images evaluated; or match by file name \(match_by='file_name'"
    ):
        read(named, content)
    with pytest.raises(ValueError, match="cannot be matched by 'name': give id or file_name, or nothing"):
        read(named, content, match_by="name")


def test_a_name_that_may_be_several_is_refused(data: tuple[Content, Results], read: Write) -> None:
    content = with_names(data[0], lambda number: ["a/1.jpg", "b/1.jpg", "1.png", "2.jpg", "02.jpg", "3.jpg"][number])
    result = data[1][0]
    for name, row in [("a/1.jpg", 0), ("x/b/1.jpg", 1), ("1.png", 2), ("2", 3), ("02", 4), (3, 5)]:
        found = read([result | {"image_id": name}], content, match_by="file_name").found
        assert found.images.tolist() == [row]
    for unclear in ("1.jpg", "1", "c/1.jpg", 2):
        with pytest.raises(ValueError, match=r"detection 0 .* is on image .*, which may be .*\.jpg or .*: name more"):
            read([result | {"image_id": unclear}], content, match_by="file_name")


def as_predicted(content: Content, results: Results) -> Content:
    """The same as a file that describes itself: its ids are the data's, but of other images and other classes."""
    images, categories = content["images"], content["categories"]
    image_ids = {one["id"]: other["id"] for one, other in zip(images, images[::-1], strict=True)}
    ids = {one["id"]: other["id"] for one, other in zip(categories, categories[::-1], strict=True)}
    return {
        "info": {"model": "any"},
        "images": [{"id": image_ids[own["id"]], "file_name": f"aerial/val/{own['file_name']}"} for own in images],
        "categories": [{"id": ids[own["id"]], "name": own["name"]} for own in categories],
        "annotations": [
            own | {"id": n, "image_id": image_ids[own["image_id"]], "category_id": ids[own["category_id"]], "area": 1.0}
            for n, own in enumerate(results, start=1)
        ],
    }


def test_a_file_that_describes_itself_goes_by_names(data: tuple[Content, Results], read: Write) -> None:
    content, results = data
    assert_same(read(as_predicted(content, results)), read(results))
    by_id = read(as_predicted(content, results), match_by="id").found
    assert np.bincount(by_id.images, minlength=6).tolist() == np.bincount(read(results).found.images)[::-1].tolist()


def test_only_the_images_that_it_lists_count(data: tuple[Content, Results], read: Write) -> None:
    content, results = data
    predicted = as_predicted(content, results)
    kept = {image["id"]: image["file_name"] for image in predicted["images"][2:4]}
    predicted["images"] = [*predicted["images"][2:4], {"id": 99, "file_name": "not-annotated.jpg"}]
    predicted["annotations"] = [own for own in predicted["annotations"] if own["image_id"] in kept]
    run = read(predicted)
    assert [f"aerial/val/{Path(name).name}" for name in run.truth.file_names] == sorted(kept.values())
    assert len(run.found) == len(predicted["annotations"]) > 0
    with pytest.raises(ValueError, match=r"on image 99 \('not-annotated.jpg'\), which is not among the 2 images"):
        read(predicted | {"annotations": [results[0] | {"image_id": 99, "category_id": 1}]})
    twice = [
        *predicted["images"],
        {"id": 5, "file_name": f"elsewhere/{Path(predicted['images'][0]['file_name']).name}"},
    ]
    with pytest.raises(ValueError, match=r"found.json: its images \d+ and 5 .* are both"):
        read(predicted | {"images": twice})
    smaller = [image | {"width": image["width"] // 2} for image in content["images"]]
    with pytest.raises(ValueError, match=r"found.json: it lists .* with 160 x 240 px, the data has 320 x 240: scale"):
        read(predicted | {"images": smaller})


def test_classes_that_the_data_lacks_are_left_out_and_said(
    data: tuple[Content, Results], read: Write, caplog: pytest.LogCaptureFixture
) -> None:
    content, results = data
    predicted = as_predicted(content, results)
    predicted["categories"][2]["name"] = "ship"  # it was class 2
    with caplog.at_level(logging.WARNING):
        run = read(predicted)
    gone = sum(own["category_id"] == content["categories"][2]["id"] for own in results)
    assert f"{gone} of {len(results)} detections are of classes that the data does not have" in caplog.text
    assert f"ship ({gone})" in caplog.text
    kept = [own for own in results if own["category_id"] != content["categories"][2]["id"]]
    assert_same(run, read(kept))
    for category in predicted["categories"]:
        category["name"] += "!"
    with pytest.raises(ValueError, match=r"none of its classes \(class 0!, class 1!, ship!\) is one of the data's"):
        read(predicted)
    assert len(read(predicted | {"images": content["images"], "annotations": results}, match_by="id").found) == len(
        results
    )


def test_a_category_name_beside_its_id_decides(data: tuple[Content, Results], read: Write) -> None:
    content, results = data
    names = {own["id"]: own["name"] for own in content["categories"]}
    # a detector that counts its classes from 0, as sahi's results have it
    counted = {own["id"]: number for number, own in enumerate(content["categories"][::-1])}
    named = [
        {key: value for key, value in own.items() if key != "segmentation"}
        | {"category_id": counted[own["category_id"]], "category_name": names[own["category_id"]], "segmentation": []}
        for own in results
    ]
    assert_same(read(named), read(results))
    masked = [own | {"segmentation": old["segmentation"]} for own, old in zip(named, results, strict=True)]
    assert_same(read(masked), read(results))
    some = [own | {"category_name": "ship"} if number % 3 else own for number, own in enumerate(named)]
    assert len(read(some).found) == len(range(0, len(named), 3))
    with pytest.raises(ValueError, match=r"none of its \d+ detections is of a class that the data has: ship"):
        read([own | {"category_name": "ship"} for own in named])
    with pytest.raises(ValueError, match=r"has category_id [02], which the data set does not have"):
        read(named, match_by="id")


def test_what_pycocotools_writes_is_read(data: tuple[Content, Results], read: Write, tmp_path: Path) -> None:
    results = data[1]
    plain = read([{key: own[key] for key in ("image_id", "category_id", "bbox", "score")} for own in results])
    with contextlib.redirect_stdout(io.StringIO()):
        official = COCO(tmp_path / "a.json")
        for with_masks in (False, True):
            given = [
                {key: value for key, value in own.items() if with_masks or key != "segmentation"} for own in results
            ]
            loaded = official.loadRes(given).dataset
            assert all({"id", "area", "iscrowd", "segmentation"} <= own.keys() for own in loaded["annotations"])
            for form in (loaded, loaded["annotations"]):
                run = read(form)
                assert_same(run, plain)
                assert run.found.masks is not None  # of plain boxes it makes rectangles


def test_our_own_annotations_are_results(data: tuple[Content, Results], read: Write) -> None:
    content, _ = data
    truth = truth_from_coco(content)
    boxes = np.array([[1, 2, 31, 42], [5, 5, 9, 9]], "f4")
    found = Detections(boxes, np.array([0.5, 0.25], "f4"), np.array([1, 0]), ("x", "class 1"), (240, 320))
    annotations = coco_annotations(found, content["images"][1]["id"], {0: 5, 1: 3})
    run = read(annotations)
    assert run.found.boxes_xywh.tolist() == [[1, 2, 30, 40], [5, 5, 4, 4]]
    assert run.found.images.tolist() == [1, 1]
    assert [truth.class_names[row] for row in run.found.classes] == ["class 1", "class 2"]


def test_classes_of_one_name_are_two(invent: Invent, official: Callable[..., Any]) -> None:
    @given(seed=st.integers(0, 2**32), shared=st.sampled_from([(0, 1), (1, 2), (0, 1, 2)]))
    @settings(max_examples=15, deadline=None)
    def check(seed: int, shared: tuple[int, ...]) -> None:
        content, results = invent(seed)
        for place in shared:
            content["categories"][place]["name"] = "car"
        truth = truth_from_coco(content)
        expected = [f"car (id {2 * c + 1})" if c in shared else f"class {c}" for c in range(3)]
        assert truth.class_names == tuple(expected)
        figures = score(match(Run("two", truth, found_among(results, truth), {}), bins=COCO_BINS))
        theirs = official(content, results, "bbox")
        for place, name in enumerate(expected):
            precision = theirs.eval["precision"][:, :, place, 0, -1].mean()
            assert figures.value(class_name=name) == pytest.approx(
                100 * precision if precision > -1 else np.nan, nan_ok=True
            )
        assert figures.value() == pytest.approx(100 * theirs.stats[0] if theirs.stats[0] > -1 else np.nan, nan_ok=True)
        named = [own | {"category_name": content["categories"][own["category_id"] // 2]["name"]} for own in results]
        np.testing.assert_array_equal(found_among(named, truth).classes, found_among(results, truth).classes)

    check()


def test_names_that_look_told_apart_already_stay_apart(invent: Invent) -> None:
    content, _ = invent(1)
    for category, name in zip(content["categories"], ["car", "car", "car (id 1)"], strict=True):
        category["name"] = name
    assert len(set(truth_from_coco(content).class_names)) == 3
