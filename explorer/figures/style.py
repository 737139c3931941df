"""What all figures share: they read on white and on black, and stand in pages without a frame."""

from __future__ import annotations

from typing import Any

from explorer.engine.draw import class_color

INK = "#808080"
"""Of words and lines: reads on white and on black."""
FAINT = "rgba(128,128,128,0.25)"
"""Of grids."""
LAYOUT: dict[str, Any] = {
    "font": {"color": INK, "family": "system-ui, sans-serif", "size": 13},
    "plot_bgcolor": "rgba(0,0,0,0)",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "hoverlabel": {"font_size": 13},
}
"""For `figure.update_layout`."""


def rgb(index: int, opacity: float = 1) -> str:
    """The colour of a class, or of anything else that is told apart by a number, in Plotly's words."""
    red, green, blue = class_color(index)
    return f"rgba({red},{green},{blue},{opacity:g})"
