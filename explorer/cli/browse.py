"""`explorer browse`: a data set, runs on it and their errors in FiftyOne's App."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import MODELS, Device, TilingOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress
from explorer.cli.scoring import FoundOptions, MatchBy, ProtocolOptions

if TYPE_CHECKING:
    from explorer.browser.browse import BrowsedData


@grouped
def browse(
    data: Annotated[str, typer.Argument(metavar="PATH[:SPLIT]", help="A data set.")],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help=(
                "Folders written by `explorer evaluate --out`, results files, or models, which are evaluated "
                f"first: {MODELS}."
            ),
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the data set in FiftyOne. [default: folder and split]")
    ] = None,
    match_by: MatchBy = None,
    port: Annotated[int | None, typer.Option(help="Port of the App. [default: the first free one from 5151]")] = None,
    app: Annotated[bool, typer.Option("--app/--no-app", help="Open the App, or only import the data set.")] = True,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, or only start the server.")
    ] = True,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Import the data set again; tags and corrections are lost.")
    ] = False,
    corrected: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Export the annotations as corrected in the App, and exit."),
    ] = None,
    *,
    found: FoundOptions,
    rules: ProtocolOptions,
    device: Device = "auto",
    tiling: TilingOptions,
    json_file: JsonFile = None,
) -> None:
    """Browse a data set, detections and their errors in FiftyOne. Only new runs are imported.

    Press Ctrl+C to stop. Set FIFTYONE_DATABASE_URI to use your own MongoDB.
    """
    from explorer.browser.browse import browse as import_data
    from explorer.browser.database import connect, database_explained
    from explorer.browser.serve import free_port, serve

    with exit_codes():
        rule, protocol = found.rule, rules.asked()  # says at once what is wrong
        connect()
        if app and not corrected:
            free_port(port)  # before the work, not after it
        with progress("importing") as advance:
            browsed = import_data(
                data,
                runs or (),
                name=name,
                found=rule,
                protocol=protocol,
                match_by=match_by,
                rebuild=rebuild,
                device=device,
                tile=tiling.tile,
                overlap=tiling.overlap,
                progress=advance,
            )
        with database_explained():
            if corrected:
                say(f"{browsed.export(corrected).summary} -> {corrected}", err=True)
            if json_file:
                write_output(browsed.to_dict(), json_file)
            if json_file != "-":
                _show(browsed)
            if app and not corrected:
                serve(browsed.dataset, port=port, browser=browser, on_start=lambda url: say(f"-> {url}", err=True))


def _show(browsed: BrowsedData) -> None:
    from rich.console import Console

    say(browsed.title)
    for sentence in browsed.sentences():
        say(sentence, err=True)
    for table in browsed.tables():
        Console().print(table.on_terminal())
