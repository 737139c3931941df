"""Several processes: two on one folder, one that is killed, a whole group that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from explorer.data.aerial import make_aerial
from tests.faults.conftest import ENVIRONMENT, MODEL, Case, Commands, final_files, named, placed
from tests.faults.faulty import left_in_session

PATIENCE_S = 60
TIMES = 20
DRAWING = ("data", "make", "aerial", "OUT", "--images", "64", "--size", "128", "160")


@contextmanager
def started(words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts a command as a terminal does, in a group of processes of its own; none of it is left at the end."""
    command = [sys.executable, "-m", "explorer", *(placed(folder, word) for word in words)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if left_in_session(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and last words; no other process of the command is left after a moment."""
    said = process.communicate(timeout=PATIENCE_S)[0]
    wait_until(lambda: not left_in_session(process.pid))
    return process.returncode, said.strip()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(parent: int, word: str = "") -> list[int]:
    """Processes that a process started, with a word in their command."""
    found = [int(pid) for tasks in Path(f"/proc/{parent}/task").glob("*/children") for pid in tasks.read_text().split()]
    return [pid for pid in found if word in told(pid, "cmdline")]


def told(pid: int, file: str) -> str:
    """What the system tells of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return ""


FOLDERS = ("data make", "evaluate", "predict", "export", "compare", "features", "autopsy", "receptive-field")
"""The commands that have a folder for themselves."""


@pytest.mark.parametrize("name", named(*FOLDERS))
def test_two_processes_on_one_folder(
    name: str, held: subprocess.Popen[str], commands: Commands, cases: dict[str, Case], tmp_path: Path
) -> None:
    second = commands.run(cases[name], tmp_path / "out")
    assert second.code == 1
    assert second.said.splitlines()[-1].endswith("wait until it is done, or give another folder")
    assert not final_files(tmp_path / "out")
    if name == "data make":  # one kill is enough
        held.kill()
        held.wait()
        assert commands.run(cases[name], tmp_path / "out").code == 0


def test_two_downloads_of_one_file_wait_for_each_other(
    commands: Commands, cases: dict[str, Case], tmp_path: Path, undisturbed: Callable[[str], tuple[dict[str, str], int]]
) -> None:
    words, environment = cases["zoo fetch"].at(tmp_path / "out")
    both = [
        subprocess.Popen([sys.executable, "-m", "explorer", *words], env=ENVIRONMENT | environment, stdout=-3)
        for _ in range(2)
    ]
    assert [one.wait(PATIENCE_S) for one in both] == [0, 0]
    assert final_files(tmp_path / "out") == undisturbed("zoo fetch")[0]


def test_a_drawing_process_that_is_killed_is_told_in_one_line(tmp_path: Path) -> None:
    with started(DRAWING, tmp_path / "out") as process:
        wait_until(lambda: bool(children(process.pid, "spawn_main")) or process.poll() is not None)
        os.kill(children(process.pid, "spawn_main")[0], signal.SIGKILL)
        code, said = ended(process)
    assert code == 1, said
    assert said.startswith("RuntimeError: a process that drew scenes was killed")
    assert "\n" not in said
    assert not final_files(tmp_path / "out")


def test_drawing_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    with started(DRAWING, tmp_path / "out") as process:
        wait_until(lambda: bool(children(process.pid, "spawn_main")) or process.poll() is not None)
        process.kill()
        assert ended(process)[0] == -signal.SIGKILL
    assert not final_files(tmp_path / "out")


@pytest.mark.parametrize(
    ("end", "number", "said"),
    [(os.killpg, signal.SIGINT, "Interrupted."), (os.kill, signal.SIGTERM, "Terminated.")],
    ids=["Ctrl-C, which reaches all", "SIGTERM, which reaches one"],
)
def test_a_signal_while_several_processes_draw(
    end: Callable[[int, int], None], number: int, said: str, tmp_path: Path
) -> None:
    with started(DRAWING, tmp_path / "out") as process:
        wait_until(lambda: len(children(process.pid, "spawn_main")) > 1 or process.poll() is not None)
        end(process.pid, number)
        assert ended(process) == (128 + number, said)
    assert not final_files(tmp_path / "out")


def test_a_script_may_draw_without_a_guard(tmp_path: Path) -> None:
    script = tmp_path / "draw.py"
    script.write_text(
        "from explorer.data.aerial import make_aerial\n"
        "print(make_aerial('out', images=20, seed=1, size=(96, 96)).images)\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.stdout, done.stderr) == ("20\n", "")
    make_aerial(tmp_path / "alone", images=20, seed=1, size=(96, 96), workers=1)
    assert final_files(tmp_path / "out") == final_files(tmp_path / "alone")


def loaders(parent: int) -> list[int]:
    """Processes that read images, by the name that PyTorch gives them."""
    return [pid for pid in children(parent) if told(pid, "comm") == "pt_data_worker\n"]


@pytest.fixture(scope="module")
def long_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough scenes that an evaluation takes a while."""
    folder = tmp_path_factory.mktemp("long")
    make_aerial(folder, images=48, seed=0, size=(240, 320))
    return folder


def test_a_loader_process_that_is_killed_is_told_in_one_line(long_data: Path, tmp_path: Path) -> None:
    words = ("evaluate", MODEL, "--data", f"{long_data}:val", "--out", "OUT", "DATALOADER.NUM_WORKERS", "1")
    with started(words, tmp_path / "out") as process:
        wait_until(lambda: bool(loaders(process.pid)) or process.poll() is not None)
        os.kill(loaders(process.pid)[0], signal.SIGKILL)
        code, said = ended(process)
    assert code == 1, said
    assert said.splitlines()[-1].startswith("ChildProcessError: a process that read images was killed")
    assert "the plain model takes" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ctrl_c_while_python_starts(
    commands: Commands, cases: dict[str, Case], undisturbed: Callable[[str], tuple[dict[str, str], int]],
    tmp_path: Path, record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    whole, _ = undisturbed("predict")
    out = tmp_path / "out"
    record_property("interrupted", TIMES)
    for after_s in np.linspace(0.05, 4.0, TIMES):
        with started(cases["predict"].words, out) as process:
            time.sleep(float(after_s))
            os.killpg(process.pid, signal.SIGINT)
            code, said = ended(process)
        assert code in (0, 130, -signal.SIGINT), said  # the last while Python itself is starting
        assert said == "Interrupted." or code != 130
        assert final_files(out).items() <= whole.items()
    assert commands.run(cases["predict"], out).code == 0
    assert final_files(out) == whole
