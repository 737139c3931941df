"""Renders Plotly figures to PNG in Chromium through Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from plotly.offline import get_plotlyjs

WIDTH_PX, SCALE = 800, 0.9
_HEIGHT_PX = 450  # Plotly's default, for figures without a height


@contextmanager
def painter() -> Iterator[Callable[[dict[str, Any]], bytes]]:
    """Yields a function that draws a figure's JSON as a PNG."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        raise SystemExit("Pictures are drawn by Chromium, which is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": 2000}, device_scale_factor=SCALE)
        page.set_content('<body style="margin: 0"></body>')
        page.add_script_tag(content=get_plotlyjs())

        def paint(figure: dict[str, Any]) -> bytes:
            height = figure["layout"].get("height", _HEIGHT_PX)
            layout = figure["layout"] | {"width": WIDTH_PX, "height": height, "paper_bgcolor": "white"}
            page.evaluate(
                """async ([data, layout]) => {
                    document.body.innerHTML = '<div id="here"></div>';
                    document.getElementById('here').style.height = layout.height + 'px';
                    await Plotly.newPlot('here', data, layout, {staticPlot: true});
                }""",
                [figure["data"], layout],
            )
            page.wait_for_timeout(300)
            return page.locator("#here").screenshot()

        yield paint
        browser.close()
