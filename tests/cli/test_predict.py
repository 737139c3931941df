"""`explorer predict` as people and machines call it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.video import VideoWriter, read_facts
from explorer.engine import predict

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


def test_a_video_gives_results_by_frame_and_a_drawn_video(
    small_config: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "unfamiliar", lambda detector, image: "This model has not seen such photographs.")
    writer = VideoWriter(photos / "clip.mp4", fps=10)
    for seed in range(7):
        writer.add(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.close()
    files = [str(photos / "clip.mp4"), str(photos / "a.jpg")]
    out = ["--out", str(tmp_path / "out"), "--threshold", "0", "--every", "3", "--tile", "40"]
    done = run(app, ["predict", str(small_config), *files, *out])
    assert done.exit_code == 0, done.output
    assert "objects (in 3 frames)" in done.stdout
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    names = [f"{photos / 'clip.mp4'}#{frame}" for frame in (0, 3, 6)]
    assert [image["file_name"] for image in written["images"]] == [*names, str(photos / "a.jpg")]
    assert [image.get("time_s") for image in written["images"]] == [0.0, 0.3, 0.6, None]
    assert ["unfamiliar" in image for image in written["images"]] == [True, False, False, True]  # a video's first frame
    assert written["info"]["inference"]["tiles"] == {"size": 40, "overlap": 0.2}
    assert {found["image_id"] for found in written["annotations"]} == {1, 2, 3, 4}
    drawn = read_facts(tmp_path / "out/pictures/clip.mp4")
    assert (drawn.size, drawn.frames) == ((48, 64), 3)
    assert sorted(path.name for path in (tmp_path / "out/pictures").iterdir()) == ["a.jpg", "clip.mp4"]


def test_a_broken_video_is_reported_with_the_rest_done(small_config: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "clip.mp4").write_bytes(b"#EXTM3U\n/etc/passwd\n")
    files = [str(photos / "clip.mp4"), str(photos / "a.jpg")]
    done = run(app, ["predict", str(small_config), *files, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "this is not an MP4, MOV, MKV, WebM or AVI video" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out/pictures").iterdir()) == ["a.jpg"]


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
