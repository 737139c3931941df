"""`explorer browse`: builds without the App, tells what it did, and says what is wrong with a call."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.text import legible
from tests.fixtures.hostile import CLASSES, HIDDEN, MODEL, Hostile

ROOT = Path(__file__).resolve().parents[2]
Browse = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def browse(database: dict[str, str]) -> Browse:
    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = os.environ | database | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "explorer", "browse", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    return call


@pytest.mark.mongo
def test_a_data_set_is_built_and_its_annotations_come_back(browse: Browse, scene: Any, tmp_path: Path) -> None:
    call = (scene.data, *scene.runs, "--name", "cli", "--no-app")
    first = browse(*call, "--json", "-", "--export", tmp_path / "corrected.json")
    assert first.returncode == 0, first.stderr
    content = json.loads(first.stdout)
    assert content["images"] == 10
    assert content["written"] == ["images", "better", "worse"]
    assert "better finds, worse misses" in content["views"]
    assert "0 relabelled" in first.stderr
    assert len(json.loads((tmp_path / "corrected.json").read_text())["images"]) == 10


@pytest.fixture
def command(fiftyone: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The same in this process, which has FiftyOne already."""
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    monkeypatch.setenv("FIFTYONE_LOGGING_DESTINATION", "stderr")
    return lambda *words: CliRunner().invoke(app, ["browse", *map(str, words)])


@pytest.mark.mongo
@pytest.mark.filterwarnings("ignore")
def test_what_is_there_is_not_written_again(command: Callable[..., Any], scene: Any) -> None:
    call = (scene.data, *scene.runs, "--name", "again", "--no-app")
    assert "written: images, better, worse" in command(*call).output
    again = command(*call)
    assert again.exit_code == 0
    assert "nothing new to write" in again.output
    assert "better" in again.output


@pytest.mark.mongo
@pytest.mark.filterwarnings("ignore")
def test_wrong_calls_say_what_is_wrong(command: Callable[..., Any], scene: Any) -> None:
    nowhere = command("/nowhere:val", "--no-app")
    assert nowhere.exit_code == 2
    assert "there is no data set" in nowhere.output
    unknown = command(scene.data, "no-such-model", "--no-app")
    assert unknown.exit_code == 2
    assert "no-such-model" in unknown.output
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = command(scene.data, "--port", taken.getsockname()[1])
    assert busy.exit_code == 1
    assert "is in use" in busy.output
    assert "--port" in busy.output


@pytest.mark.mongo
@pytest.mark.filterwarnings("ignore")
def test_names_that_are_markup_are_shown_as_they_are(
    command: Callable[..., Any], fiftyone: Any, hostile: Hostile, tmp_path: Path
) -> None:
    from explorer.browser.actions import runs_in
    from explorer.browser.diff import diff_of

    runs = [tmp_path / f"{letter}{MODEL}" for letter in "ab"]
    for out in runs:
        words = ["evaluate", str(hostile.model), "--data", hostile.data, "--out", str(out), "--exact"]
        assert CliRunner().invoke(app, [*words, "--device", "cpu"]).exit_code == 0
    done = command(hostile.data, *runs, "--name", MODEL, "--no-app")
    assert done.exit_code == 0, done.output
    assert not HIDDEN.findall(done.output)
    assert legible(MODEL) in done.output
    dataset = fiftyone.load_dataset(MODEL)
    assert set(dataset.distinct("ground_truth.detections.label")) <= set(CLASSES)
    figures = diff_of(dataset, *runs_in(dataset))["figures"]
    assert not HIDDEN.findall(json.dumps(figures["found_by_class"]["layout"], ensure_ascii=False))
    assert command(tmp_path / f"gone{MODEL}", "--no-app").exit_code == 2
