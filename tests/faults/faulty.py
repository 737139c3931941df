"""Runs commands again and again, each in a process of its own in which something fails when it is told to.

`python tests/faults/faulty.py`: each line read is a command as JSON (`words`, `folder`, `log`, `fault`, `step`), each
line written says how it ended (`code`, `steps`, `orphans`). A step is what Python tells of a change below `folder`: a
file opened for writing, a name given or taken. Before step number `step` the process is killed (`kill`), interrupted
(`interrupt`) or told to end (`terminate`), or waits until the same command has run a second time, of which the answer
says how it ended, too (`second`); with `full` and `readonly` nothing more can be written from then on. With `kill at`
and `interrupt at`, `step` is a number of seconds after the start.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

CHANGES = {"os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1}
"""Python's audit events, and how many of their arguments are paths."""
FREES = {"os.rename", "os.remove", "os.rmdir"}
"""What a full disk still allows."""
PATIENCE_S = 20
"""PyTorch's processes look every five seconds whether the one that they read for is there."""
SIGNALS = {
    "kill": signal.SIGKILL,
    "interrupt": signal.SIGINT,
    "terminate": signal.SIGTERM,
    "second": signal.SIGSTOP,
}


class Trouble:
    """Counts steps, and makes one fail."""

    def __init__(self, folder: str, fault: str, step: int) -> None:
        self.folder, self.fault, self.step = folder, fault, step
        self.steps = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._changes(event, arguments):
            return
        self.steps += 1
        if self.fault in SIGNALS and self.steps == self.step:
            os.kill(os.getpid(), SIGNALS[self.fault])
        elif self.steps >= self.step and (self.fault == "readonly" or (self.fault == "full" and event not in FREES)):
            number = {"readonly": errno.EROFS, "full": errno.ENOSPC}[self.fault]
            raise OSError(number, os.strerror(number), str(arguments[0]))

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, flags = arguments
            writes = set(mode) & set("wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR)
            return bool(writes) and self._inside(path)
        return any(map(self._inside, arguments[: CHANGES.get(event, 0)]))

    def _inside(self, path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and str(path).startswith(self.folder)


def run(order: Mapping[str, Any], log: Path, answer: Path) -> None:
    """In the process that was forked: runs a command to its end."""
    from explorer.cli import main

    os.environ.update(order["environment"])
    said = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(said, stream)
    before = set(sys.modules)
    trouble = Trouble(order["folder"], order["fault"], order["step"])
    sys.addaudithook(trouble)
    with suppress(KeyboardInterrupt):  # which may be there before the command is
        os.setsid()
    code: Any = 0
    try:
        main(order["words"])
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 99
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it has ended
    trouble.fault = "none"
    answer.write_text(json.dumps([trouble.steps, sorted(set(sys.modules) - before)]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def left_in_session(leader: int) -> int:
    """How many processes a command left behind; zombies are none."""
    left = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        left += int(session) == leader and state not in "ZX"
    return left


def waited(child: int, order: Mapping[str, Any]) -> int:
    """Waits until a process ends or pauses, and sends it the signal that is due at a time; returns how it ended."""
    name, _, at = order["fault"].partition(" ")
    if at:
        while os.getsid(child) != child:
            time.sleep(0.001)
        due_s = time.monotonic() + order["step"]
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > due_s:
                (os.killpg if name == "interrupt" else os.kill)(child, SIGNALS[name])  # Ctrl-C reaches all of them
                break
            time.sleep(0.002)
        else:
            return done[1]
    return os.waitpid(child, os.WUNTRACED)[1]


def follow(order: Mapping[str, Any], place: int = 0) -> list[dict[str, int]]:
    """Runs a command in a process of its own; returns how it ended, and how a second one did if there was one."""
    log, answer = (Path(order["log"]).with_suffix(f".{place}{kind}") for kind in ("", ".answer"))
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        run(order, log, answer)
    status, second = waited(child, order), list[dict[str, int]]()
    if os.WIFSTOPPED(status):
        second = follow({**order, "fault": "none"}, place + 1)
        os.kill(child, signal.SIGCONT)
        status = os.waitpid(child, 0)[1]
    steps, imported = json.loads(answer.read_text()) if answer.exists() else (0, [])
    for name in imported:  # the next one need not
        with suppress(ImportError):
            importlib.import_module(name)
    code, deadline_s = os.waitstatus_to_exitcode(status), time.monotonic() + PATIENCE_S
    while (orphans := left_in_session(child)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return [{"code": code, "steps": steps, "orphans": orphans}, *second]


def main() -> None:
    import detectron2.modeling
    import torch

    from explorer.engine.speed import machine

    assert detectron2.modeling
    torch.set_num_threads(1)
    machine.SIDE = 64  # a benchmark's ceiling is not what is tried here
    for line in sys.stdin:
        sys.stdout.write(json.dumps(follow(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
