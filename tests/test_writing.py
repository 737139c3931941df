"""Files that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.writing import UNFINISHED, alone_in, replacing, replacing_together, write_json


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as scratch:
            scratch.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_names_the_file_that_was_wanted(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "a.txt") as scratch:
            raise OSError(28, "No space left on device", str(scratch))

    with pytest.raises(OSError, match=r"device: '.*/a\.txt'$"):
        fail()


def test_files_come_together_and_what_stays_is_of_one_kind(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    for text in ("one", "two"):
        with replacing_together(tmp_path, "last") as scratch:
            for name in ("a", "last", "z"):
                (scratch / name).write_text(text)
            assert {file.name for file in tmp_path.iterdir()} >= {"kept", scratch.name}
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "a": "two", "last": "two", "z": "two", "kept": "",
    }  # fmt: skip


def test_an_error_between_files_that_belong_together_changes_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing_together(tmp_path, "last") as scratch:
            (scratch / "a").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_one_process_writes_into_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    tries = f"from pathlib import Path\nfrom explorer.writing import alone_in\nwith alone_in(Path({str(out)!r})): pass"
    command = [sys.executable, "-c", tries]
    root = Path(__file__).resolve().parents[1]

    def second() -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(root)}, check=False
        )
        return done.stderr

    with alone_in(out):
        with alone_in(out):  # its own process may
            pass
        assert f"another process is writing into {out}: wait until it is done" in second()
        (out / "written").touch()
    assert second() == ""


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{UNFINISHED}1-a.json").touch()
    (tmp_path / f"{UNFINISHED}2" / "b").mkdir(parents=True)
    (tmp_path / ".hidden").touch()
    with alone_in(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


def test_a_folder_goes_again_where_nothing_was_written(tmp_path: Path) -> None:
    with alone_in(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ValueError, match=r"a is a file: give a folder\."), alone_in(tmp_path / "a"):
        pass


def test_a_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.json"
    write_json({"a": 1}, target)
    write_json({"a": 2}, target)
    assert json.loads(target.read_text()) == {"a": 2}
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_json_is_refused_before_the_old_file_is_touched(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(TypeError):
        write_json({"a": object()}, target)
    assert target.read_text() == "old"


def test_json_has_no_nan_and_no_bytes(tmp_path: Path) -> None:
    write_json({"nan": float("nan"), "all": (float("inf"), 1.5), 3: b"Rle0", "p": Path("x")}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"nan": None, "all": [None, 1.5], "3": "Rle0", "p": "x"}
