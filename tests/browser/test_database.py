"""When the database does not start or answer, the message says why and what to do; nothing is told to anyone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.browser.database import last_complaint, mongod_problem, started_problem

ROOT = Path(__file__).resolve().parents[2]


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_working_mongod_has_no_problem(tmp_path: Path) -> None:
    assert mongod_problem(program(tmp_path / "mongod", "echo db version"), tmp_path / "db") is None


def test_a_missing_mongod_is_named(tmp_path: Path) -> None:
    problem = mongod_problem(tmp_path / "mongod", tmp_path)
    assert problem is not None
    assert "was not found" in problem
    assert "FIFTYONE_DATABASE_URI" in problem


def test_a_wrong_library_is_quoted(tmp_path: Path) -> None:
    broken = program(tmp_path / "mongod", "echo libcrypto.so.1.1: cannot open shared object file >&2; exit 127")
    problem = mongod_problem(broken, tmp_path)
    assert problem is not None
    assert "libcrypto.so.1.1: cannot open" in problem
    assert "Install one that does" in problem


def test_a_folder_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("")
    problem = mongod_problem(program(tmp_path / "mongod", "exit 0"), tmp_path / "db" / "deeper")
    assert problem is not None
    assert "cannot be written to" in problem
    assert "FIFTYONE_DATABASE_DIR" in problem


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"s": "E", "msg": "DBException", "attr": {"error": "DBPathInUse: Unable to lock"}}, "stop the other one"),
        ({"s": "F", "msg": "UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion"}, "another version"),
        ({"s": "E", "msg": "Failed", "attr": {"error": {"code": 1, "errmsg": "No space left on device"}}}, "make room"),
    ],
)
def test_what_mongod_logged_is_explained(entry: dict[str, object], words: str, tmp_path: Path) -> None:
    log = tmp_path / "log" / "mongo.log"
    log.parent.mkdir()
    log.write_text('no json\n{"s": "I", "msg": "starting"}\n' + json.dumps(entry) + "\n")
    assert words in started_problem(tmp_path, RuntimeError("port"))


def test_without_a_log_the_error_itself_is_said(tmp_path: Path) -> None:
    assert last_complaint(tmp_path / "none") is None
    assert "did not start" in started_problem(tmp_path, RuntimeError("it was slow"))
    assert "it was slow" in started_problem(tmp_path, RuntimeError("it was slow"))


TRACKING = """
from explorer.browser.database import connect
try:
    connect()
except RuntimeError as error:
    print(error)
import fiftyone
print(fiftyone.config.do_not_track)
"""


@pytest.mark.parametrize(("theirs", "off"), [(None, "True"), (False, "False")])
def test_tracking_is_off_unless_turned_on(theirs: bool | None, off: str, tmp_path: Path) -> None:
    if theirs is not None:
        (tmp_path / ".fiftyone").mkdir()
        (tmp_path / ".fiftyone/config.json").write_text(json.dumps({"do_not_track": theirs}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIFTYONE_")}
    environment |= {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "FIFTYONE_DATABASE_URI": "mongodb://me:secret@127.0.0.1:9/?serverSelectionTimeoutMS=100",
    }
    done = subprocess.run(
        [sys.executable, "-c", TRACKING], env=environment, capture_output=True, text=True, timeout=120
    )
    message, tracking = done.stdout.splitlines()[-2:]
    assert tracking == off, done.stderr
    assert "no usable MongoDB answers at 127.0.0.1:9" in message
    assert "secret" not in message
