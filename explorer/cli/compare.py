"""`explorer compare`: runs on the same images against each other, with intervals, as tables, JSON and a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.conditions import Conditions, end
from explorer.cli.groups import grouped
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress
from explorer.cli.scoring import FoundOptions, MatchBy, ProtocolOptions

if TYPE_CHECKING:
    from explorer.api.compare import ComparisonReport
    from explorer.errors.gates import Judgement
    from explorer.report.tables import Grid
    from explorer.scoring.columns import Run, Task
    from explorer.scoring.outcomes import FoundRule
    from explorer.scoring.protocols import Protocol


@contextmanager
def _options_named() -> Iterator[None]:
    """Names options, where functions name Python's arguments."""
    try:
        yield
    except ValueError as error:
        from explorer.scoring.alike import RunsDifferError

        if isinstance(error, RunsDifferError):
            raise error.as_options() from error
        raise


@grouped
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help=(
                "Two or more folders written by `explorer evaluate --out`, or results files. A1,A2,A3 are runs "
                "of the same recipe with different seeds."
            )
        ),
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH[:SPLIT]", help="The data set of results files.")
    ] = None,
    match_by: MatchBy = None,
    out: Annotated[
        Path, typer.Option("--out", help="Output folder for the report, its figures and the list of objects.")
    ] = Path("comparison"),
    masks: Annotated[bool, typer.Option("--masks", help="Compare masks instead of boxes.")] = False,
    *,
    found: FoundOptions,
    rules: ProtocolOptions,
    resamples: Annotated[int, typer.Option("--resamples", min=2, help="Number of bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resamples.")] = 0,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="scene|folder|REGEX",
            help=(
                "Resample images that resemble each other together: those of one scene or video (the key scene or "
                "video_id of the images), of one folder, or with the same match of a regular expression in their file "
                "names. By default, single images are resampled."
            ),
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also compare runs on different data or protocols, on the images and classes they share."
        ),
    ] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="CONDITION",
            help=(
                "Exit with code 1 if the whole interval of B − A, in percentage points, meets this condition, "
                'such as "APs < -0.5". Can be repeated. The first run is A.'
            ),
        ),
    ] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results of the conditions as JUnit XML.")
    ] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the conditions and tables as Markdown.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Compare runs on the same images, by object size, with confidence intervals and the objects that each run finds.

    Writes report.html, report.json and objects.json (COCO annotations with the runs that find them). Models trained
    with several seeds are compared by their means, with intervals over images and seeds; only report.json is written.
    """
    with exit_codes(), _options_named():
        if len(runs) < 2:
            raise ValueError("a comparison needs at least two runs; create them with `explorer evaluate --out`")
        check = Conditions.of(fail_if or (), junit_file, markdown_file)
        rule, protocol = found.rule, rules.asked()
        asked = _Asked(data, match_by, masks, out, rule, protocol, resamples, seed, group, force, json_file, check)
        recipes = [[run] if Path(run).exists() else run.strip(",").split(",") for run in runs]
        seeds = any(len(recipe) > 1 for recipe in recipes)
        judged, show = _over_seeds(recipes, asked) if seeds else _single_runs(runs, asked)
    if json_file != "-":
        show()
    end(judged)


@dataclass(frozen=True)
class _Asked:
    """What the options ask for."""

    data: str | None
    match_by: str | None
    masks: bool
    out: Path
    found: FoundRule
    protocol: Protocol | None
    resamples: int
    seed: int
    group: str | None
    force: bool
    json_file: str | None
    check: Conditions

    def load(self, path: str) -> Run:
        """Reads a run."""
        from explorer.scoring.runs import load_run

        return load_run(path, self.data, match_by=self.match_by, protocol=self.protocol)


def _single_runs(runs: Sequence[str], asked: _Asked) -> tuple[list[Judgement], Callable[[], None]]:
    """Compares runs, writes what is asked for, and returns what became of each condition and how to print the rest."""
    from explorer.api.compare import compare as compare_runs
    from explorer.errors.gates import check_figures, judge
    from explorer.report.tables import difference_grid, size_grid

    loaded = [asked.load(path) for path in runs]
    check_figures(asked.check.gates, loaded[0].protocol.labels)
    with progress("resampling") as advance:
        report = compare_runs(
            *loaded,
            masks=asked.masks,
            found=asked.found,
            protocol=asked.protocol,
            resamples=asked.resamples,
            seed=asked.seed,
            group=asked.group,
            data=asked.data,
            force=asked.force,
            progress=advance,
        )
    comparison, document = report.comparison, report.to_dict()
    _write(report, document, asked.out)
    judged = [
        own
        for pair in comparison.pairs
        if pair.a == 0
        for own in judge(
            asked.check.gates,
            comparison.resamples[0].figures,
            pair.differences.points,
            (comparison.names[pair.a], comparison.names[pair.b]),
        )
    ]
    grids = [size_grid(report.analyses), *(difference_grid(comparison, pair) for pair in comparison.pairs)]
    asked.check.write(judged, grids, report.sentences())
    if asked.json_file:
        write_output(document, asked.json_file)
    return judged, partial(_show, report, asked.out)


def _write(report: ComparisonReport, document: object, out: Path) -> None:
    """Writes the page, the report and the objects with the runs that find them, all together."""
    from explorer.report.document import annotations_with, found_by_columns
    from explorer.writing import alone_in, replacing_together, write_json

    comparison = report.comparison
    with alone_in(out), replacing_together(out, "report.json") as scratch:
        write_json(document, scratch / "report.json", indent=2)
        write_json(annotations_with(comparison.truth, found_by_columns(comparison)), scratch / "objects.json")
        report.write_page(scratch / "report.html")


def _show(report: ComparisonReport, out: Path) -> None:
    """Prints the tables, with each pair's rule of what counts as found above its objects."""
    from rich.console import Console

    from explorer.report.tables import difference_grid, object_grid, size_grid
    from explorer.report.words import found_sentence

    console, comparison = Console(), report.comparison
    console.print(size_grid(report.analyses).on_terminal())
    for pair in comparison.pairs:
        console.print()
        console.print(difference_grid(comparison, pair).on_terminal())
        console.print()
        for letter, place in (("A", pair.a), ("B", pair.b)):
            say(f"{letter} is {comparison.names[place]}. {found_sentence(comparison.points[place])}")
        console.print(object_grid(comparison, pair, fine=False).on_terminal())
    for note in dict.fromkeys(note for analysis in report.analyses for note in analysis.notes):
        say(note)
    say()
    say((f"-> {out / 'report.html'}", "dim"))


def _over_seeds(recipes: list[list[str]], asked: _Asked) -> tuple[list[Judgement], Callable[[], None]]:
    """The same for recipes that were trained with several seeds each, by their means."""
    from explorer.errors.gates import check_figures, judge
    from explorer.errors.seeds import compare_seeds
    from explorer.report.analysis import named_apart
    from explorer.report.document import seed_document
    from explorer.report.tables import seed_difference_grid, seed_size_grid
    from explorer.scoring.alike import alike
    from explorer.scoring.matching import match
    from explorer.scoring.outcomes import FoundRule
    from explorer.scoring.resampling import grouped as grouped_by
    from explorer.scoring.resampling import resampling_note
    from explorer.writing import plain, write_json

    if asked.found != FoundRule():
        raise ValueError("--iou, --score and --precision cannot be used with several seeds; compare single runs")
    for recipe in recipes:
        if len({Path(path).resolve() for path in recipe}) < len(recipe):
            raise ValueError(f"{','.join(recipe)} contains a run twice; give runs with different seeds")
    loaded = [[asked.load(path) for path in recipe] for recipe in recipes]
    check_figures(asked.check.gates, loaded[0][0].protocol.labels)
    firsts = named_apart([first for first, *_ in loaded])
    named = [[first, *others] for first, (_, *others) in zip(firsts, loaded, strict=True)]
    every = [run for recipe in named for run in recipe]
    fitting = alike(every, data=asked.data, protocol=asked.protocol, force=asked.force)
    compared = iter([replace(run, truth=grouped_by(run.truth, asked.group)) for run in fitting])
    named = [[next(compared) for _ in recipe] for recipe in named]
    task: Task = "segm" if asked.masks else "bbox"
    matches = [[match(run, task) for run in recipe] for recipe in named]
    with progress("resampling") as advance:
        comparison = compare_seeds(matches, resamples=asked.resamples, seed=asked.seed, progress=advance)
    said = [*(note for recipe in named for run in recipe for note in run.notes), resampling_note(named[0][0].truth)]
    notes = tuple(filter(None, dict.fromkeys(said)))
    document = plain(seed_document(comparison, named) | {"notes": notes})
    write_json(document, asked.out / "report.json", indent=2)
    judged = [
        own
        for (a, b), pair in comparison.pairs.items()
        if a == 0
        for own in judge(
            asked.check.gates,
            comparison.means[a].figures,
            pair.points,
            (comparison.means[a].figures.run, comparison.means[b].figures.run),
        )
    ]
    grids = [seed_size_grid(comparison), *(seed_difference_grid(comparison, *p) for p in comparison.pairs)]
    asked.check.write(judged, grids, notes)
    if asked.json_file:
        write_output(document, asked.json_file)
    return judged, partial(_show_seeds, grids, notes, "groups of images" if asked.group else "images", asked.out)


def _show_seeds(grids: Sequence[Grid], notes: Sequence[str], units: str, out: Path) -> None:
    from rich.console import Console

    console = Console()
    for grid in grids:
        console.print(grid.on_terminal())
        console.print()
    for note in notes:
        say(note)
    say((f"Means over seeds; 95 % intervals over {units} and seeds.", "dim"))
    say((f"-> {out / 'report.json'}", "dim"))
