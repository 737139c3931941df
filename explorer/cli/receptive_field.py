"""`explorer receptive-field`: what the stages and levels of a model can see, and what they do see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import AnyModel, CheckpointOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import Overrides, exit_codes, input_size, progress

if TYPE_CHECKING:
    from explorer.receptive_field.theoretical import ReceptiveField


@grouped
def receptive_field(
    model: AnyModel,
    overrides: Overrides = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH[:SPLIT]",
            help="Data set whose objects are compared with the fields, PATH[:SPLIT].",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Output folder for the figures.")] = None,
    *,
    checkpoint: CheckpointOptions,
    random: Annotated[
        bool, typer.Option("--random", help="Use random weights; theoretical fields do not depend on weights.")
    ] = False,
    inputs: Annotated[
        int,
        typer.Option("--inputs", min=0, help="Maximum number of noise images for effective fields; 0 skips them."),
    ] = 16,
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Size of the noise images in pixels.")] = "512x512",
    gates: Annotated[bool, typer.Option("--gates/--no-gates", help="Include or exclude squeeze-excitation.")] = True,
    json_file: JsonFile = None,
) -> None:
    """Compute theoretical and measure effective receptive fields, and compare them with anchors and objects."""
    from rich.console import Console

    from explorer.api.fields import receptive_fields
    from explorer.report.fields import write_field_figures

    with exit_codes(), progress("Inputs measured", lines=True) as advance:
        found = receptive_fields(
            checkpoint.of(model, random=random, overrides=overrides or ()),
            data,
            inputs=inputs,
            size=input_size(size),
            gates=gates,
            first=_say_theoretical if inputs else None,
            progress=advance,
        )
        pages = write_field_figures(found.fields, out) if out else []
        if json_file:
            write_output(found.to_dict(), json_file)
    if json_file != "-":
        console = Console() if Console().is_terminal else Console(width=120)
        for table in found.tables():
            console.print(table.on_terminal())
        for sentence in found.sentences():
            say((sentence, "dim"))
        for page in pages:
            say((f"-> {page}", "dim"))


def _say_theoretical(fields: dict[str, ReceptiveField]) -> None:
    sides = ", ".join(f"{name} {max(field.size_px)} px" for name, field in fields.items())
    say(f"Theoretical fields: {sides}. Measuring effective fields takes longer.", err=True)
