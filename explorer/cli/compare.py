"""`explorer compare`: runs on the same images against each other, with intervals, as tables, JSON and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.output import JsonFile, say, write_json
from explorer.cli.protocol import IouThresholds, MaxDetections, Sizes, protocol_asked
from explorer.cli.running import Iou, MatchBy, Precision, Score, exit_codes, progress

if TYPE_CHECKING:
    from explorer.scoring.columns import Task
    from explorer.scoring.protocols import Protocol


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more folders of `explorer evaluate --out`, or COCO results files. A1,A2,A3 are the runs of "
            "one recipe, trained with several seeds."
        ),
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH[:SPLIT]", help="What results files were run on.")
    ] = None,
    match_by: MatchBy = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page, its figures and the objects.")] = Path(
        "comparison"
    ),
    masks: Annotated[bool, typer.Option("--masks", help="Compare masks instead of boxes.")] = False,
    iou: Iou = 0.5,
    score: Score = None,
    precision: Precision = None,
    sizes: Sizes = None,
    max_detections: MaxDetections = None,
    iou_thresholds: IouThresholds = None,
    resamples: Annotated[int, typer.Option("--resamples", min=2, help="Resamples of the images.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the resamples.")] = 0,
    force: Annotated[
        bool,
        typer.Option("--force", help="Compare runs of other data or protocols too, on what they share."),
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Compare runs on the same images: is one better on small objects, or is it noise, and who finds which objects?

    Writes report.html, report.json and objects.json (COCO annotations that say who finds them). Recipes of several
    seeds are compared by their means, with intervals over images and seeds, and get report.json alone.
    """
    from rich.console import Console

    from explorer.api.compare import compare as compare_runs
    from explorer.engine.artifacts import write_json as write_file
    from explorer.report.document import annotations_with, found_by_columns
    from explorer.report.tables import difference_grid, object_grid, size_grid
    from explorer.report.words import found_sentence
    from explorer.scoring.outcomes import FoundRule
    from explorer.scoring.runs import load_run

    with exit_codes():
        if len(runs) < 2:
            raise ValueError("a comparison needs two runs or more; make them with `explorer evaluate --out`")
        recipes = [[run] if Path(run).exists() else run.strip(",").split(",") for run in runs]
        task: Task = "segm" if masks else "bbox"
        protocol = protocol_asked(sizes, max_detections, iou_thresholds)
        rule = FoundRule(iou, score, precision)
        if any(len(recipe) > 1 for recipe in recipes):
            if rule != FoundRule():
                raise ValueError("--iou, --score and --precision find objects; for these compare single runs")
            _over_seeds(recipes, data, match_by, task, out, protocol, resamples, seed, force, json_file)
            return
        loaded = [load_run(path, data, match_by=match_by, protocol=protocol) for path in runs]
        with progress("resampling") as advance:
            report = compare_runs(
                *loaded,
                masks=masks,
                found=rule,
                protocol=protocol,
                resamples=resamples,
                seed=seed,
                data=data,
                force=force,
                progress=advance,
            )
        comparison, analyses = report.comparison, report.analyses
        document = report.to_dict()
        write_file(out / "report.json", document, indent=2)
        write_file(out / "objects.json", annotations_with(comparison.truth, found_by_columns(comparison)))
        page = report.write_page(out / "report.html")
        if json_file:
            write_json(document, json_file)
    if json_file != "-":
        console = Console()
        console.print(size_grid(analyses).on_terminal())
        for pair in comparison.pairs:
            console.print()
            console.print(difference_grid(comparison, pair).on_terminal())
            console.print()
            for letter, place in (("A", pair.a), ("B", pair.b)):
                say(f"{letter} is {comparison.names[place]}. {found_sentence(comparison.points[place])}")
            console.print(object_grid(comparison, pair, fine=False).on_terminal())
        for note in dict.fromkeys(note for analysis in analyses for note in analysis.notes):
            say(note)
        say()
        say((f"-> {page}", "dim"))


def _over_seeds(
    recipes: list[list[str]],
    data: str | None,
    match_by: str | None,
    task: Task,
    out: Path,
    protocol: Protocol | None,
    resamples: int,
    seed: int,
    force: bool,
    json_file: str | None,
) -> None:
    from rich.console import Console

    from explorer.engine.artifacts import plain
    from explorer.engine.artifacts import write_json as write_file
    from explorer.errors.seeds import compare_seeds
    from explorer.report.analysis import named_apart
    from explorer.report.document import seed_document
    from explorer.report.tables import seed_difference_grid, seed_size_grid
    from explorer.scoring.alike import alike
    from explorer.scoring.matching import match
    from explorer.scoring.runs import load_run

    for recipe in recipes:
        if len({Path(path).resolve() for path in recipe}) < len(recipe):
            raise ValueError(f"{','.join(recipe)} has a run twice; each run of a recipe is of another seed")
    loaded = [[load_run(path, data, match_by=match_by, protocol=protocol) for path in recipe] for recipe in recipes]
    firsts = named_apart([first for first, *_ in loaded])
    named = [[first, *others] for first, (_, *others) in zip(firsts, loaded, strict=True)]
    compared = iter(alike([run for recipe in named for run in recipe], data=data, protocol=protocol, force=force))
    named = [[next(compared) for _ in recipe] for recipe in named]
    matches = [[match(run, task) for run in recipe] for recipe in named]
    with progress("resampling") as advance:
        comparison = compare_seeds(matches, resamples=resamples, seed=seed, progress=advance)
    notes = tuple(dict.fromkeys(note for recipe in named for run in recipe for note in run.notes))
    document = plain(seed_document(comparison) | {"notes": notes})
    write_file(out / "report.json", document, indent=2)
    if json_file:
        write_json(document, json_file)
    if json_file != "-":
        console = Console()
        for grid in (seed_size_grid(comparison), *(seed_difference_grid(comparison, *p) for p in comparison.pairs)):
            console.print(grid.on_terminal())
            console.print()
        for note in notes:
            say(note)
        say(("Means over seeds; 95 % intervals over images and seeds.", "dim"))
        say((f"-> {out / 'report.json'}", "dim"))
