"""How commands that run for a while behave: a progress bar on a terminal, one clear line when something fails."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from explorer.text import legible, legible_lines

if TYPE_CHECKING:
    from explorer.types import Progress

NEGATIVE_VALUES = {"ignore_unknown_options": True}
"""For commands whose arguments may be values such as -1, which Click would take for options."""
LINE_EVERY_S = 10.0
"""Off a terminal, where a bar would be."""


def config_changes(words: list[str] | None) -> list[str] | None:
    """Takes the config's changes as they are, but for a mistyped option among them.

    Raises:
        BadParameter: a word starts like an option.
    """
    for word in words or ():
        if word.startswith("-") and not word[1:2].isdigit() and not word.startswith("-."):
            raise typer.BadParameter(f"No such option: {word}")
    return words


Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY VALUE", callback=config_changes, help="Config overrides, as KEY VALUE."),
]


class Commands(TyperGroup):
    """All commands. Their own errors quote the call, into which a shell's `*` may have put file names."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _legible_errors():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        with _interruptible(), _legible_errors(), _detectron2_at_hand():
            return super().invoke(ctx)


@contextmanager
def _legible_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if says := getattr(error, "format_message", None):  # one of Click's, which Typer has a copy of
            vars(error)["format_message"] = lambda: legible_lines(says())
        raise


@contextmanager
def _detectron2_at_hand() -> Iterator[None]:
    """Ends with one line and exit code 1 where detectron2, which pip does not bring along, is needed and missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "detectron2":
            raise
        from explorer.doctor import without_detectron2

        typer.echo(without_detectron2(), err=True)
        raise typer.Exit(1) from error


class SaidEnded(typer.Exit):
    """The end of a command that was ended by a signal and has said so."""


_SIGNALS = {
    signal.SIGINT: (signal.default_int_handler, "Interrupted."),
    signal.SIGTERM: (signal.SIG_DFL, "Terminated."),
}
"""What ends a command in an orderly way: the handler where nobody set another, and what is said."""


def _send_behind(code: CodeType, thread: int, number: int) -> None:
    """Sends a signal to a thread once it executes `code` no more."""
    frame = sys._current_frames().get(thread)
    while frame:
        if frame.f_code is code:
            time.sleep(0.01)
            frame = sys._current_frames().get(thread)
        else:
            frame = frame.f_back
    signal.pthread_kill(thread, number)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ends with one line and exit code 130 or 143 at Ctrl-C or SIGTERM, whatever a library or Python makes of it."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, (usual, _) in _SIGNALS.items() if before[number] is usual]
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def end(number: int, frame: Any) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    def again(lost: sys.UnraisableHookArgs) -> None:
        """Ends it once more where Python ignored that: in a finaliser, or after a fork, as loader processes start."""
        if came and issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Thread(target=_send_behind, args=(again.__code__, threading.get_ident(), came[-1])).start()
        else:
            ignored(lost)

    ignored, sys.unraisablehook = sys.unraisablehook, again
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    except BaseException as error:  # compiled modules that are being imported raise ImportError
        if not came:
            raise
        typer.echo(_SIGNALS[signal.Signals(came[0])][1], err=True)
        raise SaidEnded(128 + came[0]) from error
    finally:
        for number in ours:
            signal.signal(number, before[number])
        sys.unraisablehook = ignored


@contextmanager
def progress(verb: str, unit: Literal["items", "bytes"] = "items", *, lines: bool = False) -> Iterator[Progress]:
    """Yields a function of (done, total) that moves a bar on standard error, which shows only on a terminal.

    Args:
        verb: what is going on.
        unit: what is counted; bytes are shown as kB, MB or GB, with their speed.
        lines: whether there are lines off a terminal, one every `LINE_EVERY_S` at most; of items.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    counts = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeRemainingColumn())
    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(legible(verb), total=None)
    said_s = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal said_s
        bar.update(task, completed=done, total=total)
        bar.start()  # not before: the bar of a download that comes first would write over it
        if lines and not console.is_terminal and time.monotonic() - said_s >= LINE_EVERY_S:
            said_s = time.monotonic()
            typer.echo(legible_lines(f"{verb}: {done} of {total}"), err=True)

    try:
        yield advance
    finally:
        bar.stop()


def input_size(text: str) -> tuple[int, int]:
    """Reads `HxW`, or one number for both.

    Raises:
        ValueError: it is no such thing.
    """
    match = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not height or not width:
        raise ValueError(f"--size is {text!r}: give height and width in pixels, as in 800x1088.")
    return height, width


@contextmanager
def exit_codes() -> Iterator[None]:
    """Ends the command with one line on standard error: exit code 2 if the call was wrong, 1 if the work failed."""
    try:
        yield
    except ValueError as error:
        typer.echo(legible_lines(error), err=True)
        raise typer.Exit(2) from error
    except (OSError, RuntimeError, FloatingPointError, MemoryError) as error:
        typer.echo(legible_lines(f"{type(error).__name__}: {error}"), err=True)
        raise typer.Exit(1) from error
