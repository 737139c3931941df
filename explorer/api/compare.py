"""Runs on the same images against each other: is one better, at which sizes, and which objects does only one find?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.api.inputs import RunLike, as_run
from explorer.api.objects import Row, object_rows
from explorer.api.result import Result
from explorer.errors.bootstrap import RESAMPLES
from explorer.errors.compare import Comparison
from explorer.errors.compare import compare as compare_matches
from explorer.report.analysis import RunAnalysis, analyses_of, autopsy_beside, named_apart
from explorer.report.document import comparison_document, found_by_columns
from explorer.report.tables import Grid, difference_grid, object_grid, size_grid
from explorer.report.words import found_sentence
from explorer.scoring.alike import alike
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import Protocol, protocol_of
from explorer.scoring.resampling import grouped
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonReport(Result):
    """Two or more runs side by side.

    Attributes:
        comparison: the figures of each run and, for each pair, their differences and who finds which objects.
        analyses: the analysis of each single run.
    """

    comparison: Comparison
    analyses: tuple[RunAnalysis, ...]

    @property
    def title(self) -> str:
        images, unscored = len(self.comparison.truth.image_ids), self.comparison.matches[0].unscored
        runs = " against ".join(self.comparison.names)
        return f"{runs}, {images:,} images with {int((~unscored).sum()):,} objects"

    def tables(self) -> list[Grid]:
        """Returns figures by size and, for each pair of runs, the differences and who finds which objects."""
        pairs = self.comparison.pairs
        by_pair = [(difference_grid(self.comparison, p), object_grid(self.comparison, p, fine=False)) for p in pairs]
        return [size_grid(self.analyses), *(grid for grids in by_pair for grid in grids)]

    def sentences(self) -> list[str]:
        """Returns which runs are A and B, what counts as found, and what was not scored."""
        found = [
            f"{letter} is {self.comparison.names[place]}. {found_sentence(self.comparison.points[place])}"
            for pair in self.comparison.pairs
            for letter, place in (("A", pair.a), ("B", pair.b))
        ]
        return list(dict.fromkeys([*found, *(note for own in self.analyses for note in own.notes)]))

    def figure(self) -> go.Figure:
        """Draws AP by object size with 95 % intervals, one colour per run."""
        from explorer.figures.errors import ap_by_size

        return ap_by_size(self.comparison.resamples)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer compare --json`."""
        return plain(comparison_document(self.comparison, self.analyses))  # type: ignore[no-any-return]

    def rows(self) -> list[Row]:
        """Returns one row per annotated object: the runs that find it, and the score in each run (NaN if not found)."""
        comparison = self.comparison
        scores = {
            f"score {name}": np.append(own.run.found.scores, np.nan)[found].tolist()
            for name, own, found in zip(comparison.names, comparison.matches, comparison.found_by, strict=True)
        }
        finders = [list(own) for own in found_by_columns(comparison)["found_by"]]
        return object_rows(comparison.truth, {"found_by": finders, **scores}, comparison.matches[0].protocol)

    def write_page(self, path: Path | str) -> Path:
        """Writes the comparison as a self-contained HTML page with informative misses of both runs."""
        from explorer.report.page import write_comparison_page

        return write_comparison_page(self.comparison, self.analyses, Path(path))


def compare(
    *runs: RunLike,
    masks: bool = False,
    found: FoundRule = FOUND,
    protocol: str | Protocol | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    group: str | None = None,
    data: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ComparisonReport:
    """Compares runs on the same images, with confidence intervals from paired bootstrap resamples of the images.

    Args:
        runs: two or more results of `evaluate`, their folders, or results files.
        masks: compare masks instead of boxes.
        found: IoU and score from which an object counts as found.
        protocol: as `evaluate` takes it; None for the runs' own, which then has to be the same.
        resamples: number of bootstrap resamples of the images.
        seed: random seed of the resamples.
        group: which images are resampled together, since they resemble each other: `scene` for those of one scene or
            video, which the data's images name by the key `scene` or `video_id`; `folder` for those of one folder; or a
            regular expression whose match in the file name is theirs. None for single images.
        data: data set on which all runs are scored, for results files; None for the data set that each run records.
        force: also compare runs with different images, classes, annotations or protocols, on what they have in common;
            the report's notes say so.
        progress: called regularly with the number of resamples done and the total.

    Raises:
        ValueError: there are fewer than two runs, they cannot be compared (see `explorer.scoring.alike`), or the images
            cannot be grouped so.
    """
    if len(runs) < 2:
        raise ValueError(f"A comparison needs two runs or more, and {len(runs)} is given: compare(a, b).")
    given = named_apart([as_run(run, data) for run in runs])
    given = alike(given, data=data, protocol=None if protocol is None else protocol_of(protocol), force=force)
    given = [replace(run, truth=grouped(run.truth, group)) for run in given]
    matches = [match(run, "segm" if masks else "bbox") for run in given]
    comparison = compare_matches(matches, found=found, resamples=resamples, seed=seed, progress=progress)
    return ComparisonReport(comparison, analyses_of(comparison, [autopsy_beside(run) for run in given]))
