"""`explorer export`: a detector's trunk for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import AnyModel, Calibrate, CheckpointOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes

if TYPE_CHECKING:
    from explorer.engine.fast.export import Format


@grouped
def export(
    model: AnyModel,
    out: Annotated[Path, typer.Option("--out", help="Output folder.")],
    format: Annotated[str, typer.Option("--format", help="onnx, openvino or torchscript.")] = "onnx",  # noqa: A002
    *,
    checkpoint: CheckpointOptions,
    photo: Annotated[
        Path | None,
        typer.Option(
            "--photo", help="Image on which the export is compared with the model. [default: an aerial scene]"
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to 8-bit integers; requires --format openvino.")
    ] = False,
    calibrate: Calibrate = None,
    json_file: JsonFile = None,
) -> None:
    """Export backbone, FPN and dense heads to ONNX, OpenVINO or TorchScript, verified against the model on a photo.

    The folder can be used as MODEL in predict and evaluate, except for TorchScript, which is code.
    """
    from explorer.api.export import export as run

    with exit_codes():
        found = run(
            checkpoint.of(model),
            out,
            cast("Format", format),
            photo=photo,
            int8=int8,
            calibrate=calibrate,
        )
        if json_file:
            write_output(found.to_dict(), json_file)
    if json_file != "-":
        say(str(found))
