"""`explorer data` as people and machines call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from explorer.cli.data import app

run = CliRunner().invoke
BLOCKED = ("torch", "torchvision", "detectron2", "timm", "gradio", "fiftyone")


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


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Eight images of two places, a cup in each and a box in every second."""
    root = tmp_path / "scenes"
    (root / "annotations").mkdir(parents=True)
    images, annotations = [], []
    for number in range(8):
        name = f"{'north' if number < 4 else 'south'}_{number}.png"
        (root / "val").mkdir(exist_ok=True)
        Image.new("RGB", (60, 40)).save(root / "val" / name)
        images.append({"id": number, "file_name": name, "width": 60, "height": 40})
        for category, box in ((1, [1, 2, 10, 10]), (2, [5, 5, 40, 33]))[: 1 + number % 2]:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                }
            )
    categories = [{"id": 1, "name": "[red]cup[/]"}, {"id": 2, "name": "box"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations/instances_val.json").write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_convert_says_what_is_lost_and_how_to_name_it(scenes: Path, tmp_path: Path, to: str) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    done = run(app, ["convert", str(scenes), str(out), "--to", to, "--json", str(report)])
    assert done.exit_code == 0, done.output
    assert f"8 images with 12 annotations. Use them as {out}:val" in done.stdout.replace("\n", "")
    assert ("cannot hold" in done.stdout or "has no" in done.stdout) == (to != "coco")
    assert json.loads(report.read_text())["splits"] == {"val": {"images": 8, "annotations": 12}}
    assert run(app, ["check", f"{out}:val"]).exit_code == 0
    assert run(app, ["convert", str(scenes), str(out), "--to", to]).exit_code == 2


def test_split_keeps_groups_together(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(app, ["split", str(scenes), str(out), "--parts", "train=0.5,val=0.5", "--group", r"^(\w+)_", "--link"])
    assert done.exit_code == 0, done.output
    assert "[red]cup[/]" in done.stdout
    for part in ("train", "val"):
        content = json.loads((out / f"annotations/instances_{part}.json").read_text())
        assert len({image["file_name"].partition("_")[0] for image in content["images"]}) == 1
        assert len(content["annotations"]) == 6
    for parts in ("train", "a=1,a=2", "a=x,b=1", "a/b=1,c=1", "a=-1,b=1"):
        assert run(app, ["split", str(scenes), str(tmp_path / "no"), "--parts", parts]).exit_code == 2, parts


def test_sizes_under_any_protocol(scenes: Path, tmp_path: Path) -> None:
    figure = tmp_path / "sizes.html"
    done = run(app, ["sizes", str(scenes), "--out", str(figure)])
    assert done.exit_code == 0, done.output
    assert "12 objects on 8 images, in sizes of coco" in done.stdout
    assert "[red]cup[/]" in done.stdout
    assert figure.is_file()
    done = run(app, ["sizes", str(scenes), "--sizes", "8,16,32", "--json", "-"])
    counts = json.loads(done.stdout)["counts"]
    assert counts["box"] == {"under 8²": 0, "8²–16²": 0, "16²–32²": 0, "32² and over": 4}
    assert counts["[red]cup[/]"]["8²–16²"] == 8
    assert run(app, ["sizes", str(scenes), "--sizes", "visdrone"]).exit_code == 2


def test_what_measures_and_converts_needs_no_network_library(tmp_path: Path, shared: Path) -> None:
    """In a process where torch, detectron2 and the tools above them cannot be imported."""
    words = [
        ["sizes", f"{shared}/data/coco-tiny:val2017", "--sizes", "ai-tod", "--out", str(tmp_path / "sizes.html")],
        ["convert", f"{shared}/data/bccd:test", str(tmp_path / "yolo"), "--to", "yolo", "--link"],
        ["check", str(tmp_path / "yolo")],
        ["split", f"{shared}/data/bccd:test", str(tmp_path / "parts"), "--link"],
    ]
    script = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
from typer.testing import CliRunner
from explorer.cli.data import app
for words in {words!r}:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sizes.html").stat().st_size > 1000
