"""The real App in a real browser, on a real database: grid, panel, saved views, and a miss explained."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.ui.test_accessibility import CONTRASTS

ROOT = Path(__file__).resolve().parents[2]
RUNS = ("demo_V_19_slim_dw", "demo_MobileNetV2")
FOUND_COLOR = (255, 140, 26)
"""Of the first run's boxes."""
pytestmark = [pytest.mark.browser, pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def app(
    database: dict[str, str],
    fiftyone: ModuleType,
    serving: Callable[..., Any],
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """`explorer browse` on a few aerial scenes and two models of the zoo; yields its address."""
    folder = tmp_path_factory.mktemp("app")
    environment = os.environ | database | {"EXPLORER_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    make = [sys.executable, "-m", "explorer", "data", "make", "aerial", str(folder / "aerial"), "--images", "8"]
    subprocess.run(make, env=environment, check=True, capture_output=True)
    port = free_port()
    command = [sys.executable, "-m", "explorer", "browse", f"{folder / 'aerial'}:val"]
    command += ["demo/V-19-slim-dw", "demo/MobileNetV2", "--no-browser", "--port", str(port)]
    with serving(command, f"http://127.0.0.1:{port}/", folder / "log", environment, patience_s=300):
        yield f"http://127.0.0.1:{port}/datasets/aerial-val"


@pytest.fixture(scope="module")
def page(app: str, browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1500, "height": 950})
    page.set_default_timeout(90_000)
    page.route("**/*", lambda route: route.continue_() if is_own(route.request.url) else route.abort())
    page.add_init_script("window.IS_PLAYWRIGHT = true;")  # FiftyOne's own flag: no advertisement covers the grid
    page.goto(app)
    page.get_by_text("AP by object size").wait_for()
    yield page
    page.close()


def is_own(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def screenshot(page: Any, name: str) -> None:
    (ROOT / "test-results").mkdir(exist_ok=True)
    page.wait_for_timeout(500)
    page.screenshot(path=ROOT / f"test-results/{name}.png")


def samples_shown(page: Any) -> int:
    return int(page.locator("[data-cy=entry-counts]").inner_text().split()[0])


def drawn_after(page: Any, seconds: int) -> int:
    """Pixels of the first run's colour in the grid, which is drawn when its photos are decoded; waits for some."""
    pixels = 0
    for _ in range(2 * seconds):
        grid = np.array(Image.open(BytesIO(page.screenshot())).convert("RGB")).astype(int)[150:, 300:1000]
        pixels = int((np.abs(grid - FOUND_COLOR).max(axis=2) < 30).sum())
        if pixels > 100:
            break
        page.wait_for_timeout(500)
    return pixels


def wait_for_count(page: Any, wanted: int) -> None:
    words = f"{wanted} sample{'' if wanted == 1 else 's'}"
    page.locator("[data-cy=entry-counts]").get_by_text(words, exact=True).wait_for()


def dataset(fiftyone: ModuleType) -> Any:
    found = fiftyone.load_dataset("aerial-val")
    found.reload()
    return found


def test_the_grid_shows_boxes(page: Any) -> None:
    page.locator("[data-cy=looker]").nth(7).wait_for()
    wait_for_count(page, 8)
    assert drawn_after(page, 10) > 100
    assert page.locator(".js-plotly-plot").count() == 4
    screenshot(page, "fiftyone")


def test_words_of_the_panel_read_in_both_themes(page: Any) -> None:
    seen = set()
    for _ in range(2):
        page.get_by_title(re.compile("^(Light|Dark) mode$")).click()
        page.wait_for_timeout(500)  # the old figures go
        page.locator(".js-plotly-plot .gtitle").nth(3).wait_for()
        seen.add(page.get_by_title(re.compile("^(Light|Dark) mode$")).get_attribute("title"))
        words = page.evaluate(CONTRASTS)
        assert {"AP by object size, % with 95 % intervals", "small", RUNS[0]} <= {own for own, _ in words}
        assert [(own, round(ratio, 1)) for own, ratio in words if ratio < 4.5] == []
        screenshot(page, f"fiftyone-panel-{len(seen)}")
    assert seen == {"Light mode", "Dark mode"}


def test_a_bar_shows_its_boxes(page: Any, fiftyone: ModuleType) -> None:
    from explorer.browser.views import only_found_by

    bar = page.locator(".js-plotly-plot").nth(1).locator(".bars .point path").first
    bar.wait_for()
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expected = only_found_by(dataset(fiftyone), *RUNS, "small")
    assert 0 < len(expected) < 8
    wait_for_count(page, len(expected))


def test_a_saved_view_has_its_count(page: Any, fiftyone: ModuleType) -> None:
    name = f"{RUNS[0]}: small misses"
    page.locator("[data-cy=saved-views-selection]").first.click()
    page.get_by_text(name, exact=True).first.click()
    expected = dataset(fiftyone).load_saved_view(name)
    assert 0 < len(expected) < 8
    wait_for_count(page, len(expected))
    screenshot(page, "fiftyone-small-misses")


def free_label(view: Any) -> tuple[str, list[float]]:
    """A sample, and the box of an object in it whose middle no detection covers."""
    for sample in view:
        boxes = [label.bounding_box for run in RUNS for label in sample[run].detections]
        for label in sample.ground_truth.detections:
            x, y = label.bounding_box[0] + label.bounding_box[2] / 2, label.bounding_box[1] + label.bounding_box[3] / 2
            if not any(left <= x <= left + w and top <= y <= top + h for left, top, w, h in boxes):
                return sample.id, label.bounding_box
    pytest.fail("no object stands free")


def test_a_miss_is_explained(page: Any, app: str, fiftyone: ModuleType) -> None:
    view = dataset(fiftyone).load_saved_view(f"{RUNS[0]}: small misses")
    sample_id, (left, top, width, height) = free_label(view)
    page.goto(f"{app}?id={sample_id}&view={RUNS[0].lower().replace('_', '-')}-small-misses")
    canvas = page.locator("#modal canvas").first
    canvas.wait_for()
    page.wait_for_timeout(4000)
    frame = canvas.bounding_box()
    scale = min(frame["width"] / 640, frame["height"] / 480)
    x = frame["x"] + frame["width"] / 2 + (left + width / 2 - 0.5) * 640 * scale
    y = frame["y"] + frame["height"] / 2 + (top + height / 2 - 0.5) * 480 * scale
    page.mouse.move(x, y)
    page.wait_for_timeout(500)
    page.mouse.click(x, y)
    page.wait_for_timeout(1000)
    page.keyboard.press("Backquote")
    page.get_by_placeholder("Search operations by name...").fill("Explain a miss")
    page.wait_for_timeout(1000)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Execute").click()
    page.get_by_text("Verdict:").wait_for()
    page.locator(".js-plotly-plot .imagelayer image").first.wait_for()
    screenshot(page, "fiftyone-explain")
