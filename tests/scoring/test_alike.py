"""Runs of other data or protocols are not compared in silence; by force they are, on what they share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.scoring.alike import RunsDifferError, alike, annotations_sha256, restricted
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.protocols import COCO
from explorer.scoring.runs import Run, load_run

Content = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set of four images with a cat and a dog each, and a run's folder on some of its images."""
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 100, "width": 100} for i in range(1, 5)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 2 * i + c, "image_id": i, "category_id": c, "bbox": [10 * c, 10, 30, 30], "area": 900, "iscrowd": 0}
            for i in range(1, 5)
            for c in (1, 2)
        ],
    }
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    (data / "val").mkdir()
    annotations = data / "annotations" / "instances_val.json"
    annotations.write_text(json.dumps(content))

    def write(name: str, images: tuple[int, ...] = (1, 2, 3, 4), **facts: Any) -> Path:
        out = tmp_path / name
        out.mkdir()
        names, kept = {1: "cat", 2: "dog"}, facts.get("classes", ("cat", "dog"))
        results = [
            {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5 + a["id"] / 99}
            for a in content["annotations"]  # type: ignore[attr-defined]
            if a["image_id"] in images and names[a["category_id"]] in kept
        ]
        known = {"model": name, "data": f"{data}:val", "images": len(images)}
        known |= {"annotations": {"sha256": annotations_sha256(f"{data}:val")}}
        for file, value in (
            ("coco_instances_results.json", results),
            ("image_ids.json", list(images)),
            ("run.json", known | facts),
        ):
            (out / file).write_text(json.dumps(value))
        return out

    return write


def runs_of(*folders: Path) -> list[Run]:
    return [load_run(folder) for folder in folders]


def test_runs_on_the_same_data_are_left_as_they_are(folder: Callable[..., Path]) -> None:
    runs = runs_of(folder("a"), folder("b"))
    assert alike(runs) == runs
    assert alike(runs, force=True) == runs


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"images": (1, 2)}, "they were run on 4 and 2 images, of which 2 are in one only, the first is image 3"),
        ({"classes": ["cat"]}, "they have 2 and 1 classes"),
        ({"renamed": {"puppy": "dog"}}, r"their classes were renamed differently \(not at all, .*puppy"),
        ({"max_detections": 300}, "different protocols .* 100 detections of a class in an image; .* 300"),
        ({"annotations": {"sha256": "0" * 64}}, "annotations of .* are not those that b was evaluated with"),
    ],
)
def test_what_differs_is_named_and_refused(folder: Callable[..., Path], other: dict[str, Any], words: str) -> None:
    runs = runs_of(folder("a"), folder("b", **other))
    with pytest.raises(RunsDifferError, match=words) as refused:
        alike(runs)
    in_python, on_command_line = str(refused.value), str(refused.value.as_options())
    assert "force=True compares them anyway" in in_python
    assert "--" not in in_python
    assert "--force compares them anyway" in on_command_line
    assert ("protocol= scores all of them" in in_python) == ("max_detections" in other)
    assert ("--sizes, --max-detections or --iou-thresholds scores" in on_command_line) == ("max_detections" in other)
    assert "\n" not in in_python
    forced = alike(runs, force=True)
    assert forced[0].truth.image_ids.tolist() == list(other.get("images", (1, 2, 3, 4)))
    assert forced[0].truth.class_names == forced[1].truth.class_names
    assert "Compared by force" in forced[0].notes[-1]
    figures = [score(match(run)).overall for run in forced]
    np.testing.assert_array_equal(figures[0], figures[1])  # the same detections, wherever both were run


def test_a_limit_that_is_named_is_both_runs_limit(folder: Callable[..., Path]) -> None:
    runs = runs_of(folder("a"), folder("b", max_detections=300))
    named = alike(runs, protocol=COCO.with_limit(300))
    assert [run.protocol.max_detections for run in named] == [(1, 10, 300)] * 2


def test_annotations_that_change_after_a_run_are_noticed(folder: Callable[..., Path], tmp_path: Path) -> None:
    runs = runs_of(folder("a"), folder("b"))
    file = tmp_path / "data" / "annotations" / "instances_val.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(ValueError, match="not those that a was evaluated with"):
        alike(runs)
    (said,) = load_run(runs[0].folder or "").notes  # and wherever one of them is looked at alone
    assert said.startswith(f"The annotations of {tmp_path / 'data'}:val are not those that a was evaluated with (")


def test_runs_that_share_nothing_are_refused_by_force_too(folder: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="share no image"):
        alike(runs_of(folder("a", (1, 2)), folder("b", (3, 4))), force=True)


def test_a_part_of_a_run_is_what_a_run_on_that_part_is(folder: Callable[..., Path]) -> None:
    whole, part = runs_of(folder("a"), folder("b", (2, 4), classes=["dog"]))
    cut = restricted(whole, [2, 4], ["dog"])
    with_masks = replace(whole, found=replace(whole.found, mask_scores=whole.found.scores / 2))
    np.testing.assert_array_equal(restricted(with_masks, [2, 4], ["dog"]).found.mask_scores, cut.found.scores / 2)
    for column in ("images", "classes", "boxes_xywh", "scores"):
        np.testing.assert_array_equal(getattr(cut.found, column), getattr(part.found, column))
    np.testing.assert_array_equal(cut.truth.ids, part.truth.ids)


def test_a_folder_whose_files_are_of_two_runs_is_refused(folder: Callable[..., Path]) -> None:
    out = folder("a")
    (out / "image_ids.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"was run on 4 images, but .* lists 2"):
        load_run(out)
