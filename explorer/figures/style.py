"""What all figures share: they read on white and on black, and stand in pages without a frame."""

from __future__ import annotations

from typing import Any

SERIES = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""Okabe and Ito's colours without black, of bars, lines and marks; classes have `explorer.engine.colors`."""
INK = "rgb(117,117,117)"
"""Of words and lines: 4.6 : 1 on white. Where a page is dark, it makes words of this very colour light."""
FAINT = "rgba(128,128,128,0.25)"
"""Of grids."""
FONT: dict[str, Any] = {"color": INK, "family": "system-ui, sans-serif", "size": 13}
LAYOUT: dict[str, Any] = {
    "font": FONT,
    "plot_bgcolor": "rgba(0,0,0,0)",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "hoverlabel": {"font_size": 13},
}
"""For `figure.update_layout`."""


def rgb(index: int, opacity: float = 1) -> str:
    """The colour of anything that is told apart by a number, in Plotly's words; after seven they repeat."""
    red, green, blue = SERIES[index % len(SERIES)]
    return f"rgba({red},{green},{blue},{opacity:g})"
