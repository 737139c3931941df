"""The side-by-side viewer: what one to four models find in one photo, and who sees what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from explorer.ui.actions.compare import compare
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models
from explorer.ui.tables import html_table
from explorer.ui.widgets.figure import FigureView
from explorer.ui.widgets.panel import WHOLE, Panel
from explorer.ui.words import MINIMUM_SCORE, sizes_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WHOLE = "the whole photo"
_ROWS = 5


class SideBySide(Panel):
    """Shows a photo once per model with its boxes; zooming one picture moves all.

    The list below has every object that any of them finds, those that only some see first; the arrow keys go through
    it, and the pictures follow.

    Attributes:
        score: its `value` is the lowest score shown.
        sizes: its `value` are the sizes shown, of the protocol of `models`.
        objects: its `value` is the number of the object that is zoomed to, -1 for none.
        comparison: what was found, at every score; None where it could not be.
    """

    def __init__(self, models: Models, names: Sequence[str], photo: str | Path, *, lowest_score: float = 0.5) -> None:
        """Runs the models on the photo.

        Args:
            models: where detectors are kept.
            names: one to four.
            photo: an image file, as `explorer.data.images` reads them.
            lowest_score: shown at first.
        """
        self.comparison: PhotoComparison | None = None
        self.score = widgets.FloatSlider(
            lowest_score,
            min=0.05,
            max=0.95,
            step=0.05,
            description=MINIMUM_SCORE,
            style=WHOLE,
            layout=widgets.Layout(width="380px"),
        )
        named = models.protocol.size_labels
        self.sizes = widgets.SelectMultiple(
            options=named, value=named, rows=max(1, len(named)), description=sizes_of(models.protocol.name), style=WHOLE
        )
        self.objects = widgets.Select(
            options=[(_WHOLE, -1)],
            rows=_ROWS,
            description="Who sees what",
            style=WHOLE,
            layout=widgets.Layout(width="560px"),
        )
        self._counts = widgets.HTML()
        self.view = FigureView()
        super().__init__([self.score, self.sizes, self.objects], [self.view, self._counts])
        with self.at_work("detecting") as progress:
            self.comparison = compare(models, names, photo, progress)
        if not self.failed:
            self._filter()
        self.when_changed([self.score, self.sizes], self._filter)
        self.when_changed([self.objects], self.draw)

    @property
    def filters(self) -> Filters:
        return Filters(self.score.value, tuple(self.sizes.value))

    def draw(self) -> None:
        """Draws what the controls say; a control that changes calls it."""
        if self.comparison is None:
            return
        with self.at_work("drawing"):
            number = -1 if self.objects.value is None else self.objects.value
            view = self.comparison.view_of(self.filters, number) if number >= 0 else None
            self.view.show(self.comparison.figure(self.filters, view))
            rows = self.comparison.counts(self.filters)
            self._counts.value = html_table(list(rows[0]), [list(row.values()) for row in rows])

    def still(self) -> go.Figure | None:
        return self.view.still()

    def _filter(self) -> None:
        self._list_objects()
        self.draw()

    def _list_objects(self) -> None:
        rows = self.comparison.who_sees_what(self.filters) if self.comparison else []
        named = [(f"{row['class']} {row['size, px']} px · {row['seen by']}", int(row["#"])) for row in rows]
        self.objects.options = [(_WHOLE, -1), *named]
        self.objects.value = -1
