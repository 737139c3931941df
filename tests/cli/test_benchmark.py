"""`explorer benchmark` gives a row per model and mode, says what is not measured, and refuses wrong calls."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.fast import model
from explorer.engine.fast.hardware import Hardware
from explorer.engine.loading import load_detector

run = CliRunner().invoke


def test_rows_hold_what_was_measured(small_config: Path) -> None:
    words = ["benchmark", str(small_config), "--size", "64x96", "--modes", "eager,torch-fp32,compile-fp32"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "probe", lambda device: Hardware("cpu", bfloat16=False))
        done = run(app, [*words, "--rounds", "2", "--random", "--no-memory", "--json", "-"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    eager, quick, absent = found["results"]
    assert (eager["mode"], eager["engine"], eager["ratio_to_baseline"]) == ("eager", "exact", 1.0)
    assert quick["ratio_low"] <= quick["ratio_to_baseline"] <= quick["ratio_high"]
    assert quick["max_rel_error"] < 1e-4
    assert quick["ceiling_fraction"] > 0
    assert {"decode", "preprocess", "trunk", "box head", "mask head"} <= quick["stages_s"].keys()
    assert {"backbone", "FPN", "RPN head"} <= eager["stages_s"].keys()
    assert absent["median_s"] is None
    assert "no compiler" in absent["note"]
    assert (found["size"], found["baseline"], found["rounds"], found["threads"] > 0) == ([64, 96], "eager", 2, True)
    assert found["sizes"]["small (random weights)"]["gmac"] > 0
    assert found["ceiling_tflops"]["float32"]["torch.matmul"] > 0
    assert {"device", "cpu_flags", "commit"} <= found["hardware"].keys()


def test_the_table_and_the_plot(tmp_path: Path) -> None:
    words = ["benchmark", "faster_rcnn_V_19_slim_dw_FPNLite_3x", "--size", "64x64", "--modes", "eager,torch-fp32"]
    words += ["--rounds", "1", "--random", "--no-memory"]
    done = run(app, [*words, "--plot", str(tmp_path / "plot.html")])
    assert done.exit_code == 0, done.output
    for word in ("whole detector", "× eager", "torch-fp32", "of peak", "box pooling", "RPN head"):
        assert word in done.stdout
    assert "as released" in (tmp_path / "plot.html").read_text()
    assert run(app, [*words, "--stage", "backbone", "--plot", str(tmp_path / "p.html")]).exit_code == 2


def test_the_stages_of_centermask(small_config: Path) -> None:
    words = ["benchmark", "demo/V-19-slim-dw-centermask", "--size", "64x96", "--modes", "eager,torch-fp32"]
    done = run(app, [*words, "--rounds", "1", "--no-memory", "--json", "-"])
    assert done.exit_code == 0, done.output
    eager, quick = json.loads(done.stdout)["results"]
    assert quick["max_rel_error"] < 1e-4
    own = {"dense head", "proposals", "mask pooling", "mask head", "mask scoring"}
    assert own | {"trunk"} <= quick["stages_s"].keys()
    assert own | {"backbone", "FPN"} <= eager["stages_s"].keys()


def test_ap_is_measured_of_what_was_timed(shared: Path, tmp_path: Path) -> None:
    name, data = "demo/V-19-slim-dw-bccd", f"{shared / 'data/bccd'}:test"
    words = ["benchmark", name, "--size", "64x96", "--modes", "eager,onnx,openvino-file", "--rounds", "1"]
    words += ["--no-memory", "--data", data, "--limit", "3", "--json", str(tmp_path / "found.json")]
    done = run(app, [*words, "--plot", str(tmp_path / "plot.html")])
    assert done.exit_code == 0, done.output
    for word in ("box AP", "AP small", "too few images", "file MB"):
        assert word in done.stdout
    assert "3 images" in (tmp_path / "plot.html").read_text()
    rows = json.loads((tmp_path / "found.json").read_text())["results"]
    metrics = evaluate(load_detector(name, device="cpu", exact=True), data, limit=3).metrics.values["bbox"]
    for row in rows:
        assert row["accuracy"]["images"] == 3
        assert row["accuracy"]["ap"] == pytest.approx(metrics["AP"], abs=0.1)
        assert (row["accuracy"]["ap_small"] or math.nan) == pytest.approx(metrics["APs"], abs=0.1, nan_ok=True)
        assert row["median_s"] <= row["p95_s"]
    assert [row["file_mb"] is None for row in rows] == [True, False, False]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--limit", "3"], "give --data too"),
        (["--stage", "backbone", "--data", "aerial"], "AP is of whole detectors"),
        (["--size", "800x"], "800x1088"),
        (["--modes", "eager,warp"], "no mode 'warp'"),
        (["--modes", "torch-fp32"], "baseline 'eager' is not among the modes"),
        (["--stage", "neck"], "backbone or detector"),
    ],
)
def test_wrong_calls_are_told(small_config: Path, words: list[str], told: str) -> None:
    options = words if "--size" in words else ["--size", "64x64", *words]
    done = run(app, ["benchmark", str(small_config), "--random", "--no-memory", *options])
    assert done.exit_code == 2
    assert told in done.output


def test_a_file_for_other_engines_is_a_model(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    out = tmp_path / "out"
    done = run(app, ["export", "demo/V-19-slim-dw", "--out", str(out), "--format", "openvino"])
    assert done.exit_code == 0, done.output
    assert "equal to the model within" in done.stdout
    from PIL import Image

    Image.new("RGB", (80, 48), "gray").save(tmp_path / "a.png")
    done = run(
        app, ["predict", str(out), str(tmp_path / "a.png"), "--out", str(tmp_path / "found"), "--threshold", "0"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "found/predictions.json").read_text())["info"]["inference"]["engine"] == "openvino"
    assert run(app, ["export", "demo/V-19-slim-dw", "--out", str(out), "--format", "tflite"]).exit_code == 2
    done = run(app, ["export", "demo/V-19-slim-dw", "--out", str(out), "--calibrate", str(tmp_path)])
    assert done.exit_code == 2
    assert "--int8" in done.stderr
