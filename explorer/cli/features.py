"""`explorer features`: what a model's layers say about a photo, as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import AnyModel, CheckpointOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import Overrides, exit_codes


@grouped
def features(
    model: AnyModel,
    image: Annotated[Path, typer.Argument(help="An image file: JPEG, PNG, WebP, BMP, TIFF.")],
    overrides: Overrides = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            help="A name or glob: p2, stage4, 'backbone.bottom_up.stage4.*'. [default: p*, or a backbone's outputs]",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Output folder for the images and features.html.")] = Path(
        "features"
    ),
    *,
    checkpoint: CheckpointOptions,
    random: Annotated[bool, typer.Option("--random", help="Random weights.")] = False,
    explain: Annotated[
        int,
        typer.Option("--explain", min=0, help="Number of detections for which to show the regions that contribute."),
    ] = 1,
    json_file: JsonFile = None,
) -> None:
    """Visualise layers on a photo: energy, principal components, channels, and what contributes to a detection."""
    from rich.console import Console

    from explorer.api.features import inspect_features

    with exit_codes():
        loading = checkpoint.of(model, random=random, overrides=overrides or ())
        found = inspect_features(loading, image, layers or (), out=out, explained=explain)
        if found.note:
            say((found.note, "dim"), err=True)
        if json_file:
            write_output(found.to_dict(), json_file)
    if json_file != "-":
        report = found.report
        Console().print(report.grid().on_terminal())
        for name, cam in report.cams:
            say(f"{name} is classified from {cam.level}")
        say((f"-> {report.files[-1]}, {len(report.files) - 1} pictures", "dim"))
