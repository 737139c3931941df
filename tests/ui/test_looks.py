"""Six states of the page beside pictures of how they looked when somebody looked at them last.

Pictures are compared at a fifth of their size and with a tolerance, since fonts differ between machines. After a change
that is wanted, `EXPLORER_NEW_LOOKS=1 pytest -m slow tests/ui/test_looks.py` writes them anew; look at them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.browser]

LOOKS = Path(__file__).parent / "looks"
SHRUNK = 5
MEAN, SHARE, FAR = 10.0, 0.12, 48
"""The mean difference of values of 0 to 255, and the share of pixels that may differ by more than the last."""


def opened(_: Any) -> None:
    """What everybody sees first."""


def cells(page: Any) -> None:
    page.page.locator("button.thumbnail-lg").filter(has_text="blood cells").click()
    page.page.get_by_text("A · demo/V-19-slim-dw-bccd").first.wait_for(timeout=120_000)
    page.settle()


def features(page: Any) -> None:
    page.tab("Features")


def speed(page: Any) -> None:
    page.tab("Speed and accuracy")
    page.page.locator(".js-plotly-plot:visible .annotation-text").first.wait_for(timeout=60_000)


def errors(page: Any) -> None:
    page.tab("Errors")


STATES: dict[str, tuple[Callable[[Any], None], int, bool]] = {
    "open": (opened, 1400, False),
    "open-narrow-dark": (opened, 420, True),
    "cells-dark": (cells, 1400, True),
    "features": (features, 1400, False),
    "speed-narrow": (speed, 420, False),
    "errors-dark": (errors, 1400, True),
}
"""What to do, how wide the page is, and whether it is dark."""


@pytest.mark.parametrize("state", STATES)
def test_the_page_looks_as_it_did(visit: Callable[..., Any], state: str) -> None:
    act, width, dark = STATES[state]
    page = visit(width, dark=dark)
    page.settle()
    act(page)
    page.settle()
    page.page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    if width < 600:
        page.page.locator("#tabs").first.evaluate("own => own.scrollIntoView()")
    page.page.mouse.move(0, 0)
    page.page.wait_for_timeout(1500)
    seen = Image.open(io.BytesIO(page.page.screenshot())).convert("RGB").reduce(SHRUNK)
    path = LOOKS / f"{state}.png"
    if os.environ.get("EXPLORER_NEW_LOOKS"):
        LOOKS.mkdir(exist_ok=True)
        seen.quantize(64).save(path, optimize=True)
    known = np.asarray(Image.open(path).convert("RGB"), np.float64)
    difference = np.abs(np.asarray(seen, np.float64) - known)
    assert difference.mean() < MEAN, state
    assert (difference.max(axis=2) > FAR).mean() < SHARE, state
