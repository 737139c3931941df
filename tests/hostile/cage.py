"""Reads hostile files in a process of its own, with little memory and time, and writes down all that it does.

Run as a script: `cage.py CORPUS LOG`. CORPUS lists files as JSON, `[[name, kind, path], …]`; every file adds a line to
LOG before it is read and one after. The working folder is the cage: what appears in it was written by a file.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
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
    """Python's own record of what a program does to the outside; in `room` it may write."""

    def __init__(self, room: Path) -> None:
        self.on = False
        self.seen: list[str] = []
        self.room = str(room)
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and (_to_write(arguments[1], arguments[2]))
        if (writes or event == "os.mkdir") and os.path.realpath(arguments[0]).startswith(self.room):
            return
        if event == "os.putenv" and arguments[0] == b"OPENCV_FFMPEG_CAPTURE_OPTIONS":
            return  # how the decoder of videos is told to open files only
        if event.startswith(_FORBIDDEN) or writes:
            self.seen.append(f"{event} {str(arguments[:1])[:80]}")


def _to_write(mode: str | None, flags: int) -> bool:
    return bool(set(mode or "") & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _readers(room: Path) -> dict[str, Callable[[str], object]]:
    from explorer.config import load_config
    from explorer.data.images import read_image
    from explorer.data.video import read_frames
    from explorer.data.zipped import unpack
    from explorer.scoring.runs import load_run
    from explorer.zoo.checkpoints import read_checkpoint

    def frames(path: str) -> int:
        return sum(frame.image_bgr.size for frame in read_frames(Path(path)))

    def results(path: str) -> object:
        home = Path(path).parent
        return load_run(path, f"{home / 'truth.json'}:{home}")

    def unpacked(path: str) -> Path:
        folder = room / str(len(list(room.iterdir())))
        folder.mkdir()
        return unpack(Path(path), folder, max_bytes=20_000_000)

    return {
        "checkpoint": read_checkpoint, "config": load_config, "image": read_image, "data set": read_data,
        "results": results, "video": frames, "archive": unpacked,
    }  # fmt: skip


def read_data(path: str) -> object:
    """Reads a data set as `data check`, training and scoring do.

    Raises:
        ValueError: it is refused, or something in it is left out.
    """
    from explorer.data.check import check_split
    from explorer.data.coco import load_coco
    from explorer.data.layout import find_splits
    from explorer.data.truth import scorable
    from explorer.text import legible

    said, loaded = [], []
    for split in find_splits(path):
        report = check_split(split, full=True)
        left = [own for own in report.problems if own.kind not in {"format", "empty-image", "no-mask"}]
        said += [f"{own.kind}: {legible(own.what, 200)}" for own in left[:3]]
        for reader in (load_coco, scorable):
            try:
                loaded.append(reader(split))
            except ValueError as error:
                said.append(legible(error, 200))
    if said:
        raise ValueError("; ".join(said[:3]))
    return loaded


def _pages_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() / 1e6


def main(corpus: str, log: str) -> None:
    room = Path(mkdtemp())
    readers = _readers(room)
    for reader in readers.values():  # lets them import what they need
        with suppress(ValueError):
            reader(sys.argv[0])
    watch = Watch(room)
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
    shutil.rmtree(room)


if __name__ == "__main__":
    main(*sys.argv[1:])
