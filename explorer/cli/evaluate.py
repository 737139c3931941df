"""`explorer evaluate`: the figures of a model, or of any detector's results, on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.classes import names_in, renamings
from explorer.cli.groups import grouped
from explorer.cli.loading import CheckpointOptions, Device, InferenceOptions, Limit, OptionalModel, TilingOptions
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import Overrides, exit_codes, progress
from explorer.cli.scoring import MatchBy, ProtocolOptions

if TYPE_CHECKING:
    from explorer.scoring.columns import Run


@grouped
def evaluate(
    data: Annotated[str, typer.Option("--data", metavar="PATH[:SPLIT]", help="A data set.")],
    model: OptionalModel = None,
    overrides: Overrides = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help=(
                "Score existing detections instead of running a model: COCO results, CSV, or a file or folder of "
                "Ultralytics, mmdetection, supervision, Hugging Face or FiftyOne."
            ),
        ),
    ] = None,
    match_by: MatchBy = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the detector of --results.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder for figures, detections and metadata.")
    ] = None,
    *,
    checkpoint: CheckpointOptions,
    limit: Limit = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes", metavar="A,B", help="Score only these classes. [default: all that model and data set share]"
        ),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="Count class OLD as NEW, in detections and annotations."),
    ] = None,
    rules: ProtocolOptions,
    device: Device = "auto",
    inference: InferenceOptions,
    tiling: TilingOptions,
    json_file: JsonFile = None,
) -> None:
    """Evaluate a model, or the results of any detector, on a data set: AP of boxes and masks, panoptic quality.

    --out writes figures, detections in COCO format, and report.html with figures by size, error types and misses.
    """
    from explorer.api.evaluate import Evaluation
    from explorer.api.evaluate import evaluate as evaluate_on
    from explorer.data.coco import register_coco
    from explorer.engine.evaluation.evaluate import metrics_as_dict
    from explorer.engine.evaluation.results import score_results
    from explorer.scoring.protocols import COCO

    with exit_codes():
        new_names = renamings(renamed)
        protocol = rules.asked() or COCO
        if results is not None:
            register_coco(data)  # says what is wrong with the data before anything is read
            _refuse([model, limit, classes, renamed, checkpoint.weights, checkpoint.config_file, tiling.tile])
            run = Evaluation.of(score_results(results, data, out=out, name=name, match_by=match_by, protocol=protocol))
        elif model is None or name or match_by:
            raise ValueError(
                "--name and --match-by can only be used with --results."
                if model
                else "give a MODEL to run, or --results FILE."
            )
        else:
            loading = checkpoint.of(model, tiling, overrides=overrides or (), **vars(inference))
            with progress("evaluating") as advance:
                run = evaluate_on(
                    loading,
                    data,
                    out=out,
                    limit=limit,
                    classes=names_in(classes),
                    renamed=new_names,
                    protocol=protocol,
                    device=device,
                    progress=advance,
                )
        if out and len(run.truth):
            _write_report(run, out)
        if json_file:
            write_output({**run.facts, **metrics_as_dict(run.metrics)}, json_file)
    if json_file != "-":
        _show(run, data, out)


def _refuse(given: Sequence[object]) -> None:
    if any(given):
        raise ValueError(
            "--results are scored unchanged; MODEL, --limit, --classes, --map, --weights, --config-file and "
            "--tile can only be used when a model is run."
        )


def _write_report(run: Run, out: Path) -> None:
    from explorer.report.analysis import analyse
    from explorer.report.document import run_document
    from explorer.report.page import write_run_page
    from explorer.writing import alone_in, replacing_together, write_json

    with progress("resampling") as advance:
        analysis = analyse(run, progress=advance)
    with alone_in(out), replacing_together(out, "report.json") as scratch:
        write_json(run_document(analysis), scratch / "report.json", indent=2)
        write_run_page(analysis, scratch / "report.html")


def _show(run: Run, data: str, out: Path | None) -> None:
    from rich.console import Console

    from explorer.engine.evaluation.tables import as_text, class_table, figure_tables

    console, metrics = Console(), run.metrics
    say((run.name, "bold"), f" on {data}, {metrics.images} images, in percent")
    for table in (*figure_tables(metrics), class_table(metrics.details["per_class"])):
        if table:
            lines = as_text(table).rstrip("\n")
            cut = max(map(len, lines.splitlines())) > console.width  # a table in too few columns would lose digits
            console.print(lines if cut else table, soft_wrap=cut, highlight=False)
    for note in metrics.details["notes"]:
        say(note)
    if out:
        say((f"-> {out}", "dim"))
