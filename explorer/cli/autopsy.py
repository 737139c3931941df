"""`explorer autopsy`: where in the detector each missed object of a run was lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import MODELS, CheckpointOptions, Device
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress
from explorer.cli.scoring import FoundOptions, MatchBy, ProtocolOptions

_NO_MODEL = (
    "A results file contains only detections, so objects cannot be followed through the detector's stages. Give "
    "the model with --model for the complete autopsy."
)


@grouped
def autopsy(
    run: Annotated[Path, typer.Argument(help="A folder written by `explorer evaluate --out`, or a results file.")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH[:SPLIT]", help="The data set of a results file.")
    ] = None,
    match_by: MatchBy = None,
    model: Annotated[
        str | None, typer.Option("--model", help=f"The model to follow instead of the run's own: {MODELS}.")
    ] = None,
    *,
    checkpoint: CheckpointOptions,
    out: Annotated[Path | None, typer.Option("--out", help="Output folder. [default: the run's folder]")] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Check each verdict: relax only the stage that lost the object and follow it again."
        ),
    ] = False,
    found: FoundOptions,
    rules: ProtocolOptions,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> None:
    """Find the stage of the detector that lost each missed object: anchors, scores, suppression or limits.

    Writes autopsy.json, objects.json (COCO annotations with their verdicts), report.json and report.html. Supports
    Faster, Mask and Panoptic R-CNN, RetinaNet, FCOS and CenterMask. For results files of other detectors, only the
    detections are analysed.
    """
    from rich.console import Console

    from explorer.api.autopsy import of_run
    from explorer.autopsy.files import AUTOPSY_FILE, write_autopsy
    from explorer.report.analysis import analyse
    from explorer.report.document import annotations_with, fate_columns, run_document
    from explorer.report.page import write_run_page
    from explorer.report.tables import fate_grid, verification_grid
    from explorer.report.words import autopsy_sentences, found_sentence
    from explorer.scoring.runs import load_run
    from explorer.writing import alone_in, plain, replacing_together, write_json
    from explorer.zoo.trained import recorded

    with exit_codes():
        rule = found.rule  # says at once what is wrong
        given = load_run(run, data, match_by=match_by, protocol=rules.asked())
        folder = out or given.folder or run.with_name(f"{run.stem}-autopsy")
        with progress("resampling") as advance:
            analysis = analyse(given, found=rule, progress=advance)
        followed = None
        if model is not None or (given.folder is not None and "results" not in given.facts):
            recipe = recorded(given.facts, given.name, model, checkpoint.weights)
            loading = replace(checkpoint, weights=recipe.weights).of(
                recipe.model, overrides=recipe.overrides, exact=True
            )
            with progress("following objects") as advance:
                followed = of_run(analysis, loading, found=rule, verify=verify, device=device, progress=advance)
            analysis = followed.analysis
        document = plain(run_document(analysis)) if followed is None else followed.to_dict()
        with alone_in(folder), replacing_together(folder, "report.json") as scratch:
            if followed is not None:
                write_autopsy(followed.autopsy, scratch / AUTOPSY_FILE, followed.origin)
            write_json(document, scratch / "report.json")
            write_json(annotations_with(given.truth, fate_columns(analysis)), scratch / "objects.json")
            write_run_page(analysis, scratch / "report.html")
        if json_file:
            write_output(document, json_file)
    if analysis.autopsy is None:
        say(_NO_MODEL, err=True)
    if json_file != "-":
        Console().print(fate_grid(analysis).on_terminal())
        say()
        if analysis.autopsy is not None and analysis.autopsy.verification:
            Console().print(verification_grid(analysis.autopsy).on_terminal())
            say()
        elif analysis.autopsy is not None and verify:
            say("No object was lost at a stage, so there is nothing to verify.")
        for sentence in autopsy_sentences(analysis.autopsy) if analysis.autopsy is not None else ():
            say(sentence)
        say(found_sentence(analysis.point))
        for note in analysis.notes:
            say(note)
        say((f"-> {folder / 'report.html'}", "dim"))
