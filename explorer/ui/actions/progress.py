"""How far a long action is, and how it is stopped: the callback that tells the one raises the other."""

from __future__ import annotations

from collections.abc import Callable

from explorer.text import legible
from explorer.types import Progress

ProgressBar = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done, as `gr.Progress` is. It may raise `Stopped`."""

_MEGABYTE = 1_000_000


class Stopped(ValueError):  # noqa: N818 - no error: what was asked for
    """The user does not want to wait any longer."""


def part_of(progress: ProgressBar | None, place: int, parts: int, words: str) -> Progress:
    """Turns the library's counting into progress of one of several parts, which begins now.

    Args:
        progress: of the whole.
        place: of the part, from 0.
        parts: how many there are.
        words: what the part does.
    """
    shown = legible(words)

    def count(done: int, total: int) -> None:
        if progress:
            share = min(done / total, 1) if total else 0
            large = total >= _MEGABYTE
            numbers = f"{done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB" if large else f"{done} of {total}"
            progress((place + share) / parts, f"{shown}: {numbers}")

    if progress:
        progress(place / parts, shown)
    return count
