"""Makes the pictures of the page in docs/: every tab on a wide light page and a narrow dark one, after its main action.

`python tools/screenshots.py [TAB ...]` starts the page, drives it in Chromium and writes `docs/app-TAB.png`.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDE, NARROW, NARROW_PX = (1400, 1000), (420, 900), 300
"""Sizes of the windows, and how wide the narrow one is in the picture."""
MOST_PX, MOST_RATIO, COLORS = 1000, 3, 256
"""Width of a picture, how many times as long it may be, and its colours: documents load fast."""
PATIENCE_MS = 240_000


def main(wanted: list[str]) -> None:
    """Writes the pictures of the tabs wanted; of all where none is named."""
    from playwright.sync_api import sync_playwright

    unknown = set(wanted) - set(TABS)
    if unknown:
        raise SystemExit(f"There is no tab {', '.join(sorted(unknown))}: name some of {', '.join(TABS)}.")
    with TemporaryDirectory() as folder, served(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for tab in wanted or TABS:
            wide = shot(browser, url, tab, WIDE, dark=False)
            narrow = shot(browser, url, tab, NARROW, dark=True)
            path = ROOT / "docs" / f"app-{tab}.png"
            beside(wide, narrow).save(path, optimize=True)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
        browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Runs the page on a free port until it is no longer needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder), "EXPLORER_CACHE": str(folder / "cache")}
    url = f"http://127.0.0.1:{port}/"
    with subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | env) as server:
        try:
            for _ in range(240):
                try:
                    urllib.request.urlopen(url, timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield url
        finally:
            server.terminate()


def shot(browser: Any, url: str, tab: str, size: tuple[int, int], *, dark: bool) -> Image.Image:
    """Opens the page, goes to a tab, does what there is to do, and returns what is seen."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}?__theme={'dark' if dark else 'light'}")
    page.locator("button.thumbnail-lg").first.wait_for()
    settle(page)
    name, act = TABS[tab]
    button = page.get_by_role("tab", name=name, exact=True)
    if not button.first.is_visible():
        page.locator(".overflow-menu > button").click()
        button = page.locator(".overflow-dropdown button").get_by_text(name, exact=True)
    button.first.click()
    settle(page)
    act(page)
    settle(page)
    if size == NARROW:
        page.evaluate("() => document.querySelector('#tabs').scrollIntoView()")
        page.wait_for_timeout(500)
    picture = page.screenshot(full_page=size == WIDE)
    context.close()
    return Image.open(io.BytesIO(picture)).convert("RGB")


def settle(page: Any) -> None:
    """Waits until nothing has been going on for a while."""
    page.evaluate("() => { window.quiet = 0; }")
    page.wait_for_function(
        """() => {
            window.quiet = document.querySelector('.progress-text, .generating, .eta-bar') ? 0 : window.quiet + 1;
            return window.quiet > 20;
        }""",
        polling=50,
    )


def beside(wide: Image.Image, narrow: Image.Image) -> Image.Image:
    """The wide page, cut where it gets long, and the narrow one beside it, in few colours."""
    wide = wide.crop((0, 0, wide.width, min(wide.height, MOST_RATIO * wide.width)))
    room = MOST_PX - NARROW_PX - 20
    wide = wide.resize((room, wide.height * room // wide.width), Image.Resampling.LANCZOS)
    narrow = narrow.resize((NARROW_PX, narrow.height * NARROW_PX // narrow.width), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (MOST_PX, max(wide.height, narrow.height)), "white")
    sheet.paste(wide, (0, 0))
    sheet.paste(narrow, (room + 20, 0))
    return sheet.quantize(COLORS, kmeans=COLORS, dither=Image.Dither.NONE)  # the nearest colours: greys stay grey


def press(page: Any, button: str) -> None:
    """Presses a button by its words."""
    page.locator("button:visible").get_by_text(button, exact=True).first.click()


def nothing(_: Any) -> None:
    """Some tabs show all they have when they are opened."""


def compare_cells(page: Any) -> None:
    """Clicks the example of blood cells, and waits for its two models, named above their pictures."""
    page.locator("button.thumbnail-lg").filter(has_text="blood cells").click()
    page.locator(".js-plotly-plot:visible").get_by_text("MobileNetV2-bccd").first.wait_for()


def explain_object(page: Any) -> None:
    """Asks what speaks for the first object of the list."""
    page.get_by_label("Object", exact=True).click()
    page.get_by_role("option").first.click()
    page.get_by_text("classifies this box from").first.wait_for()


def see_fields(page: Any) -> None:
    """Waits for the fields in the middle of the photo."""
    page.locator(".js-plotly-plot:visible .imagelayer image").nth(1).wait_for()


def explain_miss(page: Any) -> None:
    """Opens the first miss of the examination that the tab opens on."""
    page.get_by_role("table", name="By size, in percent").get_by_text("AP small").wait_for()
    page.locator("button.thumbnail-lg:visible").get_by_text(" px: ").first.click()
    page.get_by_text("Verdict:").wait_for()


def measure(page: Any) -> None:
    """Times the models on this machine."""
    press(page, "Measure on this machine")
    page.get_by_role("table", name="Time per photo").wait_for()


TABS: dict[str, tuple[str, Callable[[Any], None]]] = {
    "compare": ("Compare", nothing),
    "cells": ("Compare", compare_cells),
    "features": ("Features", explain_object),
    "fields": ("Receptive field", see_fields),
    "errors": ("Errors", explain_miss),
    "speed": ("Speed and accuracy", measure),
    "train": ("Train", nothing),
    "about": ("About", nothing),
}
"""By the end of the picture's name: its tab, and what is done there."""

if __name__ == "__main__":
    main(sys.argv[1:])
