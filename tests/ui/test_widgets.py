"""Widgets without a browser: they wait until a control rests, say what goes wrong, and change figures in place."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from explorer.data.aerial import render_scene
from explorer.scoring.outcomes import OperatingPoint
from explorer.ui.actions.errors import Examination
from explorer.ui.actions.models import Models
from explorer.ui.actions.progress import Stopped

pytest.importorskip("ipywidgets")
if importlib.util.find_spec("anywidget") is None:
    pytest.skip("figures in widgets need anywidget, which is not installed", allow_module_level=True)

from explorer.ui.widgets import (
    ErrorBrowser,
    FeatureExplorer,
    FieldClicker,
    ModelPicker,
    SideBySide,
    TrainingView,
    progress_bar,
)
from explorer.ui.widgets.figure import FigureView
from explorer.ui.widgets.panel import Debounced, Panel

DEMOS = ["demo/V-19-slim-dw", "demo/MobileNetV2"]


@pytest.fixture(scope="module")
def demos() -> Models:
    return Models(extra=DEMOS)


@pytest.fixture(scope="module")
def scenes() -> dict[str, Any]:
    return {name: render_scene(seed, size=(96, 128)).image for name, seed in (("first", 7), ("second", 5))}


def test_importing_widgets_changes_no_warning_filter() -> None:
    code = "import explorer.ui.widgets, explorer.ui.noise, warnings; print(*[own[1] for own in warnings.filters])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "meshgrid" not in done.stdout


def test_a_control_that_moves_on_is_not_asked_yet() -> None:
    calls: list[float] = []

    async def slide() -> None:
        debounced = Debounced(lambda: calls.append(1), wait_s=0.01)
        for _ in range(5):
            debounced()
        assert not calls
        await asyncio.sleep(0.1)
        debounced()
        await asyncio.sleep(0.1)

    asyncio.run(slide())
    assert len(calls) == 2
    Debounced(lambda: calls.append(1))()  # without an event loop
    assert len(calls) == 3


def test_what_goes_wrong_is_said_in_the_widget(capfd: pytest.CaptureFixture[str]) -> None:
    panel = Panel([], [])
    with panel.at_work("working") as tell:
        tell(0.5, "half of it")
        assert "half of it … 50 %" in panel.says.value
        raise ValueError("there is no <layer>")
    assert 'role="alert"' in panel.says.value
    assert "there is no &lt;layer&gt;" in panel.says.value
    with panel.at_work("working"):
        raise KeyError("p9")
    assert "KeyError" in panel.says.value
    with panel.at_work("working"):
        raise Stopped("Stopped.")
    assert 'role="status"' in panel.says.value
    with panel.at_work("working"):
        pass
    assert panel.says.value == ""
    assert capfd.readouterr() == ("", "")


def test_a_figure_changes_in_place_and_a_zoom_stays() -> None:
    view = FigureView()
    first = go.Figure(go.Heatmap(z=np.zeros((2, 3))), {"xaxis": {"range": [0, 3]}, "title": "a"})
    view.show(first)
    widget = view.figure
    widget.layout.xaxis.range = [1, 2]  # as a reader zooms
    second = go.Figure(go.Heatmap(z=np.ones((2, 3)), opacity=0.5), {"xaxis": {"range": [0, 3]}, "title": "b"})
    view.show(second)
    assert view.figure is widget
    assert np.asarray(widget.data[0].z).sum() == 6
    assert widget.data[0].opacity == 0.5
    assert widget.layout.title.text == "b"
    assert widget.layout.xaxis.range == (1, 2)
    still = view.still()
    assert still is not None
    assert still.layout.title.text == "b"

    view.show(first)  # what is gone is taken away
    assert widget.data[0].opacity is None
    view.show(go.Figure(go.Scatter(x=[1], y=[2])))
    assert view.figure is not widget
    assert len(view.children) == 1


def test_models_are_picked_and_a_wrong_choice_is_explained() -> None:
    picker = ModelPicker()
    assert picker.value == [picker.list.value[0]]
    picker.list.value = (DEMOS[0], "faster_rcnn_V_39_FPN_3x")
    assert "42.7" in picker._facts.value
    picker.list.value = ()
    assert "at least one model" in picker.says.value
    assert repr(picker) == "<ModelPicker: run this cell to use the widget>"


def test_another_channel_is_shown_without_running_the_network(
    demos: Models, scenes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = FeatureExplorer(demos, DEMOS, scenes, layer="stage3")
    widget = explorer.view.figure
    before = np.asarray(widget.data[0].z)
    assert before.shape == (60, 80)  # the network sees 480 × 640 px
    assert explorer.channel.max == 255
    with monkeypatch.context() as patched:
        patched.setattr("explorer.features.capture.feature_maps", None)
        explorer.channel.value = 5
    assert explorer.says.value == ""
    assert explorer.view.figure is widget
    assert not np.array_equal(np.asarray(widget.data[0].z), before)
    explorer.photo.value = "second"
    explorer.kind.value = "energy"
    assert explorer.channel.disabled
    explorer.model.value = DEMOS[1]
    assert explorer.says.value == ""
    assert explorer.layer.options[:4] == ("res2", "res3", "res4", "res5")
    still = explorer.still()
    assert still is not None
    assert still.layout.annotations[0].text == f"{DEMOS[1]} · res2"


def test_a_model_that_cannot_be_had_is_explained(scenes: dict[str, Any]) -> None:
    for widget in (FeatureExplorer(Models(), ["mine"], scenes), FieldClicker(Models(), ["mine"], scenes["first"])):
        assert "There is no model 'mine'" in widget.says.value
        assert widget.still() is None


def test_a_click_moves_the_fields_and_so_does_typing(demos: Models, scenes: dict[str, Any]) -> None:
    clicker = FieldClicker(demos, DEMOS, scenes["first"], layers=["stage2"], effective=False)
    assert (clicker.x.value, clicker.y.value) == (64, 48)
    outline, mark, surface = clicker.view.figure.data
    middle = (min(outline.x) + max(outline.x)) / 2
    clicker.view._on_click(surface, SimpleNamespace(xs=[125], ys=[250]), None)  # of the input, five times as large
    assert (clicker.x.value, clicker.y.value) == (25, 50)
    assert (mark.x[0], mark.y[0]) == (125, 250)
    assert (min(outline.x) + max(outline.x)) / 2 == pytest.approx(middle - 195, abs=4)
    clicker.layers.value = ()
    assert "at least one layer" in clicker.says.value


def test_side_by_side_zooms_to_what_is_chosen(zoo: Any, photo: Path) -> None:
    viewer = SideBySide(zoo.models, ["A", "B"], photo, lowest_score=0.5)
    words = [label for label, _ in viewer.objects.options]
    assert words[0] == "the whole photo"
    assert any("A only" in label for label in words)
    widget = viewer.view.figure
    viewer.objects.value = 0
    assert viewer.view.figure is widget
    assert widget.layout.xaxis.range != (0, 120)
    viewer.score.value = 0.95
    assert viewer.objects.value == -1
    assert len(viewer.objects.options) == 1
    broken = SideBySide(zoo.models, ["A"], photo.with_name("absent.png"))
    assert 'role="alert"' in broken.says.value
    assert broken.still() is None


def test_misses_are_gone_through(monkeypatch: pytest.MonkeyPatch, scenes: dict[str, Any]) -> None:
    from explorer.autopsy.explain import DecidingBox, Explanation

    truth = SimpleNamespace(boxes_xywh=np.array([[1, 2, 3, 4], [5, 6, 70, 80.0]]), classes=[0, 0], class_names=["car"])
    misses = tuple(SimpleNamespace(row=row, reason="below the pre-NMS top-k") for row in range(2))
    point = OperatingPoint("A", 0.5, 0.25, 50.0, 75.0, 4)
    analysis = SimpleNamespace(run=SimpleNamespace(name="A", truth=truth), point=point)
    followed: list[int] = []

    def explain(_models: object, _examination: object, _name: str, number: int) -> Explanation:
        followed.append(number)
        box = DecidingBox("object", "it", (1, 2, 4, 6))
        return Explanation("A", scenes["first"], None, (box,), (f"Verdict <{number}>.",))  # type: ignore[arg-type]

    monkeypatch.setattr("explorer.ui.widgets.errors.explain_miss", explain)
    examination: Any = Examination((analysis,), None, {"A": misses})  # type: ignore[arg-type]
    browser = ErrorBrowser(Models(), examination)
    assert browser.misses.options[1] == ("car 70 × 80 px: below the pre-NMS top-k", 1)
    browser.misses.value = 1
    assert followed[-1] == 1
    assert "Verdict &lt;1&gt;." in browser._words.value
    assert "with IoU ≥ 0.5, score ≥ 0.25" in browser._words.value
    empty: Any = Examination((analysis,), None, {"A": ()})  # type: ignore[arg-type]
    assert "No object" in ErrorBrowser(Models(), empty)._words.value


def test_training_is_drawn_and_ends_where_wanted() -> None:
    with TrainingView("mine", every=1, stop_after=2) as view:
        for done in (1, 2, 3):
            view.step(done, 4, {"total_loss": 3.0 / done, "lr": 0.1})
    assert [row["total_loss"] for row in view.rows] == [3.0, 1.5]
    assert "Stopped after 2 of 4" in view.says.value
    assert list(view.view.figure.data[0].y) == [3.0, 1.5]
    with pytest.raises(RuntimeError, match="disk"), TrainingView("mine") as view:
        raise RuntimeError("the disk is full")
    assert "the disk is full" in view.says.value


def test_a_bar_goes_when_the_work_is_done(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("counting") as bar:
        bar(1, 2)
        assert (bar.bar.value, bar.label.value) == (0.5, "counting: 1 of 2")
        bar.steps(0.75, "examining")
        assert (bar.bar.value, bar.label.value) == (0.75, "examining")
