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
    from explorer.data.images import read_image
    from explorer.engine.fast.calibration import calibration_photos
    from explorer.engine.fast.export import export as run
    from explorer.engine.speed.modes import scene

    with exit_codes():
        if calibrate and not int8:
            raise ValueError("--calibrate sets the ranges of int8; it requires --int8.")
        image = read_image(photo) if photo else scene((480, 640))
        detector = checkpoint.of(model, device="cpu", exact=True, bare=True)()
        photos = calibration_photos(detector, calibrate) if int8 else None
        record = run(detector, image, out, cast("Format", format), int8=int8, photos=photos)
        if json_file:
            write_output(record, json_file)
    if json_file != "-":
        size = f"{sum(file.stat().st_size for file in out.glob('trunk.*')) / 1e6:.1f} MB"
        what = f"{format} in int8" if int8 else format
        say(f"{detector.name} as {what}, {size}, equal to the model within {record['max_rel_error']:.0e} -> {out}")
