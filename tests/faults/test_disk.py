"""A real disk that is full, and a real one that cannot be written to: one line, nothing half-written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.conftest import FETCHED, NAMES, Case, Commands, final_files, named

SHORT = {"data check", "zoo identify", "improve", "benchmark"}
"""What these write finds room on any disk."""
FULL = ("No space left on device", "file write failed", "I/O error")
"""What the system says, and what PyTorch and safetensors make of it."""


@contextmanager
def disk(place: Path, options: str) -> Iterator[Path]:
    """Mounts a disk in memory."""
    place.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("name", named(*(name for name in NAMES if name not in SHORT)))
def test_a_disk_that_is_full_and_then_larger(
    name: str, commands: Commands, cases: dict[str, Case], tmp_path: Path, record_property: Callable[[str, int], None],
    undisturbed: Callable[[str], tuple[dict[str, str], int]],
) -> None:  # fmt: skip
    whole, _ = undisturbed(name)
    record_property("full disk", 1)
    with disk(tmp_path / "disk", "size=16k") as place:
        ended = commands.run(cases[name], place / "out")
        assert ended.code == 1, ended
        assert any(words in ended.said.splitlines()[-1] for words in FULL), ended
        assert "Traceback" not in ended.said
        assert final_files(place / "out").items() <= whole.items()
        subprocess.run(["mount", "-o", "remount,size=128m", str(place)], check=True)
        assert commands.run(cases[name], place / "out").code == 0
        assert final_files(place / "out") == whole


@pytest.mark.parametrize("name", named(*NAMES))
def test_a_disk_that_is_read_only(
    name: str, commands: Commands, cases: dict[str, Case], tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    record_property("read-only disk", 1)
    with disk(tmp_path / "disk", "size=1m,ro") as place:
        ended = commands.run(cases[name], place / "out")
        assert ended.code == 1, ended
        assert "Read-only file system" in ended.said.splitlines()[-1], ended
        assert "Traceback" not in ended.said


def test_a_read_only_cache_serves_what_is_in_it(commands: Commands, cases: dict[str, Case], tmp_path: Path) -> None:
    fetching = replace(cases["zoo fetch"], words=("zoo", "fetch", FETCHED))  # which writes into the cache alone
    with disk(tmp_path / "disk", "size=8m") as place:
        assert commands.run(fetching, place / "out").code == 0
        next(place.rglob("*.pth.json")).unlink()  # put there by hand
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        assert commands.run(fetching, place / "out").code == 0
