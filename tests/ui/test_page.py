"""The page in a real browser: pick an example, press Compare, see boxes; wrong use is explained."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page served by `python app.py` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={**os.environ, "GRADIO_SERVER_PORT": str(port)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.external = []
    page.on("request", lambda request: page.external.append(request.url) if address not in request.url else None)
    page.goto(address)
    page.get_by_role("button", name="Compare", exact=True).wait_for()
    yield page
    page.close()


def boxes(page):
    """Number of boxes in each picture, by the plot's own data."""
    return page.evaluate(
        """() => {
            const counts = {x: 0, x2: 0};
            for (const trace of document.querySelector('.js-plotly-plot').data)
                counts[trace.xaxis || 'x'] += trace.x.length / 6;
            return [counts.x, counts.x2];
        }"""
    )


def pick_example(page, caption):
    """Clicks an example, waits for both pictures, and returns the `(height, width)` that they show."""
    page.locator("button.thumbnail-lg").filter(has_text=caption).click()
    page.locator(".js-plotly-plot .imagelayer image").nth(1).wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    first = page.evaluate("() => document.querySelector('.js-plotly-plot').layout.images[0]")
    return first["sizey"], first["sizex"]


def screenshot(page, name):
    folder = ROOT / "test-results"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_an_aerial_scene_goes_through_two_models(page):
    assert pick_example(page, "airfield") == (480, 640)
    both = boxes(page)
    assert all(count > 0 for count in both), both
    assert len(re.findall(r"demo/", page.get_by_role("grid", name="Objects by COCO size").inner_text())) == 2
    screenshot(page, "compare-aerial")

    slider = page.get_by_role("spinbutton").first
    slider.fill("0.95")
    slider.press("Enter")
    page.wait_for_timeout(1500)
    assert sum(boxes(page)) < sum(both)
    assert not [url for url in page.external if not url.startswith(("data:", "blob:"))]


def test_zooming_one_picture_moves_the_other(page):
    pick_example(page, "airfield")
    ranges = page.evaluate(
        """async () => {
            const plot = document.querySelector('.js-plotly-plot');
            const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
            const at = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
            const wheel = new WheelEvent('wheel', {...at, deltaY: -200, bubbles: true, cancelable: true});
            plot.querySelector('.nsewdrag').dispatchEvent(wheel);
            await new Promise(done => setTimeout(done, 1000));
            return [plot._fullLayout.xaxis.range, plot._fullLayout.xaxis2.range];
        }"""
    )
    assert ranges[0] == pytest.approx(ranges[1])


def test_a_real_photo_answers(page):
    assert pick_example(page, "motorcycle") == (500, 741)
    table = page.get_by_role("grid", name="Objects by COCO size").inner_text()
    assert all(header in table for header in ("objects", "small", "medium", "large", "model, ms", "all, ms"))
    screenshot(page, "compare-photo")


def test_compare_without_a_photo_is_explained(page):
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Choose a photo first").wait_for(timeout=20_000)
