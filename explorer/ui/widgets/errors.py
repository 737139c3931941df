"""The error browser: the most informative misses of models, each as a crop, a sentence and the boxes that decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets

from explorer.text import in_html, legible
from explorer.ui.actions.errors import Examination, explain_miss
from explorer.ui.actions.models import Models
from explorer.ui.widgets.figure import FigureView
from explorer.ui.widgets.panel import WHOLE, Panel
from explorer.ui.words import MISSES, MODEL

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROWS = 8


class ErrorBrowser(Panel):
    """Goes through what models miss. The arrow keys move through the list of misses.

    Attributes:
        model: its `value` is whose misses are listed.
        misses: its `value` is the number of the miss that is shown.
    """

    def __init__(self, models: Models, examination: Examination) -> None:
        """Shows the first miss of the first model.

        Args:
            models: where detectors are kept; the missed object is followed through the model once more.
            examination: what was found and missed.
        """
        self._models, self._examination = models, examination
        self.model = widgets.Dropdown(
            options=[(legible(name), name) for name in examination.names], description=MODEL, style=WHOLE
        )
        self.misses = widgets.Select(rows=_ROWS, description=MISSES, style=WHOLE, layout=widgets.Layout(width="640px"))
        self._words = widgets.HTML()
        self.view = FigureView()
        super().__init__([self.model, self.misses], [self._words, self.view])
        self._choose_model()
        self.when_changed([self.model], self._choose_model)
        self.when_changed([self.misses], self.draw)

    def draw(self) -> None:
        """Follows the miss that is chosen; a control that changes calls it."""
        from explorer.figures.explain import explained
        from explorer.report.words import found_sentence

        if self.misses.value is None:
            self._words.value = in_html(f"No object is missed ({self._examination.point(self.model.value).words}).")
            return
        with self.at_work("following the object through the model"):
            story = explain_miss(self._models, self._examination, self.model.value, self.misses.value)
            sentences = (found_sentence(self._examination.point(self.model.value)), *story.sentences)
            self._words.value = "".join(f"<p>{in_html(sentence)}</p>" for sentence in sentences)
            self.view.show(explained(story))

    def still(self) -> go.Figure | None:
        return self.view.still()

    def _choose_model(self) -> None:
        truth = self._examination.truth
        options = []
        for number, miss in enumerate(self._examination.misses[self.model.value]):
            width, height = truth.boxes_xywh[miss.row, 2:].tolist()
            name = truth.class_names[truth.classes[miss.row]]
            options.append((legible(f"{name} {width:.0f} × {height:.0f} px: {miss.reason}"), number))
        self.misses.options = options
        self.misses.value = 0 if options else None
        self.draw()
