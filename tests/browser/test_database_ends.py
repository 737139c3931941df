"""The database is killed, or Ctrl-C pressed, while a data set is built and browsed: one line, no orphan, none lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import mongod
from tests.conftest import ROOT
from tests.faults.faulty import left_in_session

pytestmark = [pytest.mark.mongo, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TOLD = "FiftyOne's database no longer responds: its process ended, "


class Database:
    """A MongoDB of one test alone, which is killed and started again on the same folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        (folder / "db").mkdir()
        self.start()

    def start(self) -> None:
        place = ["--dbpath", str(self.folder / "db"), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        with (self.folder / "mongod.log").open("a") as log:
            self.process = subprocess.Popen([str(mongod()), *place, "--nounixsocket"], stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    @property
    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "HOME": str(self.folder), "OMP_NUM_THREADS": "1"}
        uri = f"mongodb://127.0.0.1:{self.port}/?serverSelectionTimeoutMS=5000"
        kept = {"DATABASE_URI": uri, "DATABASE_NAME": "ends", "PLUGINS_DIR": str(self.folder / "plugins")}
        quiet = {"DO_NOT_TRACK": "true", "SHOW_PROGRESS_BARS": "false", "LOGGING_DESTINATION": "stderr"}
        return os.environ | own | {f"FIFTYONE_{key}": value for key, value in (kept | quiet).items()}


@pytest.fixture
def own_database(
    database: dict[str, str], tmp_path: Path, free_port: Callable[[], int]
) -> Iterator[Database]:  # `database` skips where there is none
    folder = tmp_path / "fiftyone"
    folder.mkdir()
    own = Database(folder, free_port())
    yield own
    own.kill()


@pytest.fixture
def builder(own_database: Database, scene: Any, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """Builds the data set in a process, and returns what that says; see `killed.py`."""
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), "ends", scene.data, *map(str, scene.runs)]
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            command, env=own_database.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )

    def build(*orders: int) -> list[str]:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(" ".join(map(str, orders)) + "\n")
        worker.stdin.flush()
        return worker.stdout.readline().split() or pytest.fail((tmp_path / "log").read_text())

    yield build
    worker.stdin.close()  # type: ignore[union-attr]
    worker.wait(60)
    worker.stdout.close()  # type: ignore[union-attr]


def test_while_a_data_set_is_built(
    own_database: Database,
    builder: Callable[..., list[str]],
    tmp_path: Path,
    record_property: Callable[[str, int], None],
) -> None:
    record_property("ended", 2)
    commands, whole, code = builder(0)
    assert code == "0"
    for share in (3, 2):
        assert builder(-1) == ["0"]
        assert builder(int(commands) // share, own_database.process.pid) == ["1"]
        assert own_database.process.wait(30) == -9
        own_database.start()
        assert builder(0)[1:] == [whole, "0"]
    said = (tmp_path / "log").read_text()
    assert said.count(TOLD) == 2
    assert "Traceback" not in said


def browse(own: Database, scene: Any, *options: str) -> subprocess.Popen[str]:
    """Starts `explorer browse` as a terminal does, in a group of its own."""
    command = [sys.executable, "-m", "explorer", "browse", scene.data, *map(str, scene.runs), "--name", "ends"]
    return subprocess.Popen(
        [*command, *options], env=own.environment, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until_shown(shown: subprocess.Popen[str]) -> None:
    assert shown.stderr is not None
    assert next((line for line in shown.stderr if line.startswith("-> http://")), "")


def said_at_the_end(process: subprocess.Popen[str]) -> str:
    """What a process says on standard error until it ends; it leaves no other."""
    _, said = process.communicate(timeout=90)
    deadline = time.monotonic() + 30
    while left_in_session(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "Traceback" not in said
    return said.strip()


def test_while_it_is_browsed(
    own_database: Database, scene: Any, free_port: Callable[[], int], record_property: Callable[[str, int], None]
) -> None:
    record_property("ended", 1)
    shown = browse(own_database, scene, "--no-browser", "--port", str(free_port()))
    until_shown(shown)
    own_database.kill()
    said = said_at_the_end(shown)
    assert shown.returncode == 1
    assert said.splitlines()[-1].startswith(f"DatabaseError: {TOLD}"), said
    own_database.start()
    again = browse(own_database, scene, "--no-app")
    assert "nothing new to write" in again.communicate()[0]
    assert again.returncode == 0


def test_ctrl_c(
    own_database: Database,
    builder: Callable[..., list[str]],
    scene: Any,
    free_port: Callable[[], int],
    record_property: Callable[[str, int], None],
) -> None:
    record_property("interrupted", 3)
    shown = browse(own_database, scene, "--no-browser", "--port", str(free_port()))
    until_shown(shown)
    os.killpg(shown.pid, signal.SIGINT)
    assert (said_at_the_end(shown), shown.returncode) == ("", 0)  # that is how the App is stopped
    assert builder(-1) == ["0"]
    start_s = time.monotonic()
    assert "Interrupted." not in said_at_the_end(browse(own_database, scene, "--no-app"))
    takes_s, whole = time.monotonic() - start_s, builder(0)[1]
    for share in (0.6, 0.8):
        assert builder(-1) == ["0"]
        stopped = browse(own_database, scene, "--no-app")
        time.sleep(share * takes_s)
        os.killpg(stopped.pid, signal.SIGINT)
        said = said_at_the_end(stopped)
        # by then the work may be done, and Python itself about to end, which the signal then ends
        assert (said.endswith("Interrupted."), stopped.returncode) in [(True, 130), (False, 0), (False, -2)], said
        again = browse(own_database, scene, "--no-app")
        said_at_the_end(again)
        assert again.returncode == 0
        assert builder(0)[1:] == [whole, "0"]
