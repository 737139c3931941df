"""The receptive-field clicker: click a point of a photo and see what a unit there can see, and does see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets
import numpy as np

from explorer.types import Pixels
from explorer.ui.actions.fields import Fields, fields_at, layers_of, on_photo
from explorer.ui.actions.models import Models
from explorer.ui.widgets.figure import FigureView
from explorer.ui.widgets.panel import Panel
from explorer.ui.words import EFFECTIVE, GATES, LAYERS, X, Y

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CELL_PX = 4
_ROWS = 9


class FieldClicker(Panel):
    """Draws the fields of some layers at a point: click it in the photo, or type it and press Enter.

    Attributes:
        model: its `value` is the model's name.
        layers: its `value` are the layers' short names; Ctrl or Shift and the arrow keys choose several.
        x: its `value` is the point's column in the photo's pixels.
        y: its row.
        effective: its `value` is whether effective fields are measured, which takes some seconds the first time.
        gates: its `value` is whether squeeze-excitation works meanwhile.
    """

    def __init__(
        self,
        models: Models,
        names: Sequence[str],
        image_bgr: Pixels,
        *,
        layers: Sequence[str] = ("p2", "p3", "p4"),
        effective: bool = True,
    ) -> None:
        """Shows the middle of the photo.

        Args:
            models: where detectors are kept.
            names: the models to choose from.
            image_bgr: the photo, `(height, width, 3)`.
            layers: chosen at first.
            effective: whether effective fields are measured at first.
        """
        height, width = image_bgr.shape[:2]
        self._models, self._image, self._fields = models, image_bgr, Fields()
        self._wanted = tuple(layers)
        self.model = widgets.Dropdown(options=list(names), description="Model")
        self.layers = widgets.SelectMultiple(rows=_ROWS, description=LAYERS)
        self.x = widgets.BoundedIntText(width // 2, 0, width - 1, description=X)
        self.y = widgets.BoundedIntText(height // 2, 0, height - 1, description=Y)
        self.effective = widgets.Checkbox(effective, description=EFFECTIVE)
        self.gates = widgets.Checkbox(True, description=GATES)
        self.view = FigureView(self._click)
        super().__init__(
            [self.model, widgets.VBox([self.x, self.y]), self.layers, widgets.VBox([self.effective, self.gates])],
            [self.view],
        )
        self._choose_model()
        self.when_changed([self.model], self._choose_model)
        self.when_changed([self.layers, self.x, self.y, self.effective, self.gates], self.draw)

    def draw(self) -> None:
        """Draws what the controls say; a control that changes calls it."""
        with self.at_work(f"{self.model.value}: tracing its layers") as progress:
            figure = fields_at(
                self._fields,
                self._models.get(self.model.value),
                self._image,
                (self.x.value, self.y.value),
                self.layers.value,
                effective=self.effective.value,
                gates=self.gates.value,
                progress=progress,
            )
            self.view.show(_clickable(figure))

    def still(self) -> go.Figure | None:
        return self.view.still()

    def _choose_model(self) -> None:
        with self.at_work(f"loading {self.model.value}"):
            own = list(layers_of(self._models.get(self.model.value)))
            self.layers.options = own
            self.layers.value = [layer for layer in self._wanted if layer in own] or own[:1]
        if not self.failed:
            self.draw()

    def _click(self, x: float, y: float) -> None:
        detector = self._models.get(self.model.value)
        column, row = on_photo(detector, self._image, (x, y))
        self.x.value, self.y.value = int(column), int(row)


def _clickable(figure: go.Figure) -> go.Figure:
    """Lays an invisible trace over the photo: Plotly tells of clicks on traces only."""
    import plotly.graph_objects as go

    (_, width), (height, _) = figure.layout.xaxis.range, figure.layout.yaxis.range
    cells = np.zeros((-(-int(height) // _CELL_PX), -(-int(width) // _CELL_PX)), np.uint8)
    place = {"x0": _CELL_PX / 2, "dx": _CELL_PX, "y0": _CELL_PX / 2, "dy": _CELL_PX}
    figure.add_trace(go.Heatmap(z=cells, opacity=0, showscale=False, hoverinfo="none", **place))
    return figure
