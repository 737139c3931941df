"""`explorer predict` as people and machines call it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from explorer.cli import app

run = CliRunner().invoke


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.png"):
        pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_a_folder_of_photos(small_config: Path, photos: Path, tmp_path: Path) -> None:
    done = run(app, ["predict", str(small_config), str(photos), "--out", str(tmp_path / "out"), "--threshold", "0"])
    assert done.exit_code == 0, done.output
    assert "2 of 2 images" in done.stdout
    assert f"{photos / 'a.jpg'}: " in done.stdout
    assert sorted(path.name for path in (tmp_path / "out/pictures").iterdir()) == ["a.jpg", "b.jpg"]
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [image["file_name"] for image in written["images"]] == [str(photos / "a.jpg"), str(photos / "b.png")]


def test_a_broken_photo_is_reported_and_exits_with_1(small_config: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.webp").write_bytes(b"RIFF")
    done = run(app, ["predict", str(small_config), str(photos), "missing.jpg", "--out", str(tmp_path), "--no-pictures"])
    assert done.exit_code == 1
    assert "broken.webp" in done.stderr
    assert "missing.jpg" in done.stderr
    assert "2 of 4 images" in done.stdout
    assert not (tmp_path / "pictures").exists()


def test_json_goes_to_standard_output_alone(small_config: Path, photos: Path, tmp_path: Path) -> None:
    done = run(app, ["predict", str(small_config), str(photos / "a.jpg"), "--out", str(tmp_path), "--json", "-"])
    assert json.loads(done.stdout) == json.loads((tmp_path / "predictions.json").read_text())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--threshold", "7"], "threshold"),
        (["--device", "abacus"], "abacus"),
        (["--weights", "nowhere.pth"], "nowhere"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_why(
    small_config: Path, photos: Path, tmp_path: Path, change: list[str], words: str
) -> None:
    done = run(app, ["predict", str(small_config), str(photos), "--out", str(tmp_path), *change])
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_folder_without_images_is_a_wrong_call(small_config: Path, tmp_path: Path) -> None:
    done = run(app, ["predict", str(small_config), str(tmp_path), "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no images" in done.stderr
