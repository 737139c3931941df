"""A tutorial in the real JupyterLab, in a real browser: cells run, and the explorer's slider changes its picture."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.ui.words import GATES
from tests.ui.test_accessibility import CONTRASTS

ROOT = Path(__file__).resolve().parents[2]
FEATURES, FIELDS, APP = "02_look_at_features", "03_measure_receptive_fields", "06_browse_in_fiftyone"
FEW = {FEATURES: "IMAGES, PHOTO = 2, 1", FIELDS: "IMAGES, PHOTO, INPUTS = 2, 1, 1", APP: "IMAGES = 4"}
"""Tutorials to open, and what their parameter cell says besides."""
PICTURE = """() => {
    const plot = [...document.querySelectorAll('.jp-OutputArea .js-plotly-plot')].at(-1);
    return plot._fullData[0].z.flat ? JSON.stringify([...plot._fullData[0].z].map(row => [...row].slice(0, 20))) : null;
}"""
pytestmark = [pytest.mark.browser, pytest.mark.notebook]


@pytest.fixture(scope="module")
def lab(
    serving: Callable[..., Any], free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """JupyterLab on a folder with the tutorials, with fewer photos."""
    if importlib.util.find_spec("anywidget") is None:
        pytest.skip("figures in widgets need anywidget, which is not installed")
    nbformat = pytest.importorskip("nbformat")
    folder = tmp_path_factory.mktemp("lab")
    for name, line in FEW.items():
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = []
            if "parameters" in cell.metadata.get("tags", []):
                cell.source += f"\n{line}"
        nbformat.write(notebook, folder / f"{name}.ipynb")
    port = free_port()
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"checkForUpdates": false, "fetchNews": "false"}')
    (settings / "themes.jupyterlab-settings").write_text('{"adaptive-theme": true}')  # dark where the system is
    env = {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    env |= {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    env |= {"FIFTYONE_DATABASE_DIR": str(folder / "database"), "FIFTYONE_CONFIG_PATH": str(folder / "fiftyone.json")}
    url = f"http://127.0.0.1:{port}/"
    with serving(command, f"{url}api", folder / "log", env, cwd=folder):
        yield url


@pytest.fixture
def page(lab: str, browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.external = []
    page.on("request", lambda request: page.external.append(request.url) if lab not in request.url else None)
    page.address = lab
    yield page
    page.close()


def run_all(page: Any, name: str) -> None:
    """Opens a tutorial and starts all its cells, in a workspace of its own, which shows no other test's tutorial."""
    page.goto(f"{page.address}lab/workspaces/{name}/tree/{name}.ipynb")
    page.locator(".jp-Notebook").wait_for(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def widget_with(page: Any, label: str) -> Any:
    """Waits for the widget that has a control of that label, and returns it."""
    widget = page.locator(".jp-OutputArea-output", has=page.get_by_text(label, exact=True))
    widget.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=240_000)
    widget.scroll_into_view_if_needed()
    return widget


def screenshot(page: Any, name: str) -> None:
    folder = ROOT / "test-results"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


@pytest.mark.slow
def test_the_channel_slider_changes_the_picture(page: Any) -> None:
    run_all(page, FEATURES)
    explorer = widget_with(page, "Channel")
    before = page.evaluate(PICTURE)
    assert before
    handle = explorer.get_by_role("slider").first
    handle.focus()
    for _ in range(3):
        handle.press("ArrowRight")
    page.wait_for_function(f"before => ({PICTURE})() !== before", arg=before, timeout=30_000)
    assert explorer.locator(".widget-readout").first.inner_text() == "3"
    screenshot(page, "lab-explorer")
    assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count()
    assert not [url for url in page.external if not url.startswith(("data:", "blob:", "ws:"))]


@pytest.mark.slow
def test_a_click_moves_the_fields_and_all_words_read_in_the_dark_theme(page: Any) -> None:
    run_all(page, FIELDS)
    clicker = widget_with(page, GATES)
    x = clicker.get_by_label("x, px")
    before = x.input_value()
    plot = clicker.locator(".js-plotly-plot .nsewdrag").first
    box = plot.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.wait_for_function("([input, before]) => input.value !== before", arg=[x.element_handle(), before])
    assert int(x.input_value()) == pytest.approx(160, abs=8)  # a quarter of the photo's 640 px
    page.wait_for_timeout(2000)
    screenshot(page, "lab-fields")

    clicker.get_by_role("listbox").first.select_option([])
    clicker.get_by_role("alert").get_by_text("Choose at least one layer").wait_for(timeout=30_000)
    page.emulate_media(color_scheme="dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.wait_for_timeout(1000)
    screenshot(page, "lab-dark")
    shown = page.evaluate(CONTRASTS, ".jp-OutputArea-output:has(.widget-listbox, .widget-select-multiple)")
    assert any("Choose at least one layer" in words for words, _ in shown)
    assert len(shown) > 20
    assert [(words, round(ratio, 1)) for words, ratio in shown if ratio < 4.5] == []


@pytest.mark.slow
@pytest.mark.mongo
def test_fiftyone_opens_inside_the_notebook(page: Any) -> None:
    pytest.importorskip("explorer.browser")
    run_all(page, APP)
    last = page.locator(".jp-OutputArea-output", has_text=re.compile(r"\d+ objects are found by"))
    app = page.frame_locator(".jp-OutputArea-output iframe")
    try:
        last.wait_for(state="attached", timeout=240_000)  # JupyterLab draws only cells in sight
        page.locator(".jp-OutputArea-output iframe").scroll_into_view_if_needed()
        app.locator("[data-cy=entry-counts]").get_by_text("4 samples", exact=True).wait_for(timeout=60_000)
        for field in ("ground_truth", "demo_V_19_slim_dw", "demo_MobileNetV2"):
            app.get_by_text(field, exact=True).locator("visible=true").first.wait_for()
        page.wait_for_timeout(2000)
    except Exception as error:
        shown = page.locator(".jp-OutputArea-output").all_inner_texts()
        raise AssertionError("\n".join(shown)) from error
    finally:
        screenshot(page, "lab-fiftyone")
    assert "App config option" not in page.content()  # FiftyOne's complaint about settings that nobody made
