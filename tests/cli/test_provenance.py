"""Every file of results says which code, model and data it is of, and on which machine and with which versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.aerial import make_aerial
from explorer.scoring.alike import annotations_sha256
from explorer.zoo.downloads import sha256_of

run = CliRunner().invoke
MODEL, SMALL = "demo/V-19-slim-dw", ("INPUT.MIN_SIZE_TEST", "64")
MADE = {"date", "versions", "code", "machine", "gpu"}
FILES = {
    "evaluate": (MODEL, "--data", "DATA:val", "--exact", *SMALL),
    "predict": (MODEL, "DATA/val", "--out", "OUT", "--exact", "--no-pictures"),
    "improve": (MODEL, "DATA:val", "--limit", "2", *SMALL),
    "features": (MODEL, "DATA/val/000000.jpg", "--layers", "p5", "--out", "OUT"),
    "receptive-field": (MODEL, "--inputs", "0", "--data", "DATA:val"),
    "benchmark": ("--modes=eager", "--rounds=1", "--no-memory", "--size=64", MODEL),
}
"""Commands by name, each with what it needs."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_aerial(folder, images=3, seed=0, size=(96, 128), workers=1)
    return folder


@pytest.fixture(scope="module")
def evaluated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = ("evaluate", MODEL, "--data", f"{data}:val", "--out", str(folder), "--exact", "--device", "cpu", *SMALL)
    done = run(app, words)
    assert done.exit_code == 0, done.output
    return folder


def check_origin(said: dict[str, Any]) -> None:
    """Which weights, by hash, and which config, by hash."""
    assert said["model"] == MODEL
    assert said["weights"]["sha256"] == sha256_of(Path(said["weights"]["path"]))
    assert len(said["config_sha256"]) == 64


@pytest.mark.parametrize("name", FILES)
def test_of_a_model(name: str, data: Path, tmp_path: Path) -> None:
    words = [word.replace("DATA", str(data)).replace("OUT", str(tmp_path / "out")) for word in FILES[name]]
    device = () if name in ("features", "receptive-field") else ("--device", "cpu")
    done = run(app, [name, *words, *device, "--json", str(tmp_path / "said.json")])
    assert done.exit_code == 0, done.output
    said = json.loads((tmp_path / "said.json").read_text())
    made = said["info"] if name == "predict" else said
    assert made.keys() >= MADE
    assert {"torch", "python", "vovnet-explorer"} <= made["versions"].keys()
    check_origin(said["models"][MODEL] if name == "benchmark" else made)
    if f"{data}:val" in words:
        assert (said["data"], said["annotations"]["sha256"]) == (f"{data}:val", annotations_sha256(f"{data}:val"))


def test_of_a_run_and_what_is_made_of_it(evaluated: Path, data: Path, tmp_path: Path) -> None:
    facts = json.loads((evaluated / "run.json").read_text())
    assert facts.keys() >= MADE | {"seed", "inference", "protocol", "annotations"}
    check_origin(facts)
    report = json.loads((evaluated / "report.json").read_text())
    assert report["facts"] == facts
    assert report.keys() >= MADE
    assert run(app, ["autopsy", str(evaluated), "--out", str(tmp_path), "--device", "cpu"]).exit_code == 0
    followed = json.loads((tmp_path / "autopsy.json").read_text())
    assert followed.keys() >= MADE
    check_origin(followed)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["facts"] == facts
    check_origin(report["followed"])


def test_of_a_comparison(evaluated: Path, data: Path, tmp_path: Path) -> None:
    results = evaluated / "coco_instances_results.json"
    other = tmp_path / "other.json"
    other.write_bytes(results.read_bytes())
    words = ["compare", str(evaluated), str(other), "--data", f"{data}:val", "--out", str(tmp_path / "out")]
    assert run(app, [*words, "--resamples", "5"]).exit_code == 0
    said = json.loads((tmp_path / "out/report.json").read_text())
    assert said.keys() >= MADE
    ours, theirs = (own["facts"] for own in said["runs"])
    assert ours == json.loads((evaluated / "run.json").read_text())
    assert theirs["results"] == {"path": str(other), "sha256": sha256_of(other)}
    assert theirs["annotations"] == ours["annotations"]
    assert {own["seed"] for own in said["runs"]} == {0}  # of the resamples
    seeds = ["compare", f"{evaluated},{other}", f"{other},{evaluated}", *words[3:], "--resamples", "5"]
    assert run(app, seeds).exit_code == 0
    said = json.loads((tmp_path / "out/report.json").read_text())
    assert said.keys() >= MADE
    assert [len(own["facts"]) for own in said["recipes"]] == [2, 2]
    assert said["recipes"][0]["facts"][0] == ours


def test_of_a_data_set_and_of_doubts_about_it(evaluated: Path, data: Path, tmp_path: Path) -> None:
    said = {}
    for name, words in {"check": [str(data)], "sizes": [f"{data}:val"], "suspects": [str(evaluated)]}.items():
        path = tmp_path / f"{name}.json"
        assert run(app, ["data", name, *words, "--json", str(path)]).exit_code == 0
        said[name] = json.loads(path.read_text())
        assert said[name].keys() >= MADE
    assert said["sizes"]["annotations"]["sha256"] == annotations_sha256(f"{data}:val")
    assert said["suspects"]["facts"] == json.loads((evaluated / "run.json").read_text())
