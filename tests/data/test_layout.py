"""Finding splits: every layout that people have, and a clear word where nothing is found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from explorer.data.layout import find_split, find_splits, list_splits

Tiny = Any


def test_coco_layout(tiny_coco: Tiny) -> None:
    split = find_split(str(tiny_coco.root))
    assert split == find_split(tiny_coco.source)
    assert split.source == tiny_coco.source
    assert split.images == tiny_coco.root / "train"
    assert split.instances == tiny_coco.file
    assert split.panoptic is None


@pytest.mark.parametrize("name", ["coco-tiny", "bccd", "coco-panoptic-mini"])
def test_reference_layouts(shared: Path, name: str) -> None:
    root = shared / "data" / name
    expected = {"coco-tiny": ("train2017", "val2017"), "bccd": ("test", "train", "val")}.get(name, ("val2017",))
    assert list_splits(root) == expected
    for split in find_splits(str(root)):
        assert split.images == (root / "images" if name == "bccd" else root / split.source.rpartition(":")[2]).resolve()
    if name == "coco-panoptic-mini":
        assert find_split(str(root)).panoptic_labels == (root / "annotations/panoptic_val2017").resolve()


def test_annotations_beside_images(tiny_coco: Tiny) -> None:
    shutil.move(tiny_coco.file, tiny_coco.root / "train" / "_annotations.coco.json")
    tiny_coco.file.parent.rmdir()
    split = find_split(f"{tiny_coco.root}:train")
    assert split.images == tiny_coco.root / "train"
    assert split.instances == tiny_coco.root / "train" / "_annotations.coco.json"


def test_loose_file_and_shared_images(tiny_coco: Tiny) -> None:
    shutil.move(tiny_coco.file, tiny_coco.root / "annotations.json")
    (tiny_coco.root / "train").rename(tiny_coco.root / "images")
    (tiny_coco.root / "package.json").write_text("{}")
    split = find_split(str(tiny_coco.root))
    assert split.source == f"{tiny_coco.root}:annotations"
    assert split.images == tiny_coco.root / "images"


def test_two_files_for_a_split_are_refused(tiny_coco: Tiny) -> None:
    shutil.copy(tiny_coco.file, tiny_coco.root / "train.json")
    assert list_splits(tiny_coco.root) == ("train",)
    with pytest.raises(ValueError, match="several annotation files for 'train'; name one: "):
        find_split(str(tiny_coco.root))
    assert find_split(str(tiny_coco.file)).instances == tiny_coco.file


def test_other_tasks_of_coco_are_no_splits(tiny_coco: Tiny) -> None:
    for name in ("captions_val2017", "person_keypoints_train", "stuff_train", "image_info_test2017"):
        shutil.copy(tiny_coco.file, tiny_coco.file.with_name(f"{name}.json"))
    assert list_splits(tiny_coco.root) == ("train",)


def test_single_file_with_and_without_images(tiny_coco: Tiny, tmp_path: Path) -> None:
    guessed = find_split(str(tiny_coco.file))
    assert guessed.images == tiny_coco.root / "train"
    assert find_split(guessed.source) == guessed
    named = find_split(f"{tiny_coco.file}:{tmp_path}")
    assert named.images == tmp_path
    assert find_split(named.source) == named
    with pytest.raises(ValueError, match=r"FILE\.json:IMAGES_FOLDER"):
        find_split(f"{tiny_coco.file}:{tmp_path / 'nowhere'}")


def test_colons_in_the_path(tiny_coco: Tiny) -> None:
    moved = tiny_coco.root.rename(tiny_coco.root.with_name("12:30"))
    assert find_split(str(moved)).source == f"{moved}:train"
    assert find_split(f"{moved}:train").source == f"{moved}:train"


def test_several_splits_and_none_named(tiny_coco: Tiny) -> None:
    shutil.copy(tiny_coco.file, tiny_coco.file.with_name("instances_val.json"))
    assert list_splits(tiny_coco.root) == ("train", "val")
    with pytest.raises(ValueError, match=rf"several splits; name one: {tiny_coco.root}:train, {tiny_coco.root}:val"):
        find_split(str(tiny_coco.root))
    with pytest.raises(ValueError, match=r"no split 'test'; it has train, val"):
        find_split(f"{tiny_coco.root}:test")


def test_relative_paths_under_the_datasets_folder(tiny_coco: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    monkeypatch.chdir("/")
    with pytest.raises(ValueError, match=r"no data set 'tiny'.*DETECTRON2_DATASETS \(not set\)"):
        find_split("tiny")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tiny_coco.root.parent))
    assert find_split("tiny").source == find_split("tiny:train").source == tiny_coco.source


@pytest.mark.parametrize("source", ["", ":", "nowhere", "nowhere:train", "nowhere.json"])
def test_nothing_there(source: str) -> None:
    with pytest.raises(ValueError, match=r"no data set"):
        find_split(source)


def test_a_folder_without_annotations(tmp_path: Path) -> None:
    assert list_splits(tmp_path) == ()
    with pytest.raises(ValueError, match="holds no data set in a known format"):
        find_split(str(tmp_path))
