"""`explorer improve`: what using a model otherwise adds, and what it costs."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import CheckpointOptions, Device, Limit, Model, TilingOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import Overrides, exit_codes, progress
from explorer.cli.scoring import ProtocolOptions


@grouped
def improve(
    model: Model,
    data: Annotated[str, typer.Argument(metavar="DATA", help="PATH[:SPLIT] of a data set.")],
    overrides: Overrides = None,
    *,
    checkpoint: CheckpointOptions,
    limit: Limit = None,
    device: Device = "auto",
    tiling: TilingOptions,
    rules: ProtocolOptions,
    json_file: JsonFile = None,
) -> None:
    """Measure the gain and the cost of a larger input, more proposals, image slices and flips, without training.

    --tile also measures tiles of a fixed size.
    """
    from rich.console import Console

    from explorer.api.improve import improve as run

    with exit_codes():
        protocol = rules.asked()
        loading = checkpoint.of(model, overrides=overrides or (), exact=True)
        with progress("measuring") as advance:
            report = run(
                loading,
                data,
                limit=limit,
                tile=tiling.tile,
                overlap=tiling.overlap,
                protocol=protocol,
                device=device,
                progress=advance,
            )
        if report.note:
            say(report.note, err=True)
        if json_file:
            write_output(report.to_dict(), json_file)
    if json_file != "-":
        images = report.ways[0].resamples.figures.images
        say((report.model, "bold"), f" on {data}, {images} images, in percentage points")
        for table in report.tables():
            Console().print(table.on_terminal())
        for way in report.ways[1:]:
            say((f"{way.name}: {way.says}", "dim"))
