"""The tables of reports, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from explorer.errors.bootstrap import Interval, Resamples
from explorer.errors.compare import Comparison, Pair
from explorer.errors.paired import OUTCOMES, Differences, FoundBy
from explorer.errors.seeds import SeedComparison, SeedDifferences, SeedMeans
from explorer.report.analysis import RunAnalysis
from explorer.report.fates import FOUND, LOW_SCORE, fates_of
from explorer.report.words import interval_words, p_words, seed_settle_words, settle_words
from explorer.scoring.metrics import Figures
from explorer.scoring.sizes import SizeBin
from explorer.text import NAME_LENGTH, in_html, in_markdown, on_terminal
from explorer.types import Floats, Ints

if TYPE_CHECKING:
    from explorer.autopsy.result import Autopsy
    from explorer.engine.speed.backbone_stages import StageCost
    from explorer.errors.improve import Help

"""What a figure rests on; the images are those that have such objects."""


@dataclass(frozen=True)
class Grid:
    """A table's words, which may come from files: each way of showing them escapes them for its output.

    Attributes:
        head: one per column.
        rows: cells.
        sure: places of the rows whose difference is no noise.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sure: tuple[int, ...] = ()

    def _lengths(self) -> list[tuple[tuple[str, ...], int]]:
        """The rows, head first, and how long their words may be: a head may hold a rule beside a name."""
        return [(self.head, 2 * NAME_LENGTH), *((row, NAME_LENGTH) for row in self.rows)]

    def on_terminal(self) -> Table:
        """Lays the words out with rich; what is sure is bold. The first column may wrap, between words."""
        table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
        head, *rows = ([on_terminal(word, most=most) for word in row] for row, most in self._lengths())
        words = max((len(word) for row in rows for word in row[0].plain.split()), default=0)
        for place, column in enumerate(head):
            table.add_column(
                column, justify="right" if place else "left", no_wrap=place > 0, min_width=0 if place else words
            )
        for place, row in enumerate(rows):
            table.add_row(*row, style="bold" if place in self.sure else None)
        return table

    def as_markdown(self) -> str:
        """The same as a table of Markdown, as GitHub and GitLab show it."""
        head, *rows = [[in_markdown(word, most) for word in row] for row, most in self._lengths()]
        lines = [head, ["---", *["---:"] * (len(head) - 1)]]
        lines += [[f"**{word}**" for word in row] if place in self.sure else row for place, row in enumerate(rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _repr_html_(self) -> str:
        """The same as a table of HTML, for notebooks."""
        head = "".join(f'<th scope="col">{in_html(word, 2 * NAME_LENGTH)}</th>' for word in self.head)
        lines = []
        for place, row in enumerate(self.rows):
            words = [in_html(word, NAME_LENGTH) for word in row]
            shown = [f"<b>{word}</b>" for word in words] if place in self.sure else words
            lines.append("<tr>" + "".join(f"<td>{word}</td>" for word in shown) + "</tr>")
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def cost_grid(costs: Mapping[str, Sequence[StageCost]]) -> Grid:
    """Makes a table of the parameters, multiplications and memory traffic of each stage.

    Args:
        costs: costs of the stages, by model, as `stage_costs` returns them.
    """
    head = ("model", "stage", "parameters, M", "GMAC", "memory traffic, MB", "MAC per byte")
    rows = tuple(
        (
            model,
            cost.name,
            f"{cost.params / 1e6:.2f}",
            f"{cost.gmac:.2f}",
            f"{cost.traffic_mb:,.0f}",
            f"{cost.macs_per_byte:.1f}",
        )
        for model, own in costs.items()
        for cost in own
    )
    return Grid(head, rows)


def size_grid(analyses: Sequence[RunAnalysis], names: Sequence[str] = ("AP",)) -> Grid:
    """Figures in percent by size with their 95 % intervals, one column per run, and what they rest on."""
    return _sizes([analysis.resamples for analysis in analyses], names)


def class_grid(analysis: RunAnalysis, name: str = "AP") -> Grid:
    """One figure in percent by class and size, with the objects that it rests on; classes without objects are left out.

    Args:
        analysis: of a run.
        name: of the figure.
    """
    figures = analysis.resamples.figures
    values = figures.by_class[figures.names.index(name)]
    return class_size_grid(name, figures.class_names, figures.own_bins, values, figures.objects)


def class_size_grid(
    name: str, class_names: Sequence[str], sizes: Sequence[SizeBin], values: Floats, objects: Ints
) -> Grid:
    """Lays a figure `(A, C)` out by class and size, with the objects that it rests on."""
    rows = tuple(
        (own, *(_resting(values[place, row], int(objects[place, row])) for place in range(len(sizes))))
        for row, own in enumerate(class_names)
        if objects[:, row].any()
    )
    return Grid((f"{name} (objects)", *(size.name for size in sizes)), rows)


def _resting(value: float, objects: int) -> str:
    return f"{value:.1f} ({objects:,})" if objects else "–"


def seed_size_grid(comparison: SeedComparison, names: Sequence[str] = ("AP",)) -> Grid:
    """Means over seeds in percent by size, with intervals over images and seeds; one column per recipe."""
    grid = _sizes(comparison.means, names)
    recipes = (f"{mean.figures.run}, {len(mean.each)} seeds" for mean in comparison.means)
    return replace(grid, head=(grid.head[0], *recipes))


def _sizes(measured: Sequence[Resamples | SeedMeans], names: Sequence[str]) -> Grid:
    figures = measured[0].figures
    given = [one.intervals() for one in measured]
    rows: list[tuple[str, ...]] = []
    for name in names:
        row = figures.names.index(name)
        columns = [_ends(own, row, len(figures.own_bins), unit=figures.unit) for own in given]
        for place, (size, *cells) in enumerate(zip(figures.bins, *columns, strict=False)):
            rows.append((f"{name} {size.name} {_behind(given[0], row, place)}", *cells))
    return Grid((_rests(figures), *(one.figures.run for one in measured)), tuple(rows))


def difference_grid(comparison: Comparison, pair: Pair, names: Sequence[str] = ("AP",)) -> Grid:
    """By how much B's figures differ from A's, by size, in percentage points."""
    a, b = (comparison.resamples[place].figures for place in (pair.a, pair.b))
    return _differences(a, b, pair.differences, names, settle_words, pair.differences.more_images)


def seed_difference_grid(comparison: SeedComparison, a: int, b: int, names: Sequence[str] = ("AP",)) -> Grid:
    """By how much recipe B's means over seeds differ from A's, by size, in percentage points."""
    given, sides = comparison.pairs[a, b], (comparison.means[a].figures, comparison.means[b].figures)
    return _differences(*sides, given, names, seed_settle_words, given.seed_shares)


def _differences(
    a: Figures,
    b: Figures,
    given: Differences | SeedDifferences,
    names: Sequence[str],
    words_of: Callable[[float, bool], str],
    needs: Floats,
) -> Grid:
    rows: list[tuple[str, ...]] = []
    sure: list[int] = []
    for name in names:
        row = a.names.index(name)
        for place, words in enumerate(_ends(given.points, row, len(a.own_bins), signed=True, unit=a.unit)):
            settled = bool(given.points.excludes_zero[row, place])
            sure += [len(rows)] * settled
            p, need = float(given.p_values[row, place]), float(needs[row, place])
            label = f"{name} {a.bins[place].name} {_behind(given.points, row, place)}"
            rows.append((label, words, p_words(p), words_of(need, settled)))
    head = (f"{b.run} − {a.run} {_rests(a)}", "difference", "p", "what would settle it")
    return Grid(head, tuple(rows), tuple(sure))


def object_grid(comparison: Comparison, pair: Pair, *, fine: bool = True) -> Grid:
    """How many objects both runs find, only run A, only run B, or none, by size; `fine` adds the finer sizes."""
    figures = comparison.resamples[0].figures
    sizes = {size.name for size in figures.own_bins}
    tallies = [
        tally
        for tally in pair.tallies.values()
        if tally.class_name is None and tally.objects and (fine or tally.size in sizes)
    ]
    rows = tuple(
        (
            f"{tally.size} ({tally.objects:,} in {tally.images:,})",
            *(f"{getattr(tally, outcome):,}" for outcome in OUTCOMES),
            interval_words(*_recall(tally), signed=True, unit=figures.unit),
            p_words(tally.image_p_value),
            p_words(tally.mcnemar_p_value),
        )
        for tally in tallies
    )
    a, b = comparison.points[pair.a], comparison.points[pair.b]
    found = f"found: {a.words} (A), ≥ {b.score:.3g} (B) {_rests(figures)}"
    head = (found, "both", "only A", "only B", "neither", "B − A, %", "p", "McNemar")
    return Grid(head, rows, tuple(i for i, t in enumerate(tallies) if t.low_points > 0 or t.high_points < 0))


def fate_grid(analysis: RunAnalysis) -> Grid:
    """Outcomes of the objects of each size: numbers, and shares of the objects of that size."""
    fates, point = fates_of(analysis), analysis.point
    sizes = analysis.resamples.figures.own_bins
    counts = [fates.counts(size) for size in sizes]
    totals = [sum(own.values()) for own in counts]
    words = {FOUND: f"{FOUND}: {point.words}", LOW_SCORE: f"{LOW_SCORE}: score < {point.score:.3g}"}
    rows = tuple(
        (words.get(name, name), *(_share(own[name], total) for own, total in zip(counts, totals, strict=True)))
        for name in fates.names
        if counts[0][name] or name == FOUND
    )
    head = (f"{size.name} ({total:,})" for size, total in zip(sizes, totals, strict=True))
    return Grid((analysis.run.name, *head), rows)


def verification_grid(autopsy: Autopsy) -> Grid:
    """Outcomes of lost objects after relaxing only the stage that lost them, by stage."""
    rows = tuple(
        (verdict.label, f"{own.lost:,}", _share(own.confirmed, own.lost), _share(own.found, own.lost))
        for verdict, own in autopsy.verification.items()
    )
    return Grid(("relaxed stage", "lost there", "get past it", "are detected"), rows)


def help_grid(ways: Sequence[Help]) -> Grid:
    """What each way of using a detector adds to AP and to small objects' AP, and how many times as long it takes.

    Small are those of the protocol's first size; VisDrone's has none.
    """
    rows, sure = [], []
    names = [size.name for size in ways[0].resamples.figures.bins[:2]]
    for place, way in enumerate(ways):
        ends = _ends(way.differences.points, 0, len(names), signed=True, unit=way.resamples.figures.unit)
        low, middle, high = way.time_quartiles()
        values = way.resamples.figures.overall[0, : len(names)].tolist()
        if place:
            rows.append((way.name, *ends, f"{middle:.2f} [{low:.2f}, {high:.2f}]"))
        else:
            known = ("–" if np.isnan(value) else f"AP {value:.1f}" for value in values)
            rows.append((way.name, *known, f"{1000 * np.median(way.seconds):.0f} ms"))
        if place and way.differences.settled[0, len(names) - 1]:
            sure.append(place)
    added = (
        f"Δ AP {name if place else ''} {_behind(ways[0].differences.points, 0, place)}".replace("  ", " ")
        for place, name in enumerate(names)
    )
    return Grid((_rests(ways[0].resamples.figures), *added, "time, ratio [quartiles]"), tuple(rows), tuple(sure))


def _rests(figures: Figures) -> str:
    """What the numbers behind a size count, as `_behind` gives them."""
    return f"(objects in {figures.unit})"


def _recall(tally: FoundBy) -> tuple[float, float, float]:
    return tally.recall_difference_points, tally.low_points, tally.high_points


def _behind(given: Interval, row: int, place: int) -> str:
    """`(191 in 45)`, as `_rests` says."""
    return f"({given.objects[row, place]:,} in {given.images[row, place]:,})"


def _ends(given: Interval, row: int, sizes: int, *, signed: bool = False, unit: str) -> list[str]:
    ends = [array[row, :sizes].tolist() for array in (given.value, given.low, given.high)]
    return [interval_words(*figure, signed=signed, unit=unit) for figure in zip(*ends, strict=True)]


def _share(number: int, of: int) -> str:
    return f"{number:,} ({100 * number / of:.1f} %)" if of else "–"
