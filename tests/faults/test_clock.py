"""A clock that jumps: durations are measured by one that cannot, and nothing is decided by what time it is."""

from __future__ import annotations

import ast
import itertools
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from explorer.data.aerial import make_aerial
from explorer.engine.speed.interleaved import interleaved
from explorer.ui.actions.photos import read_photo
from tests.conftest import ROOT
from tests.faults.conftest import final_files

WALL = {"time", "time_ns", "localtime", "gmtime", "now", "utcnow", "today"}
DAY_S = 86400.0
STAMPS = {"browser/build.py", "engine/artifacts.py"}
"""These write when something was made, and compare it with nothing."""


def wall_clocks(source: str) -> set[str]:
    """Calls of `time.time`, `datetime.now` and the like."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    asked = {ast.unparse(call) for call in calls if isinstance(call, ast.Attribute)}
    return asked & {f"{module}.{name}" for module in ("time", "datetime") for name in WALL}


def test_no_duration_is_measured_by_a_clock_that_can_be_set() -> None:
    assert wall_clocks("import time\nstart = time.time()") == {"time.time"}
    found = {
        path.relative_to(ROOT / "explorer").as_posix()
        for path in (ROOT / "explorer").rglob("*.py")
        if wall_clocks(path.read_text(encoding="utf-8"))
    }
    assert found <= STAMPS


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the wall: a day back, and two ahead, whenever somebody looks."""
    start, jumps = time.time(), itertools.cycle([-DAY_S, 2 * DAY_S, 0.0])
    monkeypatch.setattr(time, "time", lambda: start + next(jumps))


def test_times_of_a_benchmark_stay_times(jumping: None) -> None:
    seconds = interleaved({"a": lambda: time.sleep(0.001), "b": lambda: None}, rounds=3)
    assert all(0 <= one < 60 for own in seconds.values() for one in own)


def test_what_is_written_is_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    make_aerial(tmp_path / "steady", images=2, seed=0, size=(64, 96), workers=1)
    request.getfixturevalue("jumping")
    make_aerial(tmp_path / "jumping", images=2, seed=0, size=(64, 96), workers=1)
    assert final_files(tmp_path / "jumping") == final_files(tmp_path / "steady")


def test_a_photo_that_is_replaced_by_one_of_the_same_time_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    for value in (10, 200):
        cv2.imwrite(str(tmp_path / "new.png"), np.full((8, 8, 3), value, np.uint8))
        (tmp_path / "new.png").replace(path)
        os.utime(path, ns=(10**18, 10**18))
        assert read_photo(path)[0, 0, 0] == value
