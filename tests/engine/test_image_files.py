"""Which files of a folder are taken, and that no other is passed over in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from explorer.engine.image_files import find_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.PNG",
        "a.jpg",
        "c.tiff",
        "d.jfif",
        "e.gif",
        "f.gif",
        "notes.txt",
        "README",
        "deeper/a.jpg",
        "empty/x",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    return tmp_path / "photos"


def test_folders_stand_for_their_images_and_what_is_not_taken_is_listed(folder: Path) -> None:
    found = find_images([folder, folder / "a.jpg", "missing.jpg"])
    assert [path.name for path in found.taken] == ["a.jpg", "b.PNG", "c.tiff", "d.jfif", "missing.jpg"]
    assert {path.name: reason for path, reason in found.skipped.items()} == {
        "README": "file without a suffix",
        "deeper": "a folder with images; --recursive includes it",
        "e.gif": ".gif file",
        "f.gif": ".gif file",
        "notes.txt": ".txt file",
    }
    assert "2 × .gif file (e.gif, f.gif)" in found.summary
    assert "1 × a folder with images; --recursive includes it (deeper)" in found.summary
    assert find_images([folder / "a.jpg"]).summary == ""


def test_recursion_takes_every_folder_once_and_says_what_it_does_not_follow(folder: Path) -> None:
    (folder / "deeper/loop").symlink_to(folder, target_is_directory=True)
    (folder / "deeper/same.jpg").symlink_to(folder / "a.jpg")
    (folder / "deeper/broken.jpg").symlink_to(folder / "nothing.jpg")
    os.mkfifo(folder / "pipe.jpg")
    found = find_images([folder], recursive=True)
    taken = [path.relative_to(folder).as_posix() for path in found.taken]
    assert taken == ["a.jpg", "b.PNG", "c.tiff", "d.jfif", "deeper/a.jpg"]
    said = {path.name: reason for path, reason in found.skipped.items()}
    assert said["loop"] == "a link to a folder"
    assert said["broken.jpg"] == "a broken link"
    assert said["same.jpg"] == "a second path to the same file"
    assert said["pipe.jpg"] == "neither a file nor a folder"
    assert said["x"] == "file without a suffix"


def test_earlier_results_in_the_folder_are_not_detected_on_again(folder: Path) -> None:
    (folder / "found/pictures").mkdir(parents=True)
    (folder / "found/pictures/a.jpg").touch()
    results = [folder / "found/pictures"]
    assert folder / "found/pictures/a.jpg" not in find_images([folder], recursive=True, results=results).taken
    assert folder / "found" not in find_images([folder], results=results).skipped


def test_no_images_are_an_error_that_says_what_is_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty holds no images.*Skipped: 1 × file without a suffix \(x\)"):
        find_images([folder / "empty"])
    (tmp_path / "above").mkdir()
    folder.rename(tmp_path / "above/photos")
    with pytest.raises(ValueError, match="--recursive includes it"):
        find_images([tmp_path / "above"])
    with pytest.raises(ValueError, match="No images"):
        find_images([])
