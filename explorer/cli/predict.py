"""`explorer predict`: a model's detections on image files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import (
    AllowPartial,
    Calibrate,
    ConfigFile,
    Device,
    Dtype,
    Emulate,
    Exact,
    Model,
    Overlap,
    Tile,
    TrustCode,
    Weights,
    exit_codes,
    fast_dtype,
    in_tiles,
    load,
    progress,
)


def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files (JPEG, PNG, WebP, BMP, TIFF), folders of them, or videos (MP4, MOV, MKV, AVI)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Output folder for predictions.json and the annotated images.")],
    threshold: Annotated[float, typer.Option("--threshold", help="Minimum score of the detections.")] = 0.5,
    weights: Weights = None,
    config_file: ConfigFile = None,
    allow_partial: AllowPartial = False,
    trust_code: TrustCode = False,
    device: Device = "auto",
    recursive: Annotated[bool, typer.Option("--recursive", help="Include subfolders.")] = False,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Write annotated images.")] = True,
    every: Annotated[int, typer.Option("--every", min=1, help="Process every N-th frame of a video.")] = 1,
    exact: Exact = False,
    dtype: Dtype = "float32",
    tile: Tile = None,
    overlap: Overlap = 0.2,
    calibrate: Calibrate = None,
    emulate: Emulate = False,
    json_file: JsonFile = None,
) -> None:
    """Detect objects in images and videos; exit with code 1 if a file could not be read."""
    from explorer.data.video import is_video
    from explorer.engine.devices import cpu_behind
    from explorer.engine.fast.hardware import engine_for
    from explorer.engine.image_files import find_images
    from explorer.engine.predict import RESULTS_FILE, Report
    from explorer.engine.predict import predict as run

    with exit_codes():
        own = [out / name for name in (RESULTS_FILE, "pictures", "panoptic")]
        files = find_images(images, recursive=recursive, results=own)

        def predicted(place: str) -> Report:
            detector = load(
                model,
                weights=weights,
                config_file=config_file,
                device=place,
                exact=exact,
                dtype=fast_dtype(dtype),
                engine="auto" if any(map(is_video, files.taken)) else engine_for(len(files.taken), fast_dtype(dtype)),
                calibrate=calibrate,
                emulate=emulate,
                allow_partial=allow_partial,
                trust_code=trust_code,
            )
            with progress("detecting") as advance:
                return run(
                    in_tiles(detector, tile, overlap),
                    files.taken,
                    out,
                    threshold=threshold,
                    pictures=pictures,
                    every=every,
                    skipped=files.skipped,
                    progress=advance,
                )

        report = cpu_behind(device, predicted)
        if json_file:
            write_output(report.document, json_file)
    for error in report.failures.values():
        say(error, err=True)
    if files.skipped:
        say(files.summary, err=True)
    for file, words in report.unfamiliar.items():
        say(f"{file}: {words}", err=True)
    if json_file != "-":
        for file, count in report.objects.items():
            note = f" ({report.notes[file]})" if file in report.notes else ""
            say(f"{file}: {count} object{'s' * (count != 1)}{note}")
        say(f"{len(report.objects)} of {len(files.taken)} images -> {report.results}")
    raise typer.Exit(1 if report.failures else 0)
