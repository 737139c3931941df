"""Plots on the page: pictures that the wheel zooms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradio.components.plot import PlotData

if TYPE_CHECKING:
    import plotly.graph_objects as go

NARROW_PX = 600
"""Pages that are narrower show pictures one below the other."""
_BUTTONS = ["toImage", "zoom2d", "pan2d", "select2d", "lasso2d", "autoScale2d"]
"""What drag and wheel do by themselves, and what would hide the titles below."""
_CONFIG = {"scrollZoom": True, "displaylogo": False, "modeBarButtonsToRemove": _BUTTONS}


def zoomable(figure: go.Figure) -> PlotData:
    """Makes a figure one that the wheel zooms; Gradio's own way of sending figures leaves their settings out."""
    return PlotData(type="plotly", plot=f'{figure.to_json()[:-1]},"config":{json.dumps(_CONFIG)}}}')
