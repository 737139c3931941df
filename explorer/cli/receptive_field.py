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

_LEAST_PX = 64


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

    from explorer.report.fields import NARROWER_THAN, field_grid, field_report, write_field_figures
    from explorer.scoring.runs import read_truth

    with exit_codes():
        noise = input_size(size)
        if min(noise) < _LEAST_PX:
            raise ValueError(f"--size is {size!r}: fields are measured on noise of {_LEAST_PX} pixels or more a side.")
        truth = read_truth(data) if data else None
        detector = checkpoint.of(model, random=random, overrides=overrides or ())()
        with progress("Inputs measured", lines=True) as advance:
            report = field_report(
                detector,
                truth,
                inputs=inputs,
                size=noise,
                gates=gates,
                first=_say_theoretical if inputs else None,
                progress=advance,
            )
        document = detector.origin | {"random_weights": detector.weights is None} | report.document()
        pages = write_field_figures(report, out) if out else []
        if json_file:
            write_output(document, json_file)
    if json_file != "-":
        console = Console() if Console().is_terminal else Console(width=120)
        console.print(field_grid(report.levels).on_terminal())
        if without := report.objects_without_level:
            say(f"No level is responsible for {without:,} objects: training assigns no anchor or location to them.")
        notes = {level.partial for level in report.levels if level.partial}
        for line in sorted(notes):
            say(line)
        if whole := report.levels[-1].whole:
            say((f"Left out {whole} layers that use the whole map (gates, group normalisation).", "dim"))
        if inputs:
            used = ", ".join(f"{level.name} {level.inputs}" for level in report.levels)
            say((f"Effective fields were measured on this many inputs: {used}.", "dim"))
            limit = f"A level is done once its side is known to within {NARROWER_THAN:.0%}, or after --inputs images."
            say((limit, "dim"))
        for page in pages:
            say((f"-> {page}", "dim"))


def _say_theoretical(fields: dict[str, ReceptiveField]) -> None:
    sides = ", ".join(f"{name} {max(field.size_px)} px" for name, field in fields.items())
    say(f"Theoretical fields: {sides}. Measuring effective fields takes longer.", err=True)
