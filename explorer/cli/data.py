"""`explorer data`: check a data set, convert, split and measure it, make one."""

from __future__ import annotations

import re
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress
from explorer.cli.scoring import MatchBy, Sizes
from explorer.text import legible, on_terminal

if TYPE_CHECKING:
    from explorer.data.check import SplitReport
    from explorer.data.convert import Written

EXAMPLES = 3

app = typer.Typer(no_args_is_help=True, help="Check, convert, split, measure and generate data sets.")
make = typer.Typer(no_args_is_help=True, help="Generate a synthetic data set.")
app.add_typer(make, name="make")


@app.command()
def check(
    source: Annotated[str, typer.Argument(metavar="PATH", help="A data set, PATH or PATH:SPLIT.")],
    full: Annotated[bool, typer.Option("--full", help="Decode every image instead of reading headers only.")] = False,
    examples: Annotated[
        int, typer.Option(min=0, help="Number of examples to show for each kind of problem.")
    ] = EXAMPLES,
    json: JsonFile = None,
) -> None:
    """Report problems in a data set; exit with code 1 if they would stop training."""
    from rich.console import Console

    from explorer.data.check import check_coco
    from explorer.engine.artifacts import provenance

    console = Console(stderr=json == "-")
    with exit_codes(), progress("checking") as advance:
        report = check_coco(source, full=full, progress=advance)
    for split in report.splits:
        _show(console, split, examples)
    with exit_codes():
        if json:
            write_output(report.as_dict() | provenance(), json)
    raise typer.Exit(0 if report.ok else 1)


Source = Annotated[str, typer.Argument(metavar="PATH[:SPLIT]", help="A data set.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")]
To = Annotated[str, typer.Option("--to", metavar="coco|yolo|yolo-seg|voc", help="Format of the new folder.")]
Link = Annotated[bool, typer.Option("--link", help="Create symbolic links to the images instead of copies.")]


@app.command()
def convert(source: Source, out: Out, to: To, link: Link = False, json: JsonFile = None) -> None:
    """Convert a data set to another format, and report what that format cannot store."""
    from explorer.data.convert import convert as converted

    with exit_codes(), progress("writing") as advance:
        written = converted(source, out, to, link=link, progress=advance)
    _tell(written, json)


@app.command()
def split(
    source: Source,
    out: Out,
    parts: Annotated[str, typer.Option("--parts", metavar="A=SHARE,B=SHARE", help="Names and shares of the parts.")] = (
        "train=0.8,val=0.2"
    ),
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="scene|folder|REGEX",
            help=(
                "Keep images together: those of one scene or video (the key scene or video_id of the images), of one "
                "folder, or with the same match of a regular expression in their file names."
            ),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same parts.")] = 0,
    to: To = "coco",
    link: Link = False,
    json: JsonFile = None,
) -> None:
    """Split a data set into parts, stratified by class and object size; groups are kept together."""
    from rich.console import Console
    from rich.table import Table

    from explorer.data.convert import SplitContent, read_part, write
    from explorer.data.layout import find_split
    from explorer.data.splitting import divide

    with exit_codes(), progress("writing") as advance:
        shares = _shares(parts)
        found = find_split(source)
        content, left_out = read_part(found)
        divided = divide(content, shares, group=group, seed=seed)
        lost = [f"left out {count:,} {kind}." for kind, count in left_out.items()]
        pieces = [SplitContent(name, own, found.images) for name, own in divided.parts.items()]
        written = write(pieces, out, to, link=link, lost=lost, progress=advance)
    if json != "-":
        table = Table("share of", *divided.parts)
        for label in next(iter(divided.shares.values())):
            table.add_row(on_terminal(label), *(f"{own[label]:.1%}" for own in divided.shares.values()))
        Console().print(table)
    _tell(written, json, shares=divided.shares, groups=divided.groups)


@app.command()
def sizes(
    source: Source,
    protocol: Sizes = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a histogram to an .html or .png file.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Count objects by class and size, and show their side lengths."""
    from rich.console import Console

    from explorer.api.sizes import object_sizes
    from explorer.engine.artifacts import provenance
    from explorer.scoring.alike import data_facts

    with exit_codes():
        result = object_sizes(source, protocol or "coco")
        if out:
            from explorer.figures.export import write_figure

            write_figure(result.figure(), out)
        if json:
            write_output(result.to_dict() | data_facts(source) | provenance(), json)
    if json != "-":
        say(result.title)
        for table in result.tables():
            Console().print(table.on_terminal())
        for sentence in result.sentences():
            say((sentence, "dim"))
        if out:
            say((f"-> {out}", "dim"))


@app.command()
def suspects(
    run: Annotated[Path, typer.Argument(help="A folder of `explorer evaluate --out`, or a file of detections.")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH[:SPLIT]", help="The data set of a results file.")
    ] = None,
    match_by: MatchBy = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write all likely label errors as CSV.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Rank likely label errors: confident detections that contradict the annotations. `explorer browse` shows them."""
    from rich.console import Console

    from explorer.engine.artifacts import provenance
    from explorer.scoring.runs import load_run

    with exit_codes():
        loaded = load_run(run, data, match_by=match_by)
        found = loaded.label_errors()
        if csv_file:
            found.write_csv(csv_file)
        if json:
            write_output(found.to_dict() | {"facts": dict(loaded.facts)} | provenance(), json)
    if json != "-":
        say((found.title, "bold"))
        for grid in found.tables():
            Console().print(grid.on_terminal())
        for sentence in found.sentences():
            say(sentence)
        if csv_file:
            say((f"-> {csv_file}", "dim"))


@make.command()
def aerial(
    out: Annotated[Path, typer.Argument(help="Folder to write the data set into.")],
    images: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 100,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives identical files.")] = 0,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    size: Annotated[tuple[int, int] | None, typer.Option(metavar="HEIGHT WIDTH", help="Pixels; 480 640.")] = None,
    json: JsonFile = None,
) -> None:
    """Generate aerial scenes with boxes, masks and panoptic labels."""
    from explorer.data.aerial import make_aerial

    options: dict[str, Any] = {} if size is None else {"size": size}
    with exit_codes(), progress("drawing") as advance:
        summary = make_aerial(out, images=images, seed=seed, split=split, progress=advance, **options)
        if json:
            write_output({**asdict(summary), "out": str(out), "source": f"{out}:{split}"}, json)
    if json != "-":
        sizes = ", ".join(f"{count} {name}" for name, count in summary.by_size.items())
        say(f"{summary.images} scenes with {summary.objects} objects ({sizes}). Use them as {out}:{split}")


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


def _shares(text: str) -> dict[str, float]:
    """Reads `--parts`.

    Raises:
        ValueError: it is no list of names with shares.
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    try:
        shares = {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        shares = {}
    if len(shares) != len(pairs) or not all(re.fullmatch(r"[\w-]+", name) for name in shares):
        raise ValueError(f"--parts is {text!r}: give names with shares, as train=0.8,val=0.2")
    return shares


def _tell(written: Written, json: str | None, **more: Any) -> None:
    if json:
        facts = {"out": str(written.out), "format": written.format, "lost": list(written.lost)}
        splits = {name: {"images": images, "annotations": own} for name, (images, own) in written.splits.items()}
        with exit_codes():
            write_output({**facts, "splits": splits, **more}, json)
    if json != "-":
        for line in written.lost:
            say(line)
        for name, (images, annotations) in written.splits.items():
            say(f"{images:,} images with {annotations:,} annotations. Use them as {written.out}:{name}")
