"""Annotations that are likely wrong, as a run sees them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.result import Result
from explorer.errors.suspects import KINDS, Kind, Suspect
from explorer.errors.suspects import suspects as find
from explorer.report.suspects import COLUMNS, NUMBERS, suspect_grid, suspect_rows, suspect_sentence
from explorer.report.tables import Grid
from explorer.scoring.columns import Run
from explorer.text import legible
from explorer.writing import plain, replacing

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class LabelErrors(Result):
    """Likely label errors, most likely first.

    Attributes:
        run: the run whose detections contradict the annotations.
        suspects: the likely errors.
    """

    run: Run
    suspects: tuple[Suspect, ...]

    @property
    def title(self) -> str:
        return f"{len(self.suspects):,} likely label errors by {self.run.name}, most likely first"

    def tables(self) -> list[Grid]:
        """Returns the most likely errors: their kind, their image and box, and the detection that contradicts them."""
        return [suspect_grid(self.run, self.suspects)]

    def sentences(self) -> list[str]:
        """Returns how many there are of each kind, and how they are ranked."""
        return [suspect_sentence(self.suspects)]

    def figure(self) -> go.Figure:
        """Draws the likelihood by rank, coloured by kind."""
        from explorer.figures.suspects import likelihoods

        return likelihoods(self.suspects)

    def to_dict(self) -> dict[str, Any]:
        """Returns the run's name and `rows`."""
        return plain({"run": self.run.name, "suspects": self.rows()})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per likely error; boxes are corners in pixels, of the annotation and of the detection."""
        return suspect_rows(self.run, self.suspects)

    def write_csv(self, path: str | Path) -> Path:
        """Writes `rows` as a CSV file, with control characters in names escaped, and returns its path."""
        with replacing(Path(path)) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow((*COLUMNS, *NUMBERS))
            for row in self.rows():
                writer.writerow([legible(value) if isinstance(value, str) else value for value in row.values()])
        return Path(path)


def label_errors(run: Run, kinds: Sequence[Kind] = KINDS) -> LabelErrors:
    """See `Run.label_errors`."""
    return LabelErrors(run, find(run, kinds=kinds))
