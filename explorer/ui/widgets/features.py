"""The feature explorer: a model, a layer, a channel, a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets

from explorer.types import Pixels
from explorer.ui.actions.features import KINDS, LAYERS, ONE_CHANNEL, Maps, show_layers
from explorer.ui.actions.fields import layers_of
from explorer.ui.actions.models import Models
from explorer.ui.widgets.figure import FigureView
from explorer.ui.widgets.panel import Panel
from explorer.ui.words import CHANNEL, LAYER, SHOW

if TYPE_CHECKING:
    import plotly.graph_objects as go


class FeatureExplorer(Panel):
    """Shows what a layer says about a photo: one channel, its energy, its principal components, its EigenCAM.

    Tab moves between the controls; the arrow keys move the slider, one channel a step.

    Attributes:
        model: its `value` is the model's name.
        photo: its `value` is the photo's name.
        layer: its `value` is the layer's short name.
        kind: its `value` is what is shown of the layer.
        channel: its `value` is the channel's number, where one channel is shown.
    """

    def __init__(
        self, models: Models, names: Sequence[str], photos: Mapping[str, Pixels], *, layer: str = "stage4"
    ) -> None:
        """Shows the first model and the first photo.

        Args:
            models: where detectors are kept.
            names: the models to choose from.
            photos: `(height, width, 3)` uint8, BGR, by what to call them.
            layer: shown at first, where the model has it.
        """
        self._models, self._photos, self._maps = models, dict(photos), Maps()
        self._layer = layer
        self.model = widgets.Dropdown(options=list(names), description="Model")
        self.photo = widgets.Dropdown(options=list(photos), description="Photo")
        self.layer = widgets.Dropdown(description=LAYER)
        self.kind = widgets.Dropdown(options=list(KINDS), value=ONE_CHANNEL, description=SHOW)
        self.channel = widgets.IntSlider(0, 0, 0, description=CHANNEL, layout=widgets.Layout(width="460px"))
        self.view = FigureView()
        super().__init__([self.model, self.photo, self.layer, self.kind, self.channel], [self.view])
        self._choose_model()
        self.when_changed([self.model], self._choose_model)
        self.when_changed([self.photo, self.layer, self.kind, self.channel], self.draw)

    def draw(self) -> None:
        """Draws what the controls say; a control that changes calls it."""
        with self.at_work(f"{self.model.value}: recording {self.layer.value}") as progress:
            image = self._photos[self.photo.value]
            self._fit_slider(image)
            figure = show_layers(
                self._models,
                [self.model.value],
                image,
                [self.layer.value],
                self.kind.value,
                channel=self.channel.value,
                known=self._maps,
                progress=progress,
            )
            self.view.show(figure)

    def still(self) -> go.Figure | None:
        return self.view.still()

    def _choose_model(self) -> None:
        with self.at_work(f"loading {self.model.value}"):
            own = layers_of(self._models.get(self.model.value))
            self.layer.options = [layer for layer in LAYERS if layer in own]
            if self._layer in own:
                self.layer.value = self._layer
        if not self.failed:
            self.draw()

    def _fit_slider(self, image: Pixels) -> None:
        """Gives the slider as many channels as the layer has."""
        maps = self._maps.of(self._models.get(self.model.value), image, [self.layer.value])
        self.channel.max = len(maps[self.layer.value].values) - 1
        self.channel.disabled = self.kind.value != ONE_CHANNEL
