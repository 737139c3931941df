"""What all figures share: they read on white and on black, and stand in pages without a frame."""

from __future__ import annotations

from typing import Any

SERIES = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""Okabe and Ito's colours without black, of bars, lines and marks; classes have `explorer.engine.colors`."""
_RUNS = (0, 1, 4, 5, 6, 3)
"""Of models and runs, in their order: green, `_TRUTH`, is left for the objects themselves."""
_TRUTH = 2
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
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": INK, "activecolor": INK},
}
"""For `figure.update_layout`."""


def rgb(index: int, opacity: float = 1) -> str:
    """The colour of anything that is told apart by a number, in Plotly's words; after seven they repeat."""
    red, green, blue = SERIES[index % len(SERIES)]
    return f"rgba({red},{green},{blue},{opacity:g})"


def run_rgb(place: int, opacity: float = 1) -> str:
    """The colour of a model or run by its place among those that are compared, the same on the page and in FiftyOne."""
    return rgb(_RUNS[place % len(_RUNS)], opacity)


def run_color(place: int) -> tuple[int, int, int]:
    """The same colour as red, green and blue, 0 to 255."""
    return SERIES[_RUNS[place % len(_RUNS)]]


def run_hex(place: int) -> str:
    """The same colour as `#rrggbb`."""
    return in_hex(run_color(place))


def in_hex(color: tuple[int, int, int]) -> str:
    """A colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


TRUTH_HEX = in_hex(SERIES[_TRUTH])
"""Of annotated objects."""
