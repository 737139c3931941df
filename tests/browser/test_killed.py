"""Killed by SIGKILL at any command to the database, a build is completed by the next one: nothing doubled, or lost."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.browser.killed import everything

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).resolve().parents[2]
NAME = "killed"
Build = Callable[[int], tuple[int, int]]


@pytest.fixture
def build(fiftyone: ModuleType, database: dict[str, str], scene: Any, tmp_path: Path) -> Iterator[Build]:
    """Builds in a process that is killed before a command, and returns its exit code and number of commands."""
    environment = os.environ | database | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    environment["FIFTYONE_LOGGING_DESTINATION"] = "stderr"
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), NAME, scene.data, *map(str, scene.runs)]
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )

        def build_until(last: int) -> tuple[int, int]:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(f"{last}\n")
            worker.stdin.flush()
            *commands, code = map(int, worker.stdout.readline().split() or pytest.fail((tmp_path / "log").read_text()))
            assert code in (0, -9), (tmp_path / "log").read_text()
            return code, commands[0] if commands else last

        yield build_until
        worker.stdin.close()  # type: ignore[union-attr]
        worker.wait(60)
        worker.stdout.close()  # type: ignore[union-attr]
    if fiftyone.dataset_exists(NAME):
        fiftyone.delete_dataset(NAME)


def start_over(fo: ModuleType) -> None:
    if fo.dataset_exists(NAME):
        fo.delete_dataset(NAME)


@pytest.mark.slow
def test_killed_again_and_again(
    build: Build, fiftyone: ModuleType, record_property: Callable[[str, object], None]
) -> None:
    code, commands = build(0)
    assert code == 0
    whole = everything(NAME)
    start_over(fiftyone)
    rng = np.random.default_rng(0)
    kills = 0
    while build(int(rng.integers(commands // 5, commands // 2)))[0] == -9:
        kills += 1
    record_property("killed", kills)
    assert kills >= 2
    assert everything(NAME) == whole
    assert len(whole["samples"]) == 10


@pytest.mark.slow
def test_killed_anywhere(build: Build, fiftyone: ModuleType, record_property: Callable[[str, object], None]) -> None:
    code, commands = build(0)
    assert code == 0
    whole = everything(NAME)
    for last in itertools.count(5, 5):
        start_over(fiftyone)
        if build(last)[0] == 0:  # what comes after the end kills nothing
            break
        assert build(0)[0] == 0
        assert everything(NAME) == whole, f"killed before command {last} of {commands}"
    record_property("killed", last // 5 - 1)
    assert last > commands / 2
