"""`explorer data`: check a data set, make one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from explorer.data.check import SplitReport

EXAMPLES = 3

app = typer.Typer(no_args_is_help=True, help="Check data sets, make data sets.")
make = typer.Typer(no_args_is_help=True, help="Make a data set out of nothing.")
app.add_typer(make, name="make")

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result as JSON; - for stdout.")]


@app.command()
def check(
    source: Annotated[str, typer.Argument(metavar="PATH", help="Folder in COCO format, PATH or PATH:SPLIT.")],
    full: Annotated[bool, typer.Option("--full", help="Decode every image, not headers only.")] = False,
    examples: Annotated[int, typer.Option(min=0, help="How many of each kind to show.")] = EXAMPLES,
    json_file: JsonFile = None,
) -> None:
    """Find and name what is wrong with a data set; exit 1 if training would stop at it."""
    from rich.console import Console

    from explorer.data.check import check_coco

    console = Console(stderr=_is_stdout(json_file))
    with _progress("checking") as advance:
        try:
            report = check_coco(source, full=full, progress=advance)
        except ValueError as error:
            _refuse(error)
    for split in report.splits:
        _show(console, split, examples)
    _write_json(json_file, report.as_dict())
    raise typer.Exit(0 if report.ok else 1)


@make.command()
def aerial(
    out: Annotated[Path, typer.Argument(help="Folder to write the data set into.")],
    images: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    size: Annotated[tuple[int, int] | None, typer.Option(metavar="HEIGHT WIDTH", help="Pixels; 480 640.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Draw aerial scenes with boxes, masks and panoptic labels."""
    from explorer.data.aerial import make_aerial

    options: dict[str, Any] = {} if size is None else {"size": size}
    with _progress("drawing") as advance:
        try:
            summary = make_aerial(
                out, images=images, seed=seed, split=split, progress=lambda done: advance(done, images), **options
            )
        except ValueError as error:
            _refuse(error)
        except OSError as error:
            typer.echo(f"{out}: {error}", err=True)
            raise typer.Exit(1) from error
    if not _is_stdout(json_file):
        sizes = ", ".join(f"{count} {name}" for name, count in summary.by_size.items())
        typer.echo(f"{summary.images} scenes with {summary.objects} objects ({sizes}). Use them as {out}:{split}")
    _write_json(json_file, {**asdict(summary), "out": str(out), "source": f"{out}:{split}"})


def _show(console: Any, split: SplitReport, examples: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    verdict = "[green]ready to train[/]" if split.ok else "[red]training would stop[/]"
    console.print(
        f"[bold]{escape(split.source)}[/]: {split.images} images, {split.annotations} annotations, {verdict}",
        soft_wrap=True,
    )
    if not split.problems:
        return
    table = Table("kind", "severity", "training", "count", "examples")
    colours = {"error": "red", "warning": "yellow", "info": "dim"}
    for kind, group in groupby(split.problems, key=lambda problem: problem.kind):
        problems = list(group)
        shown = [escape(str(problem)) for problem in problems[:examples]]
        if examples and len(problems) > examples:
            shown.append("…")
        first = problems[0]
        severity = f"[{colours[first.severity]}]{first.severity}[/]"
        table.add_row(kind, severity, first.action, str(len(problems)), "\n".join(shown))
    console.print(table)


@contextmanager
def _progress(verb: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, only where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _is_stdout(json_file: Path | None) -> bool:
    return str(json_file) == "-"


def _write_json(json_file: Path | None, result: dict[str, Any]) -> None:
    if json_file is None:
        return
    text = json.dumps(result, indent=2) + "\n"
    if _is_stdout(json_file):
        sys.stdout.write(text)
    else:
        json_file.write_text(text)


def _refuse(error: ValueError) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(2) from error
