"""`explorer receptive-field`: what the stages and levels of a model can see, and what they do see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    input_size,
    load,
    progress,
)

if TYPE_CHECKING:
    from explorer.receptive_field.theoretical import ReceptiveField

_LEAST_PX = 64


def receptive_field(
    model: AnyModel,
    overrides: Overrides = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH[:SPLIT]", help="Objects to hold against the fields.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the figures.")] = None,
    weights: Weights = None,
    config_file: ConfigFile = None,
    allow_partial: AllowPartial = False,
    trust_code: TrustCode = False,
    random: Annotated[bool, typer.Option("--random", help="Random weights: theoretical fields are the same.")] = False,
    inputs: Annotated[
        int,
        typer.Option("--inputs", min=0, help="Measure effective fields on so much noise at most; 0 leaves them out."),
    ] = 16,
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Of that noise in pixels.")] = "512x512",
    gates: Annotated[bool, typer.Option("--gates/--no-gates", help="With or without squeeze-excitation.")] = True,
    json_file: JsonFile = None,
) -> None:
    """Measure receptive fields: theoretical ones exactly, effective ones by gradients, beside anchors and objects."""
    from rich.console import Console

    from explorer.report.fields import NARROWER_THAN, field_grid, field_report, write_field_figures
    from explorer.scoring.runs import read_truth

    with exit_codes():
        noise = input_size(size)
        if min(noise) < _LEAST_PX:
            raise ValueError(f"--size is {size!r}: fields are measured on noise of {_LEAST_PX} pixels or more a side.")
        truth = read_truth(data) if data else None
        detector = load(
            model,
            random=random,
            weights=weights,
            config_file=config_file,
            overrides=overrides or (),
            allow_partial=allow_partial,
            trust_code=trust_code,
        )
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
            say(f"No level answers for {without:,} of the objects: no anchor or location learns them in training.")
        notes = {level.partial for level in report.levels if level.partial}
        for line in sorted(notes):
            say(line)
        if whole := report.levels[-1].whole:
            say((f"Left out: {whole} layers that look at the whole map (gates, group normalisation).", "dim"))
        if inputs:
            used = ", ".join(f"{level.name} {level.inputs}" for level in report.levels)
            say((f"Effective fields were measured on this many inputs: {used}.", "dim"))
            say((f"A level got no more once its side was known to {NARROWER_THAN:.0%}; --inputs is the limit.", "dim"))
        for page in pages:
            say((f"-> {page}", "dim"))


def _say_theoretical(fields: dict[str, ReceptiveField]) -> None:
    sides = ", ".join(f"{name} {max(field.size_px)} px" for name, field in fields.items())
    say(f"Theoretical fields: {sides}. Effective ones take longer.", err=True)
