"""`explorer data` as people and machines call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from explorer.cli.data import app

run = CliRunner().invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "val" / "a.jpg")
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20], "area": 600, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 0, 20], "area": 0, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "[red]thing[/]"}],
    }
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(data))
    return tmp_path


def test_check_tells_what_is_wrong(folder: Path) -> None:
    done = run(app, ["check", str(folder)])
    assert done.exit_code == 0
    assert "1 images, 2 annotations, ready to train" in done.stdout
    assert "zero-area" in done.stdout


def test_check_fails_where_training_would_stop(folder: Path, tmp_path: Path) -> None:
    (folder / "val" / "a.jpg").unlink()
    out = tmp_path / "report.json"
    done = run(app, ["check", str(folder), "--json", str(out)])
    assert done.exit_code == 1
    assert "training would stop" in done.stdout
    report = json.loads(out.read_text())
    assert report["ok"] is False
    assert report["splits"][0]["counts"] == {"missing-image": 1, "zero-area": 1}


def test_check_prints_nothing_but_json_to_stdout(folder: Path) -> None:
    done = run(app, ["check", str(folder), "--full", "--json", "-"])
    assert json.loads(done.stdout)["splits"][0]["problems"][0]["kind"] == "zero-area"


def test_a_wrong_call_exits_with_2(folder: Path) -> None:
    for arguments in (["check", "nowhere"], ["check", f"{folder}:train"], ["check"], ["make", "aerial"]):
        assert run(app, arguments).exit_code == 2, arguments
    assert "it has val" in run(app, ["check", f"{folder}:train"]).stderr


def test_make_aerial_then_check_it(tmp_path: Path) -> None:
    out = tmp_path / "aerial"
    arguments = ["make", "aerial", str(out), "--images", "2", "--seed", "1", "--split", "train", "--size", "240", "320"]
    done = run(app, [*arguments, "--json", "-"])
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["images"], result["source"]) == (2, f"{out}:train")
    assert len(list((out / "train").iterdir())) == 2
    with Image.open(next((out / "train").iterdir())) as image:
        assert image.size == (320, 240)
    assert run(app, ["check", result["source"], "--full"]).exit_code == 0


def test_make_aerial_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    done = run(app, ["make", "aerial", str(tmp_path / "a"), "--images", "1", "--seed", "-1"])
    assert done.exit_code == 2
    assert "seed" in done.stderr
    (tmp_path / "file").write_text("")
    done = run(app, ["make", "aerial", str(tmp_path / "file" / "a"), "--images", "1", "--size", "64", "64"])
    assert done.exit_code == 1
