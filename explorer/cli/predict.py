"""`explorer predict`: a model's detections on image files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import CheckpointOptions, Device, InferenceOptions, Model, TilingOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress


@grouped
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
    *,
    checkpoint: CheckpointOptions,
    device: Device = "auto",
    recursive: Annotated[bool, typer.Option("--recursive", help="Include subfolders.")] = False,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Write annotated images.")] = True,
    every: Annotated[int, typer.Option("--every", min=1, help="Process every N-th frame of a video.")] = 1,
    inference: InferenceOptions,
    tiling: TilingOptions,
    json_file: JsonFile = None,
) -> None:
    """Detect objects in images and videos; exit with code 1 if a file could not be read."""
    from explorer.api.predict import predict as run

    with exit_codes(), progress("detecting") as advance:
        loading = checkpoint.of(model, tiling, **vars(inference))
        found = run(
            loading,
            images,
            out,
            threshold=threshold,
            pictures=pictures,
            every=every,
            recursive=recursive,
            device=device,
            progress=advance,
        )
        report, files = found.report, found.files
        if json_file:
            write_output(report.document, json_file)
    for error in report.failures.values():
        say(error, err=True)
    if files.skipped:
        say(files.summary, err=True)
    for file, words in report.unfamiliar.items():
        say(f"{file}: {words}", err=True)
    if report.nothing:
        say(report.nothing, err=True)
    if json_file != "-":
        for file, count in report.objects.items():
            note = f" ({report.notes[file]})" if file in report.notes else ""
            say(f"{file}: {count} object{'s' * (count != 1)}{note}")
        say(f"{len(report.objects)} of {len(files.taken)} images -> {report.results}")
    raise typer.Exit(1 if report.failures else 0)
