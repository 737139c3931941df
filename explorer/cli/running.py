"""How commands that run for a while behave: a progress bar on a terminal, one clear line when something fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


@contextmanager
def progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function of (done, total) that moves a bar on standard error, which shows only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Ends the command with one line on standard error: exit code 2 if the call was wrong, 1 if the work failed."""
    try:
        yield
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except (OSError, RuntimeError) as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error
