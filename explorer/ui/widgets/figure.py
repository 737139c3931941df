"""A Plotly figure in a widget, which changes in place: the page does not move, and a zoom stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

Clicked = Callable[[float, float], None]
"""Called with the coordinates of the point that was clicked."""


class FigureView(widgets.Box):
    """Shows one figure after another.

    A figure with the same kinds of traces as the one before only changes what differs. Any other takes its place.
    """

    def __init__(self, clicked: Clicked | None = None) -> None:
        super().__init__(layout=widgets.Layout(width="100%", display="block"))
        self._clicked = clicked
        self._shown: dict[str, Any] = {}

    @property
    def figure(self) -> Any:
        """The widget that is shown, a `FigureWidget`; None before the first figure."""
        return next(iter(self.children), None)

    def still(self) -> go.Figure | None:
        """The figure as it was shown last, as a plain one."""
        return go.Figure(self._shown) if self._shown else None

    def show(self, figure: go.Figure) -> None:
        """Shows a figure."""
        wanted = {
            "data": [trace.to_plotly_json() for trace in figure.data],  # arrays stay arrays, unlike in the figure's own
            "layout": figure.layout.to_plotly_json(),
        }
        if self._fits(wanted):
            self._change(wanted)
        else:
            self._replace(figure)
        self._shown = wanted

    def _fits(self, wanted: dict[str, Any]) -> bool:
        """Whether the figure has the traces and axes of the one shown."""
        if not self._shown:
            return False
        shapes = [([trace["type"] for trace in one["data"]], _axes(one)) for one in (self._shown, wanted)]
        return bool(shapes[0] == shapes[1])

    def _change(self, wanted: dict[str, Any]) -> None:
        own = self.figure
        with own.batch_update():
            for place, (trace, before) in enumerate(zip(wanted["data"], self._shown["data"], strict=True)):
                if changed := _changed(before, trace):
                    own.data[place].update(changed, overwrite=True)
            if changed := _changed(self._shown["layout"], wanted["layout"]):
                own.layout.update(changed, overwrite=True)

    def _replace(self, figure: go.Figure) -> None:
        old = self.figure
        new = _figure_widget(figure)
        if self._clicked:
            for trace in new.data:
                trace.on_click(self._on_click)
        self.children = (new,)
        if old is not None:
            old.close()

    def _on_click(self, _trace: object, points: Any, _state: object) -> None:
        if self._clicked and points.xs and points.ys:
            self._clicked(float(points.xs[0]), float(points.ys[0]))


def _figure_widget(figure: go.Figure) -> Any:
    try:
        widget = go.FigureWidget(figure)
    except ImportError as error:
        raise ValueError(
            "Figures in widgets need anywidget, which is not installed; run pip install anywidget"
        ) from error
    widget._config = widget._config | {"displaylogo": False, "scrollZoom": True, "responsive": True}
    return widget


def _axes(figure: dict[str, Any]) -> set[str]:
    return {key for key in figure["layout"] if key.startswith(("xaxis", "yaxis"))}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What differs, with None for what is gone."""
    gone: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    return gone | {key: value for key, value in after.items() if key not in before or not _same(before[key], value)}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
