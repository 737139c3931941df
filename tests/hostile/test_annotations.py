"""Annotations and results whose numbers and names are too much for others: figures or one line, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from explorer.cli import app
from explorer.data.aerial import make_aerial

MARKUP = "[/bold] </script> %{x} [red]"
BEYOND = 2**63


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Aerial scenes whose ids are beyond 64 bits, and a class whose name closes markup."""
    make_aerial(tmp_path / "data", images=3, seed=0, size=(96, 128), workers=1)
    file = tmp_path / "data/annotations/instances_val.json"
    content = json.loads(file.read_text())
    for image in content["images"]:
        image["id"] += BEYOND
    for annotation in content["annotations"]:
        annotation["id"] += BEYOND
        annotation["image_id"] += BEYOND
        annotation["category_id"] += BEYOND
    for category in content["categories"]:
        category["id"] += BEYOND
    content["categories"][1]["name"] = MARKUP
    file.write_text(json.dumps(content))
    return tmp_path / "data"


@pytest.fixture
def results(data: Path, tmp_path: Path) -> Callable[..., Path]:
    """Detections that repeat the annotations, with something else about each."""

    def write(name: str, **changes: Any) -> Path:
        truth = json.loads((data / "annotations/instances_val.json").read_text())
        keys = ("image_id", "category_id", "bbox")
        found = [{key: one[key] for key in keys} | {"score": 0.9} | changes for one in truth["annotations"]]
        path = tmp_path / name
        path.write_text(json.dumps(found).replace('"HUGE"', "1" + 2000 * "0"))
        return path

    return write


def explorer(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def one_line(done: Result) -> str:
    assert done.exit_code == 2, done.output
    assert done.stderr.strip().count("\n") == 0
    return done.stderr


def test_large_ids_and_markup_are_evaluated_and_followed(data: Path, tmp_path: Path) -> None:
    model = ("demo/V-19-slim-dw", "--data", f"{data}:val", "--exact", "--device", "cpu")
    done = explorer("evaluate", *model, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert MARKUP in done.output
    followed = explorer("autopsy", tmp_path / "run", "--out", tmp_path / "autopsy")
    assert followed.exit_code == 0, followed.output
    assert "</script> %{x}" not in (tmp_path / "run/report.html").read_text()


def test_large_ids_and_markup_are_compared(data: Path, results: Callable[..., Path], tmp_path: Path) -> None:
    words = ("--data", f"{data}:val", "--out", tmp_path / "out")
    done = explorer("compare", results("a.json"), results("b.json", score=0.8), *words)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "changes",
    [{"score": "HUGE"}, {"bbox": [0, 0, "HUGE", 5]}, {"image_id": "HUGE"}, {"category_id": -1}, {"score": "0.5"}],
    ids=str,
)
def test_numbers_beyond_all_bounds_are_refused(data: Path, results: Callable[..., Path], changes: Any) -> None:
    said = one_line(explorer("compare", results("a.json"), results("b.json", **changes), "--data", f"{data}:val"))
    assert "b.json" in said


@pytest.mark.parametrize("more", ["", '"more": NaN, '])
def test_a_key_that_is_given_twice_is_named(data: Path, results: Callable[..., Path], more: str) -> None:
    """Also where another number in the file sends it to the thorough reader."""
    twice = results("twice.json")
    twice.write_text(twice.read_text().replace('"score": 0.9', f'{more}"score": 0.1, "score": 0.9'))
    said = one_line(explorer("compare", results("once.json"), twice, "--data", f"{data}:val"))
    assert "twice.json" in said
    assert 'the key "score" twice' in said


@pytest.mark.parametrize("name", ["run.json", "export.json"])
def test_a_record_of_endless_depth_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(100_000 * "[")
    assert name in one_line(explorer("predict", tmp_path, tmp_path, "--out", tmp_path / "out"))
