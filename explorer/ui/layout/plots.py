"""Plots on the page: pictures that the wheel zooms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradio.components.plot import PlotData

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CONFIG = {"scrollZoom": True, "displaylogo": False}


def zoomable(figure: go.Figure) -> PlotData:
    """Makes a figure one that the wheel zooms; Gradio's own way of sending figures leaves their settings out."""
    return PlotData(type="plotly", plot=json.dumps({**json.loads(figure.to_json()), "config": _CONFIG}))
