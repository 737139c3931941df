"""Archives of strangers: a data set comes out whole, and everything else is refused before it does harm."""

from __future__ import annotations

import errno
import json
import stat
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from explorer.data.check import check_coco
from explorer.data.zipped import unpack


def archive(path: Path, members: dict[str, bytes], folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(folder + name, content)
    return path


@pytest.fixture
def coco() -> dict[str, bytes]:
    """A data set of one image with one object."""
    encoded = cv2.imencode(".png", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    document = {
        "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}],
    }
    return {"annotations/instances_val.json": json.dumps(document).encode(), "val/a.png": encoded}


@pytest.mark.parametrize("folder", ["", "my data/"])
def test_a_data_set_comes_out_whole(tmp_path: Path, coco: dict[str, bytes], folder: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with_junk = coco | {"__MACOSX/._a.png": b"x", ".DS_Store": b"x"}
    root = unpack(archive(tmp_path / "a.zip", with_junk, folder), target)
    assert root == (target / "my data" if folder else target)
    (split,) = check_coco(root).splits
    assert (split.ok, split.images, split.annotations) == (True, 1, 1)
    assert len([path for path in target.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../a.json", "leads out"),
        ("val/../../a.json", "leads out"),
        ("/etc/a.json", "leads out"),
        ("C:/a.json", "leads out"),
        ("val\\..\\a.json", "leads out"),
        ("val/run.py", "only annotations and images"),
        ("val/" + "a" * 300 + ".json", "too long"),
        ("val/\x1b.json", "cannot be read"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, coco: dict[str, bytes], name: str, said: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(ValueError, match=said):
        unpack(archive(tmp_path / "a.zip", coco | {name: b"{}"}), target)
    assert not list(target.rglob("*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


def test_links_and_twins_are_refused(tmp_path: Path, coco: dict[str, bytes]) -> None:
    target = tmp_path / "out"
    target.mkdir()
    link = zipfile.ZipInfo("val/b.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive(tmp_path / "a.zip", coco), "a") as opened:
        opened.writestr(link, "../../secret")
    with pytest.raises(ValueError, match="is a link"):
        unpack(tmp_path / "a.zip", target)
    with pytest.raises(ValueError, match="two files"):
        unpack(archive(tmp_path / "b.zip", coco | {"val/A.png": b""}), target)


def test_bombs_stop_at_the_bound(tmp_path: Path, coco: dict[str, bytes]) -> None:
    for number, (bounds, said) in enumerate(
        [({"max_bytes": 2_000_000}, "larger than"), ({"max_files": 2}, "at most 2")]
    ):
        target = tmp_path / f"out{number}"
        target.mkdir()
        bomb = archive(tmp_path / "a.zip", coco | {"val/b.png": bytes(50_000_000)})
        assert bomb.stat().st_size < 100_000
        with pytest.raises(ValueError, match=said):
            unpack(bomb, target, **bounds)
        assert sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) <= 2_000_000


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04" + bytes(50)])
def test_what_is_no_archive_is_said_without_its_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable zip archive") as error:
        unpack(tmp_path / "a.zip", tmp_path)
    assert str(tmp_path) not in str(error.value)


def test_a_damaged_member_is_refused(tmp_path: Path, coco: dict[str, bytes]) -> None:
    path = archive(tmp_path / "a.zip", coco)
    content = bytearray(path.read_bytes())
    content[60:70] = bytes(10)
    path.write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="not a readable zip archive"):
        unpack(path, tmp_path / "out")


def test_a_full_disk_is_not_called_a_damaged_archive(
    tmp_path: Path, coco: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(tmp_path / "a.zip", coco)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr("explorer.data.zipped._write", full)
    with pytest.raises(ValueError, match=r"cannot be unpacked here: No space left on device\.") as raised:
        unpack(made, tmp_path / "out")
    assert str(tmp_path) not in str(raised.value)
