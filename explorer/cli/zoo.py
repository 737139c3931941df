"""`explorer zoo list|show|fetch|push|identify|convert`: models, their weights, and files of weights."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from explorer.cli.checkpoints import convert, identify
from explorer.cli.hub import push
from explorer.cli.output import JsonFile, say, show_facts, write_output
from explorer.cli.running import exit_codes, progress
from explorer.text import legible_lines, on_terminal

if TYPE_CHECKING:
    from rich.table import Table

    from explorer.zoo.registry import ZooEntry

app = typer.Typer(
    no_args_is_help=True, help="Models of the zoo: list, show, fetch, push; files of weights: identify, convert."
)
app.command()(push)
app.command()(identify)
app.command()(convert)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `explorer zoo list`.")]


_ABOUT_REFUSED = (
    "refused: not downloadable since 2025 (Dropbox returns HTTP 403). `explorer zoo show MODEL` suggests an "
    "alternative. If you have the weights, use `explorer zoo fetch MODEL --from FILE`, or set EXPLORER_MIRROR to "
    "a folder, an address or a Hugging Face repository."
)
_WIDTH = 100  # of the table, where no terminal says how wide it is


@app.command("list")
def list_(json_file: JsonFile = None) -> None:
    """List all models with published figures, licence and availability of the weights."""
    from explorer.zoo.registry import REFUSED, entries

    with exit_codes():
        found = entries()
        table = _table(found)
        if json_file:
            write_output([entry.as_dict() for entry in found], json_file)
    if json_file == "-":
        return
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    console.print(table)
    console.print(
        "AP and PQ are in percent on COCO val2017, s is seconds per image on a V100 (*: on a Titan Xp); all as "
        "published, not measured here. Params are in millions, measured here: whole detector/backbone and FPN. "
        "`explorer zoo show MODEL` gives the published parameter counts and AP by size.",
        style="dim",
        highlight=False,
    )
    if any(entry.status == REFUSED for entry in found):
        console.print(_ABOUT_REFUSED, style="dim", highlight=False)


@app.command()
def show(name: Name, json_file: JsonFile = None) -> None:
    """Show the card of a model."""
    entry = _get(name)
    with exit_codes():
        if json_file:
            write_output(entry.as_dict(), json_file)
        if json_file != "-":
            show_facts(_facts(entry))


@app.command()
def fetch(
    name: Name,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Use this file instead of downloading it.")
    ] = None,
    offline: Annotated[bool, typer.Option(help="Only check the files on this machine.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also try sources that are known to refuse downloads.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Download the weights of a model to the cache, or check the cached ones."""
    from explorer.zoo.downloads import DownloadError, sha256_of
    from explorer.zoo.resolve import adopt_weights, fetch_weights

    entry = _get(name)
    try:
        if from_file is not None:
            path = adopt_weights(entry, from_file)
        else:
            with progress(entry.name, "bytes") as advance:
                path = fetch_weights(entry, offline=offline, progress=advance, anyway=anyway)
    except ValueError as error:
        _fail(str(error), code=2)
    except (DownloadError, OSError) as error:
        _fail(str(error), code=1)
    digest, size_mb = sha256_of(path), path.stat().st_size / 1e6
    if json_file:
        with exit_codes():
            write_output({"name": entry.name, "path": str(path), "size_mb": size_mb, "sha256": digest}, json_file)
    if json_file != "-":
        say(str(path))
        say(f"{size_mb:,.1f} MB, sha256 {digest}, licence {entry.licence}")


def _get(name: str) -> ZooEntry:
    from explorer.zoo.registry import get

    try:
        return get(name)
    except ValueError as error:
        _fail(str(error), code=2)


def _fail(message: str, *, code: int) -> NoReturn:
    typer.echo(legible_lines(message), err=True)
    raise typer.Exit(code)


def _table(found: tuple[ZooEntry, ...]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    table.add_column("model", no_wrap=True)
    for title in ("params (M)", "box", "mask", "PQ", "s"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for task, rows in groupby(found, key=lambda entry: entry.task):
        table.add_row(on_terminal((task, "bold")))
        for entry in rows:
            table.add_row(*map(on_terminal, _cells(entry)))
        table.add_section()
    return table


def _cells(entry: ZooEntry) -> tuple[str, ...]:
    released = entry.released or {}
    sizes = f"{entry.params_m:.1f}/{entry.backbone_fpn_params_m:.1f}" if entry.params_m is not None else ""
    numbers = (f"{released[key]:.1f}" if key in released else "" for key in ("box_ap", "mask_ap", "pq"))
    seconds = ""
    if entry.released_time:
        value, gpu = entry.released_time
        seconds = f"{value:.3f}" if gpu == "V100" else f"{value:.3f}*"
    return (entry.name, sizes, *numbers, seconds, entry.licence, _status(entry))


def _status(entry: ZooEntry) -> str:
    from explorer.zoo.registry import REFUSED

    return "refused" if entry.status == REFUSED else entry.status


def _facts(entry: ZooEntry) -> list[tuple[str, str]]:
    from explorer.zoo.refusals import instead

    released = entry.released or {}
    facts = [("name", entry.name), ("task", entry.task), ("backbone", entry.backbone)]
    if entry.config:
        facts.append(("config", f"configs/{entry.config}"))
    if entry.params_m is not None:
        own = f"; the release's table says {released['params_m']} M" if "params_m" in released else ""
        facts.append(
            ("parameters", f"{entry.params_m} M whole detector, {entry.backbone_fpn_params_m} M backbone and FPN{own}")
        )
    for kind in ("box", "mask"):
        if f"{kind}_ap" in released:
            sizes = ("small", "medium", "large")
            by_size = [f"{size} {released[f'{kind}_ap_{size}']}" for size in sizes if f"{kind}_ap_{size}" in released]
            facts.append((f"{kind} AP", f"{released[f'{kind}_ap']}" + (f" ({', '.join(by_size)})" if by_size else "")))
    if "pq" in released:
        facts.append(("PQ", f"{released['pq']}"))
    if entry.released_time:
        seconds, gpu = entry.released_time
        facts.append(("inference", f"{seconds:g} s per image on a {gpu}, {released['schedule']}"))
    if entry.card:
        measured = entry.card.measured
        facts += [("trained for", entry.card.training)]
        facts += [("measured on", f"{measured.images} images: {measured.on}")]
        for kind, figures in measured.intervals.items():
            words = (f"{label} {value} [{low}, {high}]" for label, (value, low, high) in figures.items())
            facts.append((f"{kind} AP", ", ".join(words)))
        facts += [(label, str(value)) for label, value in measured.panoptic.items()]
    facts += [("licence", f"{entry.licence} (weights)"), ("weights", entry.status), ("file", str(entry.path))]
    facts += [("source", url) for url in entry.weights]
    facts += [("instead", instead(entry))] if entry.refuses else []
    if entry.overrides:
        pairs = zip(entry.overrides[::2], entry.overrides[1::2], strict=True)
        facts += [("sets", f"{key} {value}") for key, value in pairs]
    return facts + ([("note", entry.note)] if entry.note else [])
