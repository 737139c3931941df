"""`explorer compare`: runs on the same images against each other, with intervals, as tables, JSON and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.output import JsonFile, write_json
from explorer.cli.running import exit_codes, progress


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Two or more folders of `explorer evaluate --out`, or COCO results files.")
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH[:SPLIT]", help="What results files were run on.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page, its figures and the objects.")] = Path(
        "comparison"
    ),
    masks: Annotated[bool, typer.Option("--masks", help="Compare masks instead of boxes.")] = False,
    iou: Annotated[
        float, typer.Option("--iou", help="Overlap from which an object is found: 0.5, 0.55, … 0.95.")
    ] = 0.5,
    score: Annotated[
        float | None, typer.Option("--score", help="One score threshold for all, instead of equal precision.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option("--precision", help="The precision at which objects are counted. [default: 0.5]")
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=2, help="Resamples of the images.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the resamples.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """Compare runs on the same images: is one better on small objects, or is it noise, and who finds which objects?

    Writes report.html, report.json and objects.json (COCO annotations that say who finds them).
    """
    from rich.console import Console

    from explorer.engine.artifacts import plain
    from explorer.engine.artifacts import write_json as write_file
    from explorer.errors.compare import compare as run
    from explorer.errors.matching import match
    from explorer.errors.runs import load_run
    from explorer.report.analysis import analyses_of, autopsy_beside, named_apart
    from explorer.report.document import annotations_with, comparison_document, found_by_columns
    from explorer.report.page import write_comparison_page
    from explorer.report.tables import difference_grid, object_grid, size_grid

    with exit_codes():
        if len(runs) < 2:
            raise ValueError("a comparison needs two runs or more; make them with `explorer evaluate --out`")
        loaded = named_apart([load_run(path, data) for path in runs])
        matches = [match(given, "segm" if masks else "bbox") for given in loaded]
        with progress("resampling") as advance:
            comparison = run(
                matches, iou=iou, score=score, precision=precision, resamples=resamples, seed=seed, progress=advance
            )
        analyses = analyses_of(comparison, [autopsy_beside(given) for given in loaded])
        document = comparison_document(comparison, analyses)
        write_file(out / "report.json", document, indent=2)
        write_file(out / "objects.json", annotations_with(comparison.truth, found_by_columns(comparison)))
        page = write_comparison_page(comparison, analyses, out / "report.html")
        if json_file:
            write_json(plain(document), json_file)
    if json_file != "-":
        console = Console()
        console.print(size_grid(analyses).on_terminal())
        for pair in comparison.pairs:
            console.print()
            console.print(difference_grid(comparison, pair).on_terminal())
            console.print()
            points = " and ".join(f"{comparison.points[place].score:.2f}" for place in (pair.a, pair.b))
            console.print(f"A is {comparison.names[pair.a]}, B is {comparison.names[pair.b]}; from scores {points}.")
            console.print(object_grid(pair, fine=False).on_terminal())
        console.print(f"\n[dim]-> {page}[/]", highlight=False, soft_wrap=True)
