"""Killed, interrupted or without a disk at any step of writing: nothing is lost, and the next run completes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conftest import LONG, NAMES, SLOW, Case, Commands, final_files

FAULTS = ["kill", "interrupt", "full", "readonly"]
SAYS = {"full": "No space left on device", "readonly": "Read-only file system"}
Undisturbed = Callable[[str], tuple[dict[str, str], int]]


def fail_at(steps: Iterable[int], fault: str, case: Case, commands: Commands, whole: dict[str, str], out: Path) -> None:
    for step in steps:
        ended = commands.run(case, out, fault, int(step))
        where = f"{fault} at step {step}: {ended}"
        if fault in SAYS and ended.code == 0:  # all that came after it takes no room, or clears away what is gone
            assert final_files(out) == whole, where
            shutil.rmtree(out)
            continue
        assert ended.code == {"kill": -9, "interrupt": 130}.get(fault, 1), where
        assert not ended.orphans, where
        lines = [line for line in ended.said.splitlines() if line.strip()]
        if fault == "interrupt":
            assert lines[-1:] == ["Interrupted."], where
        if fault in SAYS:
            assert SAYS[fault] in lines[-1], where
        assert "Traceback" not in ended.said, where
        left = final_files(out)
        assert left.items() <= whole.items(), where  # nothing half-written under a final name
        again = commands.run(case, out)
        assert again.code == 0, f"{where}, then {again}"
        assert final_files(out) == whole, where
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, marks=[pytest.mark.slow] if name in (SLOW if fault == "kill" else LONG) else [])
        for name in NAMES
        for fault in FAULTS
    ],
)
def test_a_step_that_fails(
    name: str, fault: str, commands: Commands, cases: dict[str, Case], undisturbed: Undisturbed, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    record_property(fault, 1)
    whole, steps = undisturbed(name)
    rng = np.random.default_rng(NAMES.index(name) * 10 + FAULTS.index(fault))
    fail_at([rng.integers(1, steps + 1)], fault, cases[name], commands, whole, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_step_fails(
    name: str, fault: str, commands: Commands, cases: dict[str, Case], undisturbed: Undisturbed, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    whole, steps = undisturbed(name)
    record_property(fault, steps)
    fail_at(range(1, steps + 1), fault, cases[name], commands, whole, tmp_path / "out")
