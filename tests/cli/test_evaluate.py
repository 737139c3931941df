"""`explorer evaluate` as people and machines call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from tests.fixtures.cells import Cells

run = CliRunner().invoke


@pytest.fixture
def call(small_config: Path, shared: Path) -> list[str]:
    data = f"{shared / 'data/coco-tiny'}:val2017"
    return ["evaluate", str(small_config), "--data", data, "--limit", "2", "--device", "cpu"]


def test_figures_are_shown_and_written(call: list[str], tmp_path: Path) -> None:
    done = run(app, [*call, "--out", str(tmp_path / "run"), "INPUT.MAX_SIZE_TEST", "100"])
    assert done.exit_code == 0, done.output
    assert "small (random weights) on" in done.stdout
    assert "2 images" in done.stdout
    for word in ("AP50", "APs", "boxes", "masks"):
        assert word in done.stdout
    assert "small has random weights: its config names none" in done.stderr
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        "coco_instances_results.json",
        "image_ids.json",
        "metrics.json",
        "report.html",
        "report.json",
        "run.json",
    ]
    assert json.loads((tmp_path / "run/run.json").read_text())["overrides"] == ["INPUT.MAX_SIZE_TEST", "100"]


def test_json_goes_to_standard_output_alone(call: list[str]) -> None:
    done = run(app, [*call, "--json", "-"])
    figures = json.loads(done.stdout)
    assert figures["images"] == 2
    assert set(figures["values"]) == {"bbox", "segm"}
    assert "AP" in figures["values"]["bbox"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--data", "nowhere:val"], "nowhere"),
        (["MODEL.NOTHING", "1"], "MODEL.NOTHING"),
        (["INPUT.MAX_SIZE_TEST"], "pairs"),
        (["--device", "abacus"], "abacus"),
        (["--weights", "missing.pth"], "missing.pth"),
        (["MODEL.ROI_HEADS.NUM_CLASSES", "3", "EXPLORER.CLASS_NAMES", "()"], "share no class by name"),
        (["--map", "car"], "not a pair of classes"),
        (["--classes", "tram"], "'tram'"),
        (["--max-detections", "0"], "--max-detections"),
        (["--sizes", "aitod"], "no protocol 'aitod': give coco, ai-tod"),
        (["--iou-thresholds", "half"], "--iou-thresholds is 'half'"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_why(call: list[str], change: list[str], words: str) -> None:
    done = run(app, [*call, *change])
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_model_is_a_wrong_call(call: list[str]) -> None:
    done = run(app, ["evaluate", "faster_rcnn_V_38_FPN_3x", *call[2:]])
    assert done.exit_code == 2
    assert "faster_rcnn_V_39_FPN_3x" in done.stderr


def test_work_that_fails_exits_with_1(call: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(app, [*call, "--out", str(tmp_path / "file" / "run")])
    assert done.exit_code == 1
    assert "file" in done.stderr


@pytest.mark.parametrize("start", [["evaluate", "small"], ["train", "--config-file", "small"]])
@pytest.mark.parametrize(("value", "words"), [("-1", "nothing.pth"), ("--sed", "No such option: --sed")])
def test_a_negative_value_is_a_value_and_a_mistyped_option_is_not(
    start: list[str], value: str, words: str, small_config: Path
) -> None:
    start = [str(small_config) if word == "small" else word for word in start]
    data = (
        ["--data", "nothing.pth:val"] if start[0] == "evaluate" else ["--num-gpus", "0", "MODEL.WEIGHTS", "nothing.pth"]
    )
    done = run(app, [*start, *data, "SEED", value])
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_table_wider_than_the_terminal_keeps_its_digits(cells: Cells, tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text(json.dumps(cells.results))
    words = ["evaluate", "--results", str(tmp_path / "found.json"), "--data", cells.data, "--sizes", "8,16,32,96"]
    done = run(app, words, env={"COLUMNS": "60"})
    assert done.exit_code == 0, done.output
    assert "…" not in done.stdout
    assert f"{cells.figures['AR100']:.2f}" in done.stdout
