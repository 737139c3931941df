"""`explorer data`: check a data set, make one."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from explorer.cli.output import JsonFile, say, write_json
from explorer.cli.running import exit_codes, progress
from explorer.text import legible, on_terminal

if TYPE_CHECKING:
    from explorer.data.check import SplitReport

EXAMPLES = 3

app = typer.Typer(no_args_is_help=True, help="Check data sets, make data sets.")
make = typer.Typer(no_args_is_help=True, help="Make a data set out of nothing.")
app.add_typer(make, name="make")


@app.command()
def check(
    source: Annotated[str, typer.Argument(metavar="PATH", help="A data set, PATH or PATH:SPLIT.")],
    full: Annotated[bool, typer.Option("--full", help="Decode every image, not headers only.")] = False,
    examples: Annotated[int, typer.Option(min=0, help="How many of each kind to show.")] = EXAMPLES,
    json: JsonFile = None,
) -> None:
    """Find and name what is wrong with a data set; exit 1 if training would stop at it."""
    from rich.console import Console

    from explorer.data.check import check_coco

    console = Console(stderr=json == "-")
    with exit_codes(), progress("checking") as advance:
        report = check_coco(source, full=full, progress=advance)
    for split in report.splits:
        _show(console, split, examples)
    if json:
        write_json(report.as_dict(), json)
    raise typer.Exit(0 if report.ok else 1)


@make.command()
def aerial(
    out: Annotated[Path, typer.Argument(help="Folder to write the data set into.")],
    images: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    size: Annotated[tuple[int, int] | None, typer.Option(metavar="HEIGHT WIDTH", help="Pixels; 480 640.")] = None,
    json: JsonFile = None,
) -> None:
    """Draw aerial scenes with boxes, masks and panoptic labels."""
    from explorer.data.aerial import make_aerial

    options: dict[str, Any] = {} if size is None else {"size": size}
    with exit_codes(), progress("drawing") as advance:
        summary = make_aerial(
            out, images=images, seed=seed, split=split, progress=lambda done: advance(done, images), **options
        )
    if json != "-":
        sizes = ", ".join(f"{count} {name}" for name, count in summary.by_size.items())
        say(f"{summary.images} scenes with {summary.objects} objects ({sizes}). Use them as {out}:{split}")
    if json:
        write_json({**asdict(summary), "out": str(out), "source": f"{out}:{split}"}, json)


def _show(console: Any, split: SplitReport, examples: int) -> None:
    from rich.table import Table
    from rich.text import Text

    verdict = ("ready to train", "green") if split.ok else ("training would stop", "red")
    counted = f": {split.images} images, {split.annotations} annotations, "
    console.print(on_terminal((split.source, "bold"), counted, verdict), soft_wrap=True)
    if not split.problems:
        return
    table = Table("kind", "severity", "training", "count", "examples")
    colours = {"error": "red", "warning": "yellow", "info": "dim"}
    for kind, group in groupby(split.problems, key=lambda problem: problem.kind):
        problems = list(group)
        shown = [legible(problem) for problem in problems[:examples]]
        if examples and len(problems) > examples:
            shown.append("…")
        first = problems[0]
        severity = on_terminal((first.severity, colours[first.severity]))
        table.add_row(kind, severity, first.action, str(len(problems)), Text("\n".join(shown)))
    console.print(table)
