"""Files of the zoo on this machine: a cache, filled from several sources, each file checked by its sha256."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from explorer.reading import read_json
from explorer.writing import write_json
from explorer.zoo.downloads.transfer import TransferError, discard, download

if TYPE_CHECKING:
    from explorer.types import Progress

_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<head")


class DownloadError(RuntimeError):
    """A file of the zoo could not be had, or is not the file that it should be."""


def cache_dir() -> Path:
    """The folder for downloads: `EXPLORER_CACHE`, or `~/.cache/vovnet-explorer`."""
    chosen = os.environ.get("EXPLORER_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "vovnet-explorer"


def offline_wanted() -> bool:
    """Whether the environment forbids downloads (`EXPLORER_OFFLINE=1`)."""
    return os.environ.get("EXPLORER_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(
    path: Path,
    sources: Sequence[str],
    *,
    name: str,
    sha256: str | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    timeout_s: float = 20.0,
    pause_s: float = 1.0,
) -> Path:
    """Returns `path`, downloaded first if it is not there.

    The sources are tried in order; a cut download goes on where it stopped, also in a later call. The file appears
    under its name only when it is whole and right. Its sha256 is recorded beside it on first use (`….json`) and
    compared on every later one; a file that has changed since is downloaded again. Two processes do not clash.

    Args:
        path: where the file belongs.
        sources: http(s) addresses of the same file.
        name: the zoo's name, for messages.
        sha256: the digest where it is known beforehand.
        offline: never open a connection (`EXPLORER_OFFLINE=1` does the same).
        progress: called with bytes done and bytes in total.
        timeout_s: longest silence of a server.
        pause_s: wait before the first new attempt; it doubles with each.

    Raises:
        DownloadError: every source failed (the message names each one's answer), or the file is not here and
            `offline` is set.
    """
    wanted = sha256 or _recorded(path)
    if _is_right(path, wanted):
        return path
    if offline or offline_wanted():
        raise DownloadError(_offline_message(path, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_beside(path, "lock")):
        wanted = sha256 or _recorded(path)
        if _is_right(path, wanted):
            return path
        part = _beside(path, "part")
        answers = []
        for url in sources:
            try:
                download(url, part, progress=progress, timeout_s=timeout_s, pause_s=pause_s)
                _accept(part, path, wanted, url)
            except TransferError as error:
                answers.append(f"  {url} {error}")
            else:
                return path
    raise DownloadError(f"No source gave the weights of {name}:\n" + "\n".join(answers) + f"\n{_hand_in_message(name)}")


def adopt(path: Path, local: Path, *, name: str, sha256: str | None = None) -> Path:
    """Copies the user's file `local` into the cache as `path`, under the same checks as a download.

    Raises:
        DownloadError: it is a web page, or its sha256 is not the known or recorded one.
        ValueError: `local` is no file.
    """
    if not local.is_file():
        raise ValueError(f"{local} is not a file. Give the path of the downloaded weights of {name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_beside(path, "lock")):
        part = _beside(path, "part")
        discard(part)
        shutil.copyfile(local, part)
        try:
            _accept(part, path, sha256 or _recorded(path), str(local))
        except TransferError as error:
            raise DownloadError(f"{local} {error}") from None
    return path


def _accept(part: Path, path: Path, wanted: str | None, source: str) -> None:
    """Moves a complete download to its place, unless it is not what it should be."""
    with part.open("rb") as file:
        start = file.read(64).lstrip().lower()
    digest = sha256_of(part)
    if not start or start.startswith(_PAGE_STARTS):
        discard(part)
        raise TransferError("returned a web page instead of the file" if start else "returned an empty file")
    if wanted and digest != wanted.lower():
        discard(part)
        raise TransferError(
            f"returned another file: its sha256 is {digest}, expected {wanted}"
            + (f" (recorded on first use; delete {_beside(path, 'json')} to accept it)" if _recorded(path) else "")
        )
    _record(path, digest, part.stat().st_size, source)  # first: of a file in its place, all is known
    part.replace(path)
    discard(part)


def _is_right(path: Path, wanted: str | None) -> bool:
    """Whether the file is here and unchanged; one that was put here by hand is recorded now."""
    if not path.is_file():
        return False
    digest = sha256_of(path)
    if wanted is None:
        with suppress(OSError):  # a cache that others own, read-only
            _record(path, digest, path.stat().st_size, "found in the cache")
    return wanted is None or digest == wanted.lower()


def _recorded(path: Path) -> str | None:
    try:
        record = read_json(_beside(path, "json"))
        return str(record["sha256"])
    except (ValueError, KeyError, TypeError):
        return None


def _record(path: Path, digest: str, size: int, source: str) -> None:
    write_json({"sha256": digest, "size": size, "source": source}, _beside(path, "json"), indent=1)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")


def _hand_in_message(name: str) -> str:
    return (
        "If you have the file, add it to the cache once with `explorer zoo fetch "
        f"{name} --from FILE`, or name it in each call: with `--weights FILE`, in training with `MODEL.WEIGHTS FILE`."
    )


def _offline_message(path: Path, name: str) -> str:
    state = f"is not the file recorded in {_beside(path, 'json').name}" if path.is_file() else "does not exist"
    return (
        f"Downloads are disabled (EXPLORER_OFFLINE), and {path}, the weights of {name}, {state}. "
        f"Run `explorer zoo fetch {name}` with a connection. {_hand_in_message(name)}"
    )
