"""Writes a figure as a file: an HTML page that needs no network, or a PNG picture.

PNG is drawn by kaleido, Plotly's own renderer, which drives a Chrome or Chromium that is already on the machine and
downloads nothing. Pictures that are images to begin with, such as feature maps, need neither: see
`explorer.figures.pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from explorer.text import in_html
from explorer.writing import replacing

WIDTH_PX = 800
"""Width at which every figure has to be readable, and that of a PNG before `scale`."""

_HEIGHT_PX = 450  # Plotly's own, for figures that say nothing
_BROWSER = {"displaylogo": False, "scrollZoom": True, "responsive": True}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ max-width: 1100px; margin: 1em auto; padding: 0 1em; font-family: system-ui, sans-serif; color: #333 }}
h1 {{ font-size: 1.4em }} h2 {{ font-size: 1.1em; margin: 2em 0 0.4em }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


class RenderingError(RuntimeError):
    """A PNG could not be drawn; the message says what is missing and what to do."""


def write_figure(figure: go.Figure, path: Path, *, width_px: int = WIDTH_PX, scale: float = 2) -> Path:
    """Writes a figure to `path`, in the format of its suffix, whole or not at all.

    A transparent background, which is for pages that have their own, becomes white. The figure is not changed.

    Args:
        figure: what to write.
        path: `.html` gives one self-contained page, plotly.js included (5 MB), as wide as its window; `.png` a picture.
            The folder is made where missing.
        width_px: width at which a PNG is laid out, in CSS pixels; the height is the figure's own.
        scale: PNG pixels per CSS pixel.

    Returns:
        `path`.

    Raises:
        ValueError: the suffix is another one.
        RenderingError: for PNG, kaleido is not installed, no browser is found, or the browser failed.
    """
    check_figure_file(path)
    page = _white(figure)
    content = _html(page) if path.suffix.lower() == ".html" else _png(page, width_px, scale)
    with replacing(path) as scratch:
        scratch.write_bytes(content)
    return path


def check_figure_file(path: Path) -> None:
    """Checks that a figure can be written to `path`, before the work that it will show.

    Raises:
        ValueError: the suffix is neither `.html` nor `.png`.
        RenderingError: for PNG, kaleido is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (".html", ".png"):
        raise ValueError(f"{path}: a figure is written as .html or .png, not as {suffix or 'a file without suffix'}.")
    if suffix == ".png":
        _kaleido()


def write_page(title: str, figures: Mapping[str, go.Figure], path: Path) -> Path:
    """Writes several figures below each other, each under its heading, as one self-contained HTML page.

    Raises:
        ValueError: the suffix is not `.html`.
    """
    if path.suffix.lower() != ".html":
        raise ValueError(f"{path}: a page of figures is written as .html.")
    parts = [
        f"<h2>{in_html(heading)}</h2>\n"
        + _white(figure).to_html(
            include_plotlyjs=not number, full_html=False, config=_BROWSER, div_id=f"figure{number}"
        )
        for number, (heading, figure) in enumerate(figures.items())
    ]
    page = _PAGE.format(title=in_html(title), body="\n".join(parts))
    with replacing(path) as scratch:
        scratch.write_text(page, encoding="utf-8")
    return path


def _white(figure: go.Figure) -> go.Figure:
    """A copy of a figure, on white where its background is transparent."""
    page = go.Figure(figure)
    if page.layout.paper_bgcolor in (None, "rgba(0,0,0,0)"):
        page.layout.paper_bgcolor = "white"
    return page


def _html(figure: go.Figure) -> bytes:
    # The element's id would otherwise be random, and two exports of one figure differ.
    page: str = figure.to_html(include_plotlyjs=True, full_html=True, config=_BROWSER, div_id="figure")
    return page.encode()


def _kaleido() -> tuple[Any, type[Exception]]:
    """Plotly's renderer, and what it raises where there is no browser."""
    try:
        import kaleido
        from choreographer.errors import ChromeNotFoundError
    except ImportError as error:
        raise RenderingError(
            "A PNG of this figure needs kaleido, which is not installed: pip install kaleido. "
            "An .html file needs nothing more."
        ) from error
    return kaleido, ChromeNotFoundError


def _png(figure: go.Figure, width_px: int, scale: float) -> bytes:
    kaleido, no_chrome = _kaleido()
    size = {"width": width_px, "height": figure.layout.height or _HEIGHT_PX, "scale": scale}
    options: dict[str, Any] = {"format": "png", **size}
    try:
        # MathJax would be fetched from the network; no figure of ours has formulas.
        content: bytes = kaleido.calc_fig_sync(figure, opts=options, kopts={"mathjax": False})
    except no_chrome as error:
        raise RenderingError(
            "A PNG of this figure needs a Chrome or Chromium, and none was found: install one (on Debian and Ubuntu: "
            "apt install chromium), or name it in the environment variable BROWSER_PATH. "
            "An .html file needs nothing more."
        ) from error
    except Exception as error:  # a browser fails in many ways, and each is the machine's, not the caller's
        raise RenderingError(f"The browser that draws PNGs failed ({error}). An .html file needs none.") from error
    return content
