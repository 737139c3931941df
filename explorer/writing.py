"""The one way to write a file: whole or not at all, and by one process at a time."""

from __future__ import annotations

import fcntl
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from explorer.text import in_json

UNFINISHED = ".unfinished-"
"""How the names of files begin that are being written; what is left of them, a killed process left behind."""

_held: set[tuple[int, int]] = set()
"""Device and inode of the folders that this process has for itself."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a scratch path beside `path`, and puts that file in its place if the block ends without an error.

    Whoever opens `path`, at whatever time the process is killed, finds the old file or the new one, never a
    part. The folder is made where missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{path.stem[:40]}{path.suffix}"  # 255 bytes at most, with what stands before it
    scratch = path.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{name}")
    try:
        yield scratch
        _flush(scratch)
        scratch.replace(path)
        _flush(path.parent)  # the new name too survives a power cut
    except OSError as error:
        if error.errno and str(error.filename or scratch) == str(scratch):
            error.filename = str(path)  # what the user knows
        raise
    finally:
        with suppress(OSError):  # a disk that can no longer be written to has said so already
            scratch.unlink(missing_ok=True)


def write_json(value: object, path: Path, *, indent: int | None = None) -> None:
    """Writes `value` as standard JSON in UTF-8, whole or not at all, and makes the folder where missing.

    Raises:
        TypeError: there is something in it that JSON has no type for; the old file, if any, stays.
    """
    text = as_json(value, indent=indent)
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def as_json(value: object, *, indent: int | None = None) -> str:
    """Returns `value` as standard JSON that any parser reads, in which every character can be seen, and a line break.

    A number that is not finite becomes `null`, because JSON has no NaN.
    """
    return in_json(json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)) + "\n"


def plain(value: object) -> Any:
    """Returns `value` in JSON's own types, with None in place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):  # the counts of a compressed RLE
        return value.decode("ascii")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def replacing_together(folder: Path, last: str) -> Iterator[Path]:
    """Yields a scratch folder, and puts the files in it into `folder` if the block ends without an error.

    At whatever time the process is killed, a folder that holds the file `last` holds files of one block, the earlier or
    this one. To be used in a block of `alone_in`.
    """
    scratch = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
    scratch.mkdir(parents=True)
    try:
        yield scratch
        written = sorted(scratch.iterdir(), key=lambda file: file.name == last)
        for file in written:
            _flush(file)
        (folder / last).unlink(missing_ok=True)
        for file in written:
            file.replace(folder / file.name)
        _flush(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps other processes from writing into a folder, and clears away what a killed one left half-written.

    The folder is made where missing, and goes again if nothing was written. Its lock ends with the process, however
    that ends; where a file system knows no locks, there is none. Blocks for one folder may lie in each other.

    Raises:
        ValueError: the folder is a file.
        OSError: another process writes there now, or nobody can.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder.")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    place = os.fstat(handle).st_dev, os.fstat(handle).st_ino
    try:
        if place in _held:
            yield
            return
        _lock(handle, folder)
        _held.add(place)
        try:
            for left in folder.glob(f"{UNFINISHED}*"):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            _try_to_write(folder)
            yield
        finally:
            _held.discard(place)
    finally:
        os.close(handle)
        if made:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"another process is writing into {folder}: wait until it is done, or give another folder"
        ) from None
    except OSError:  # network file systems that lock no folders
        return


def _try_to_write(folder: Path) -> None:
    """Fails now rather than after an hour's work."""
    probe = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
    probe.touch()
    probe.unlink()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
