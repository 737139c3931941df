"""`explorer compare`: runs on the same images against each other, with intervals, as tables, JSON and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, progress
from explorer.cli.scoring import FoundOptions, MatchBy, ProtocolOptions

if TYPE_CHECKING:
    from explorer.errors.gates import Gate, Judgement
    from explorer.report.tables import Grid
    from explorer.scoring.columns import Task
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
    from rich.console import Console

    from explorer.api.compare import compare as compare_runs
    from explorer.errors.gates import check_figures, gate_of, judge
    from explorer.report.document import annotations_with, found_by_columns
    from explorer.report.tables import difference_grid, object_grid, size_grid
    from explorer.report.words import found_sentence
    from explorer.scoring.outcomes import FoundRule
    from explorer.scoring.runs import load_run
    from explorer.writing import alone_in, replacing_together, write_json

    with exit_codes(), _options_named():
        if len(runs) < 2:
            raise ValueError("a comparison needs at least two runs; create them with `explorer evaluate --out`")
        recipes = [[run] if Path(run).exists() else run.strip(",").split(",") for run in runs]
        task: Task = "segm" if masks else "bbox"
        protocol, rule = rules.asked(), found.rule
        check = _Check([gate_of(text) for text in fail_if or ()], junit_file, markdown_file)
        if any(len(recipe) > 1 for recipe in recipes):
            if rule != FoundRule():
                raise ValueError(
                    "--iou, --score and --precision cannot be used with several seeds; compare single runs"
                )
            judged = _over_seeds(recipes, data, match_by, task, out, protocol, resamples, seed, force, json_file, check)
            _end(judged)
            return
        loaded = [load_run(path, data, match_by=match_by, protocol=protocol) for path in runs]
        check_figures(check.gates, loaded[0].protocol.labels)
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
        with alone_in(out), replacing_together(out, "report.json") as scratch:
            write_json(document, scratch / "report.json", indent=2)
            write_json(annotations_with(comparison.truth, found_by_columns(comparison)), scratch / "objects.json")
            report.write_page(scratch / "report.html")
        judged = [
            own
            for pair in comparison.pairs
            if pair.a == 0
            for own in judge(
                check.gates,
                comparison.resamples[0].figures,
                pair.differences.points,
                (comparison.names[pair.a], comparison.names[pair.b]),
            )
        ]
        grids = [size_grid(analyses), *(difference_grid(comparison, pair) for pair in comparison.pairs)]
        check.write(judged, grids, report.sentences())
        if json_file:
            write_output(document, json_file)
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
        say((f"-> {out / 'report.html'}", "dim"))
    _end(judged)


@dataclass(frozen=True)
class _Check:
    """What is to be checked, and where the outcome goes."""

    gates: Sequence[Gate]
    junit_file: Path | None
    markdown_file: Path | None

    def __post_init__(self) -> None:
        if self.junit_file and not self.gates:
            raise ValueError(
                '--junit writes the results of --fail-if; give at least one condition, such as --fail-if "APs < -0.5"'
            )

    def write(self, judged: Sequence[Judgement], grids: Sequence[Grid], notes: Sequence[str]) -> None:
        from explorer.report.gates import junit, markdown
        from explorer.writing import replacing

        texts = ((self.junit_file, junit(judged, notes)), (self.markdown_file, markdown(judged, grids, notes)))
        for path, text in texts:
            if path:
                with replacing(path) as scratch:
                    scratch.write_text(text, encoding="utf-8")


def _end(judged: Sequence[Judgement]) -> None:
    """Says on standard error what became of each condition, and exits with 1 where one failed."""
    from explorer.report.gates import gate_words

    for own in judged:
        say(gate_words(own), err=True)
    if any(own.outcome == "failed" for own in judged):
        raise typer.Exit(1)


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
    check: _Check,
) -> list[Judgement]:
    from rich.console import Console

    from explorer.errors.gates import check_figures, judge
    from explorer.errors.seeds import compare_seeds
    from explorer.report.analysis import named_apart
    from explorer.report.document import seed_document
    from explorer.report.tables import seed_difference_grid, seed_size_grid
    from explorer.scoring.alike import alike
    from explorer.scoring.matching import match
    from explorer.scoring.runs import load_run
    from explorer.writing import plain, write_json

    for recipe in recipes:
        if len({Path(path).resolve() for path in recipe}) < len(recipe):
            raise ValueError(f"{','.join(recipe)} contains a run twice; give runs with different seeds")
    loaded = [[load_run(path, data, match_by=match_by, protocol=protocol) for path in recipe] for recipe in recipes]
    check_figures(check.gates, loaded[0][0].protocol.labels)
    firsts = named_apart([first for first, *_ in loaded])
    named = [[first, *others] for first, (_, *others) in zip(firsts, loaded, strict=True)]
    compared = iter(alike([run for recipe in named for run in recipe], data=data, protocol=protocol, force=force))
    named = [[next(compared) for _ in recipe] for recipe in named]
    matches = [[match(run, task) for run in recipe] for recipe in named]
    with progress("resampling") as advance:
        comparison = compare_seeds(matches, resamples=resamples, seed=seed, progress=advance)
    notes = tuple(dict.fromkeys(note for recipe in named for run in recipe for note in run.notes))
    document = plain(seed_document(comparison, named) | {"notes": notes})
    write_json(document, out / "report.json", indent=2)
    judged = [
        own
        for (a, b), pair in comparison.pairs.items()
        if a == 0
        for own in judge(
            check.gates,
            comparison.means[a].figures,
            pair.points,
            (comparison.means[a].figures.run, comparison.means[b].figures.run),
        )
    ]
    grids = [seed_size_grid(comparison), *(seed_difference_grid(comparison, *p) for p in comparison.pairs)]
    check.write(judged, grids, notes)
    if json_file:
        write_output(document, json_file)
    if json_file != "-":
        console = Console()
        for grid in grids:
            console.print(grid.on_terminal())
            console.print()
        for note in notes:
            say(note)
        say(("Means over seeds; 95 % intervals over images and seeds.", "dim"))
        say((f"-> {out / 'report.json'}", "dim"))
    return judged
