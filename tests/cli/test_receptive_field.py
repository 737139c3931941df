"""`explorer receptive-field` runs on every config, and its figures are those of the library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.aerial import make_aerial
from explorer.scoring.runs import read_truth
from explorer.zoo.registry import detectors

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_a_demo_model_beside_its_objects(tmp_path: Path) -> None:
    make_aerial(tmp_path / "aerial", images=3, seed=2, size=(160, 200))
    words = ["receptive-field", "demo/V-19-slim-dw", "--data", f"{tmp_path / 'aerial'}:val", "--inputs", "1"]
    words += ["--size", "128", "--out", str(tmp_path / "figures")]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    assert "stage4 203 px" in done.stderr  # before effective fields are measured
    for word in (
        "theoretical",
        "measured: stage2 1",
        "stage4",
        "203 px",
        "p2",
        "459 px",
        "levels.html",
        "whole map",
    ):
        assert word in done.stdout
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == ["effective.html", "levels.html"]
    results = json.loads(run(app, [*words, "--json", "-"]).stdout)["results"]
    levels = {level["name"]: level for level in results}
    assert levels["p3"]["anchors_px"] == [32.0]
    assert sum(level["objects"] or 0 for level in results) > 3
    assert 0 < levels["stage2"]["effective_px"] < levels["stage2"]["theoretical_px"] == 35


def test_centermask_has_its_objects_by_the_locations_that_learn_them(tmp_path: Path) -> None:
    make_aerial(tmp_path / "aerial", images=6, seed=2)
    data = f"{tmp_path / 'aerial'}:val"
    words = ["receptive-field", "demo/V-19-slim-dw-centermask", "--data", data, "--inputs", "0"]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    document = json.loads(run(app, [*words, "--json", "-"]).stdout)
    counts = {level["name"]: level["objects"] for level in document["results"]}
    assert [counts[name] for name in ("stage4", "stage5")] == [None, None]
    learnt = [counts[name] for name in ("p2", "p3", "p4", "p5", "p6")]
    assert sum(learnt) + document["objects_without_level"] == int((~read_truth(data).crowds).sum())
    assert min(learnt[:3]) > 0
    assert ("Training assigns no anchor" in done.stdout) == bool(document["objects_without_level"])


@pytest.mark.parametrize("model", ["faster_rcnn_Mv2_FPNLite_3x", "retinanet_V_39_FPN_3x", "fcos_V_39_FPN_3x"])
def test_random_weights_are_said(model: str) -> None:
    done = run(app, ["receptive-field", model, "--random", "--inputs", "0", "--json", "-"])
    assert done.exit_code == 0, done.output
    assert "random weights" in done.stderr
    document = json.loads(done.stdout)
    assert document["random_weights"]
    assert all(level["partial"] is None for level in document["results"])


@pytest.mark.slow
@pytest.mark.parametrize("model", [entry.name for entry in detectors()])
def test_every_model_of_the_zoo(model: str) -> None:
    done = run(app, ["receptive-field", model, "--random", "--inputs", "0", "--json", "-"])
    assert done.exit_code == 0, done.output
    levels = json.loads(done.stdout)["results"]
    assert {"p2", "p3", "p4", "p5", "p6"} & {level["name"] for level in levels}
    assert all(level["partial"] is None and level["theoretical_px"] > level["stride_px"] for level in levels)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nonsense"], "not a model of the zoo"),
        (["demo/V-19-slim-dw", "--data", "nowhere:val"], "nowhere"),
        (["demo/V-19-slim-dw", "--weights", "missing.pth"], "missing.pth"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_why(words: list[str], reason: str) -> None:
    done = run(app, ["receptive-field", *words])
    assert done.exit_code == 2
    assert reason in done.stderr
