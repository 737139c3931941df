"""Where nothing is annotated commands say so and measure nothing; where nothing was found the figures say of what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.aerial import make_aerial
from explorer.reading import read_json

run = CliRunner().invoke
MODEL = "demo/V-19-slim-dw"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes; beside their annotations `none.json` without objects and `crowds.json` with crowd regions alone."""
    folder = tmp_path_factory.mktemp("data")
    make_aerial(folder, images=3, seed=0, size=(96, 128), workers=1)
    truth = read_json(folder / "annotations/instances_val.json")
    found = [{key: one[key] for key in ("image_id", "category_id", "bbox")} for one in truth["annotations"]]
    for name, content in {
        "none": truth | {"annotations": []},
        "crowds": truth | {"annotations": [one | {"iscrowd": 1} for one in truth["annotations"]]},
        "found": [one | {"score": 0.9} for one in found],
        "nothing": [],
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("annotations", ["none", "crowds"])
@pytest.mark.parametrize(
    "words",
    [
        "evaluate --results FOUND --data DATA --out OUT",
        f"evaluate {MODEL} --data DATA --out OUT",
        "compare FOUND FOUND --data DATA --out OUT",
        "autopsy FOUND --data DATA --out OUT",
        f"improve {MODEL} DATA",
        f"benchmark {MODEL} --modes eager --rounds 1 --size 64 --no-memory --data DATA",
        f"receptive-field {MODEL} --inputs 0 --data DATA",
    ],
    ids=lambda words: words.partition(" ")[0],
)
def test_data_without_objects_is_refused(words: str, annotations: str, data: Path, tmp_path: Path) -> None:
    places = {"FOUND": data / "found.json", "DATA": f"{data / annotations}.json:{data / 'val'}", "OUT": tmp_path}
    done = run(app, [str(places.get(word, word)) for word in words.split()])
    assert done.exit_code == 2, done.output
    last = done.stderr.strip().splitlines()[-1]
    assert "none of the 3 images has an annotated object of the 6 classes" in last
    assert last.endswith("Crowd regions do not count." if annotations == "crowds" else "nothing to measure on.")
    assert not any(tmp_path.iterdir())


def test_results_without_a_detection_say_so_everywhere(data: Path, tmp_path: Path) -> None:
    nothing, source, out = data / "nothing.json", f"{data}:val", tmp_path / "out"
    says = "nothing detects nothing in any of the 3 images."
    done = run(app, ["evaluate", "--results", str(nothing), "--data", source, "--out", str(out), "--json", "-"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["notes"][0] == says
    assert said["values"]["bbox"]["AP"] == 0.0
    assert says in (out / "report.html").read_text()
    words = ("--data", source, "--out", str(tmp_path))
    for command in (("autopsy", str(out)), ("compare", str(out), str(data / "found.json"), "--resamples", "5")):
        done = run(app, [*command, *words])
        assert done.exit_code == 0, done.output
        assert says in " ".join(done.stdout.split())
        assert says in (tmp_path / "report.html").read_text()


def test_classes_without_objects_are_named(data: Path, tmp_path: Path) -> None:
    source = ("--data", f"{data}:val")
    done = run(app, ["evaluate", "--results", str(data / "found.json"), *source, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    says = "No objects are annotated of 4 of 6 classes, which count in no mean: car, truck, plane, storage tank."
    assert says in " ".join(done.stdout.split())
    assert says in (tmp_path / "report.html").read_text()


def test_photos_in_which_nothing_is_found(small_config: Path, data: Path, tmp_path: Path) -> None:
    words = ["predict", str(small_config), str(data / "val"), "--out", str(tmp_path), "--threshold", "1"]
    done = run(app, [*words, "--no-pictures", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    says = "small (random weights) detects no object with a score of 1 or more in any of 3 files."
    assert says in done.stderr
    assert read_json(tmp_path / "predictions.json")["info"]["nothing"] == says
