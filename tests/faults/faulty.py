"""Runs commands again and again, each in a process of its own in which something fails when it is told to.

`python tests/faults/faulty.py`: each line read is a command as JSON (`words`, `folder`, `log`, `fault`, `step`), each
line written says how it ended (`code`, `steps`, `orphans`). A step is what Python tells of a change below `folder`: a
file opened for writing, a name given or taken. Before step number `step` the process is killed (`kill`) or interrupted
(`interrupt`); with `full` and `readonly` nothing more can be written from then on.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHANGES = {"os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1}
"""Python's audit events, and how many of their arguments are paths."""
FREES = {"os.rename", "os.remove", "os.rmdir"}
"""What a full disk still allows."""


class Trouble:
    """Counts steps, and makes one fail."""

    def __init__(self, folder: str, fault: str, step: int) -> None:
        self.folder, self.fault, self.step = folder, fault, step
        self.steps = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._changes(event, arguments):
            return
        self.steps += 1
        if self.fault == "kill" and self.steps == self.step:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.fault == "interrupt" and self.steps == self.step:
            os.kill(os.getpid(), signal.SIGINT)
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


def run(order: Mapping[str, Any]) -> None:
    """In the process that was forked: runs a command to its end."""
    from explorer.cli import main

    os.setsid()
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    trouble = Trouble(order["folder"], order["fault"], order["step"])
    sys.addaudithook(trouble)
    code: Any = 0
    try:
        main(order["words"])
    except SystemExit as ended:
        code = ended.code
    trouble.fault = "none"
    os.write(order["answer"], str(trouble.steps).encode())
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


def main() -> None:
    import detectron2.modeling
    import torch

    import explorer.autopsy.examine
    import explorer.engine.evaluation.evaluate
    import explorer.engine.fast.export
    import explorer.report.page
    from explorer.engine.speed import machine

    assert detectron2.modeling
    assert explorer.engine
    torch.set_num_threads(1)
    machine.SIDE = 64  # a benchmark's ceiling is not what is tried here
    for line in sys.stdin:
        order = json.loads(line)
        answer, order["answer"] = os.pipe()
        child = os.fork()
        if not child:
            run(order)
        os.close(order["answer"])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        steps = int(os.read(answer, 20) or 0)
        os.close(answer)
        sys.stdout.write(json.dumps({"code": code, "steps": steps, "orphans": left_in_session(child)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
