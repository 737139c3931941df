"""Killed, interrupted, without a disk, or not alone at any step of writing: nothing is lost, the next run completes."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conftest import LONG, NAMES, SLOW, Case, Commands, Ended, all_files, final_files

FAULTS = ["kill", "interrupt", "full", "readonly", "second"]
SAYS = {"full": "No space left on device", "readonly": "Read-only file system"}
ENDS = {"interrupt": "Interrupted.", "terminate": "Terminated."}
TIMES = 20
Undisturbed = Callable[[str], tuple[dict[str, str], int]]
Fail = Callable[[str, str, Iterable[float]], None]
Record = Callable[[str, object], None]
completed: defaultdict[str, set[str]] = defaultdict(set)
"""By command: what a fault left in the folder, and the next run completed. It need not do so again and again."""


@pytest.fixture
def fail(commands: Commands, cases: dict[str, Case], undisturbed: Undisturbed, tmp_path: Path) -> Fail:
    """Lets a command fail at steps or times, each of which the next run must complete."""
    out = tmp_path / "out"

    def fail_at(name: str, fault: str, steps: Iterable[float]) -> None:
        whole = undisturbed(name)[0]
        for step in steps:
            ended = commands.run(cases[name], out, fault, step)
            where = f"{fault} at {step}: {ended}"
            judge(ended, fault, where)
            left = final_files(out)
            assert left.items() <= whole.items(), where  # nothing half-written under a final name
            if ended.code == 0 or ended.second:
                assert left == whole, where
            elif (digest := all_files(out)) not in completed[name]:
                again = commands.run(cases[name].resumed, out)
                done = left == whole and again.said.endswith("already exists and is not empty: give a new folder")
                assert again.code == 0 or done, f"{where}, then {again}"
                assert final_files(out) == whole, where
                completed[name].add(digest)
            shutil.rmtree(out, ignore_errors=True)

    return fail_at


def judge(ended: Ended, fault: str, where: str) -> None:
    """Makes sure that a command ended as it has to, said so in one line, and left no process."""
    kind = fault.removesuffix(" at")
    assert not ended.orphans, where
    assert "Traceback" not in ended.said, where
    if ended.second:
        codes = {ended.code, ended.second.code}
        assert 0 in codes, where
        assert codes <= {0, 1, 2}, where
        judge(replace(ended.second, second=None), "none", where)
        return
    if ended.code == 0:  # what comes after takes no room, clears away what is gone, or was ending
        assert kind in SAYS or kind != fault or fault == "none", where
        return
    assert ended.code == {"kill": -9, "interrupt": 130, "terminate": 143}.get(kind, 1), where
    last = [line for line in ended.said.splitlines() if line.strip()][-1:]
    if kind in ENDS:
        assert last == [ENDS[kind]], where
    if kind in SAYS:
        assert SAYS[kind] in last[0], where


FAILS = [(name, fault) for name in NAMES for fault in FAULTS if (name, fault) != ("zoo fetch", "second")]
"""A download that waits for another would wait for one that pauses; two of them are tried in `test_processes.py`."""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, marks=[pytest.mark.slow] if name in (SLOW if fault == "kill" else LONG) else [])
        for name, fault in (*FAILS, *((name, "terminate") for name in NAMES))
    ],
)
def test_one_step_fails(name: str, fault: str, fail: Fail, undisturbed: Undisturbed, record_property: Record) -> None:
    record_property(fault, 1)
    rng = np.random.default_rng(NAMES.index(name) * 10 + (*FAULTS, "terminate").index(fault))
    fail(name, fault, [int(rng.integers(1, undisturbed(name)[1] + 1))])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), FAILS)
def test_every_step_fails(name: str, fault: str, fail: Fail, undisturbed: Undisturbed, record_property: Record) -> None:
    steps = undisturbed(name)[1]
    record_property(fault, steps)
    fail(name, fault, range(1, steps + 1))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill at", "interrupt at"])
@pytest.mark.parametrize("name", NAMES)
def test_ended_at_twenty_random_times(
    name: str, fault: str, fail: Fail, undisturbed: Undisturbed, commands: Commands, cases: dict[str, Case],
    tmp_path: Path, record_property: Record,
) -> None:  # fmt: skip
    record_property(fault, TIMES)
    undisturbed(name)
    start_s = time.monotonic()
    assert commands.run(cases[name], tmp_path / "timed").code == 0
    takes_s = time.monotonic() - start_s
    fail(name, fault, np.random.default_rng(0).uniform(0.02, takes_s, TIMES).tolist())
