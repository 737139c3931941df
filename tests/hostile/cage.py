"""Reads hostile files in a process of its own, with little memory and time, and writes down all that it does.

Run as a script: `cage.py CORPUS LOG`. CORPUS lists files as JSON, `[[name, kind, path], …]`; every file adds a line to
LOG before it is read and one after. The working folder is the cage: what appears in it was written by a file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOM_MB = 1500
"""More than that may not be asked for while one file is read."""
CPU_S = 400

_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "os.kill", "os.putenv", "os.mkdir",
    "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "subprocess.", "pty.",
    "socket.", "ctypes.", "shutil.", "tempfile.", "urllib.", "webbrowser.", "http.", "smtplib.", "ftplib.", "signal.",
    "pickle.find_class", "code.__new__", "builtins.input", "builtins.breakpoint",
)  # fmt: skip


class Watch:
    """Python's own record of what a program does to the outside."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if event.startswith(_FORBIDDEN) or writes:
            self.seen.append(f"{event} {str(arguments[:1])[:80]}")


def _readers() -> dict[str, Callable[[str], object]]:
    from explorer.config import load_config
    from explorer.data.images import read_image
    from explorer.zoo.checkpoints import read_checkpoint

    return {"checkpoint": read_checkpoint, "config": load_config, "image": read_image}


def _pages_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() / 1e6


def main(corpus: str, log: str) -> None:
    readers = _readers()
    for reader in readers.values():  # lets them import what they need
        with suppress(ValueError):
            reader(sys.argv[0])
    watch = Watch()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (int((_pages_mb() + ROOM_MB) * 1e6),) * 2)
    with Path(log).open("a") as out:
        for name, kind, path in json.loads(Path(corpus).read_text()):
            print(json.dumps({"name": name}), file=out, flush=True)
            outcome: dict[str, Any] = {"name": name}
            before = time.process_time()
            watch.seen, watch.on = [], True
            try:
                outcome["read"] = type(readers[kind](path)).__name__
            except BaseException as error:
                outcome |= {"raised": [base.__name__ for base in type(error).__mro__], "says": str(error)}
            watch.on = False
            outcome |= {"did": watch.seen, "cpu_s": time.process_time() - before}
            print(json.dumps(outcome), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
