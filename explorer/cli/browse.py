"""`explorer browse`: a data set, runs on it and their errors in FiftyOne's App."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import MODELS, Device, TilingOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress
from explorer.cli.scoring import FoundOptions, MatchBy, ProtocolOptions


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
    from explorer.browser.database import connect, database_explained
    from explorer.scoring.protocols import COCO

    with exit_codes(), database_explained():
        rule, protocol = found.rule, rules.asked()  # says at once what is wrong
        fiftyone = connect()

        from explorer.browser.build import build, kept_protocol
        from explorer.browser.export import write_corrected
        from explorer.browser.runs import as_runs
        from explorer.browser.serve import free_port, install_plugin, serve
        from explorer.browser.views import save_views

        if app and not corrected:
            free_port(port)  # before the work, not after it
        kept = None if rebuild else kept_protocol(data, name)  # by which models are run and scored, then
        with progress("running models") as advance:
            how: dict[str, Any] = {"tile": tiling.tile, "overlap": tiling.overlap, "protocol": protocol or kept or COCO}
            folders = as_runs(runs or (), data, device=device, progress=advance, **how)
        with progress("writing") as advance:
            built = build(
                data,
                folders,
                name=name,
                rebuild=rebuild,
                found=rule,
                match_by=match_by,
                protocol=protocol,
                progress=advance,
            )
        if built.written or not built.dataset.list_saved_views():
            save_views(built.dataset)
        if corrected:
            changes = write_corrected(built.dataset, data, corrected)
            say(f"{changes.summary} -> {corrected}", err=True)
        install_plugin(Path(fiftyone.config.plugins_dir))
        content = _content(built)
        if json_file:
            write_output(content, json_file)
        if json_file != "-":
            _show(content)
        if app and not corrected:
            serve(built.dataset, port=port, browser=browser, on_start=lambda url: say(f"-> {url}", err=True))


def _content(built: Any) -> dict[str, Any]:
    from explorer.browser.state import KEY, protocol_of_dataset

    runs = built.dataset.info[KEY]["runs"]
    return {
        "protocol": protocol_of_dataset(built.dataset).as_facts(),
        "dataset": built.dataset.name,
        "images": len(built.dataset),
        "written": list(built.written),
        "runs": {field: runs[field] for field in built.fields or runs},
        "views": built.dataset.list_saved_views(),
    }


def _show(content: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from explorer.scoring.outcomes import found_words
    from explorer.scoring.protocols import protocol_from

    done = f"written: {', '.join(content['written'])}" if content["written"] else "nothing new to write"
    say((content["dataset"], "bold"), f", {content['images']} images; {done}")
    if content["runs"]:
        protocol = protocol_from(content)
        say(f"{protocol}", err=True)
        names = ("AP", "AP50", *protocol.ap_by_size)
        table = Table("field", "found", *names)
        for field, run in content["runs"].items():
            figures = (run["figures"].get(figure) for figure in names)
            shown = ("-" if value is None else f"{value:.1f}" for value in figures)
            table.add_row(field, found_words(run["iou"], run["score"]), *shown)
        Console().print(table)
