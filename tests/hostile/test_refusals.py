"""Every hostile file gets one clear error, runs nothing, writes nothing, and asks for little memory and time."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from tests.conftest import ROOT
from tests.hostile.attacks import Kind, corpus
from tests.hostile.conftest import Handed, lay_out

ATTACKS = {attack.name: attack for attack in corpus()}
LONGEST_LINE = 700


def test_the_corpus_is_large_and_every_attack_counts_once() -> None:
    assert Counter(attack.name for attack in corpus()).most_common(1)[0][1] == 1
    assert {attack.kind for attack in corpus()} == set(get_args(Kind))
    assert len(ATTACKS) > 1000


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_in_one_line(name: str, handed: Handed) -> None:
    outcome = handed.outcomes[name]
    assert "read" not in outcome
    assert "raised" in outcome, "the process died"
    assert "ValueError" in outcome["raised"], outcome
    assert re.search(ATTACKS[name].says, outcome["says"]), outcome["says"]
    assert outcome["says"].replace(str(handed.folder), "").isprintable()
    assert len(outcome["says"]) < LONGEST_LINE
    assert "MemoryError" not in outcome["says"]
    assert not outcome["did"]


def test_nothing_was_written(handed: Handed) -> None:
    assert not list(handed.cage.iterdir())
    laid_out = {f"{name.replace('/', '∕')[:100]}" for name in ATTACKS}
    assert {path.name for path in handed.folder.iterdir() if path.is_dir()} == laid_out


@pytest.mark.slow
def test_hostile_files_are_refused_soon(handed: Handed) -> None:
    took = {name: outcome["cpu_s"] for name, outcome in handed.outcomes.items()}
    assert {name: cpu_s for name, cpu_s in took.items() if cpu_s > 5} == {}


_SAMPLES = (
    "os.system in .pth",
    "overlapping tensors of a .safetensors",
    "markup in a name in .pth",
    "aliases that multiply lists, a config",
    "a PNG of 60,000 x 60,000, a photo",
    "a box twice, COCO",
    "entities that multiply, VOC",
    "a pipe, DOTA",
    "an array of objects that run, results.npz",
    "a score twice, results.json",
    "a playlist, a video.mp4",
)


@pytest.mark.parametrize("name", _SAMPLES)
def test_the_command_line_says_it_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = ATTACKS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    path = str(lay_out(attack, tmp_path / "corpus"))
    model, photo = "demo/V-19-slim-dw", str(ROOT / "explorer/ui/photos/blood-cells.jpg")
    predict, home = ["predict", model, "--out", "out", "--exact"], Path(path).parent
    words, code = {
        "checkpoint": ([*predict, photo, "--weights", path], 2),
        "config": (["predict", path, *predict[2:], photo], 2),
        "image": ([*predict, path], 1),  # a photo among others is passed over, as is a video
        "video": ([*predict, path], 1),
        "data set": (["evaluate", model, "--data", path], 2),
        "results": (["compare", path, path, "--data", f"{home / 'truth.json'}:{home}"], 2),
    }[attack.kind]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    assert re.search(attack.says, done.stderr)
    assert "Traceback" not in done.stderr
    if attack.kind != "data set":  # which says several faults, and how to see them all
        assert done.stderr.strip().count("\n") == 0
    assert {file.name for file in tmp_path.rglob("RAN")} == set()
