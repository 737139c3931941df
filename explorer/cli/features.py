"""`explorer features`: what a model's layers say about a photo, as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import (
    AllowPartial,
    AnyModel,
    ConfigFile,
    Overrides,
    TrustCode,
    Weights,
    exit_codes,
    load,
)


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
    weights: Weights = None,
    config_file: ConfigFile = None,
    allow_partial: AllowPartial = False,
    trust_code: TrustCode = False,
    random: Annotated[bool, typer.Option("--random", help="Random weights.")] = False,
    explain: Annotated[
        int,
        typer.Option("--explain", min=0, help="Number of detections for which to show the regions that contribute."),
    ] = 1,
    json_file: JsonFile = None,
) -> None:
    """Visualise layers on a photo: energy, principal components, channels, and what contributes to a detection."""
    from rich.console import Console

    from explorer.data.images import read_image
    from explorer.engine.windows import seen_whole
    from explorer.report.features import default_layers, feature_report

    with exit_codes():
        photo = read_image(image)
        detector = load(
            model,
            random=random,
            weights=weights,
            config_file=config_file,
            overrides=overrides or (),
            allow_partial=allow_partial,
            trust_code=trust_code,
        )
        if words := seen_whole(detector.cut, [photo.shape[:2]], "This command"):
            say((words, "dim"), err=True)
        report = feature_report(detector, photo, layers or default_layers(detector), out, explained=explain)
        if json_file:
            document = detector.origin | {"random_weights": detector.weights is None} | report.document()
            write_output(document, json_file)
    if json_file != "-":
        Console().print(report.grid().on_terminal())
        for name, cam in report.cams:
            say(f"{name} is classified from {cam.level}")
        say((f"-> {report.files[-1]}, {len(report.files) - 1} pictures", "dim"))
