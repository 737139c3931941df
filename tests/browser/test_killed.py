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

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).resolve().parents[2]
NAME = "killed"
Build = Callable[[int], tuple[int, int]]
TIMES = {"created_at", "last_modified_at", "_dataset_id"}


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


def everything(fo: ModuleType) -> dict[str, Any]:
    """All that is in the database of the data set, but for what says when it was written."""
    from fiftyone.core.odm import get_db_conn

    db = get_db_conn()
    dataset = fo.load_dataset(NAME)
    dataset.reload()
    samples = list(db[dataset._sample_collection_name].find().sort("_id"))
    runs = db["datasets"].find_one({"name": NAME})["evaluations"]
    results = {
        key: db["fs.chunks"].find({"files_id": db["runs"].find_one(own)["results"]}).sort("n")
        for key, own in runs.items()
    }
    return {
        "samples": [{key: value for key, value in sample.items() if key not in TIMES} for sample in samples],
        "results": {key: b"".join(chunk["data"] for chunk in chunks) for key, chunks in results.items()},
        "fields": {path: str(field) for path, field in dataset.get_field_schema(flat=True).items()},
        "info": dataset.info,
        "indexes": dataset.get_index_information(),
        "left behind": len(set(db["fs.chunks"].distinct("files_id")) - set(db["runs"].distinct("results"))),
    }


def start_over(fo: ModuleType) -> None:
    if fo.dataset_exists(NAME):
        fo.delete_dataset(NAME)


def test_killed_again_and_again(
    build: Build, fiftyone: ModuleType, record_property: Callable[[str, object], None]
) -> None:
    code, commands = build(0)
    assert code == 0
    whole = everything(fiftyone)
    start_over(fiftyone)
    rng = np.random.default_rng(0)
    kills = 0
    while build(int(rng.integers(commands // 5, commands // 2)))[0] == -9:
        kills += 1
    record_property("killed", kills)
    assert kills >= 2
    assert everything(fiftyone) == whole
    assert len(whole["samples"]) == 10


@pytest.mark.slow
def test_killed_anywhere(build: Build, fiftyone: ModuleType, record_property: Callable[[str, object], None]) -> None:
    code, commands = build(0)
    assert code == 0
    whole = everything(fiftyone)
    for last in itertools.count(5, 5):
        start_over(fiftyone)
        if build(last)[0] == 0:  # what comes after the end kills nothing
            break
        assert build(0)[0] == 0
        assert everything(fiftyone) == whole, f"killed before command {last} of {commands}"
    record_property("killed", last // 5 - 1)
    assert last > commands / 2
