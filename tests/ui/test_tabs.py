"""The other tabs in a real browser: what each draws for an aerial scene and for a photograph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def test_features_of_two_models_and_what_speaks_for_an_object(airfield: Any) -> None:
    page = airfield
    page.tab("Features")
    page.press("Show maps")
    page.settle()
    maps = page.plot()
    assert maps["titles"][:4] == [
        f"{model} · {layer}" for model in ("demo/V-19-slim-dw", "demo/MobileNetV2") for layer in ("p2", "p4")
    ]
    assert sum(trace["type"] == "heatmap" for trace in maps["traces"]) == 4
    assert maps["images"] == [[480, 640]] * 4
    page.page.get_by_label("Object", exact=True).click()
    page.page.get_by_role("option").first.click()
    page.page.get_by_text("classifies this box from").first.wait_for(timeout=30_000)
    page.settle()
    speaks = page.plot(1)
    assert any(trace["type"] == "heatmap" for trace in speaks["traces"])
    assert speaks["titles"][0].startswith("A · demo/V-19-slim-dw · p")
    page.shot("features")
    assert page.violations(both_themes=True) == []
    page.page.get_by_label("principal components", exact=True).check()
    page.press("Show maps")
    page.settle()
    assert sum(trace["type"] == "image" for trace in page.plot()["traces"]) == 4


def test_an_object_is_chosen_by_a_click_in_the_picture(airfield: Any) -> None:
    page = airfield
    page.tab("Features")
    picture = page.page.get_by_role("tabpanel").locator("img:visible").first
    box, first = picture.bounding_box(), page.page.get_by_label("Object", exact=True)
    trace = page.page.evaluate("() => document.querySelector('.js-plotly-plot').data[0]")
    x, y = (trace["x"][0] + trace["x"][1]) / 2, (trace["y"][0] + trace["y"][2]) / 2
    scale = min(box["width"] / 640, box["height"] / 480)
    left, top = (box["width"] - 640 * scale) / 2, (box["height"] - 480 * scale) / 2
    picture.click(position={"x": left + x * scale, "y": top + y * scale})
    page.page.get_by_text("classifies this box from").first.wait_for(timeout=30_000)
    assert trace["name"] in first.input_value()


def test_receptive_fields_at_a_point(visit: Open, photograph: Path) -> None:
    page = visit()
    page.upload(photograph)
    page.tab("Receptive field")
    page.set_number("x, px", "100")
    page.press("Show fields")
    page.page.locator(".js-plotly-plot:visible .imagelayer image").nth(1).wait_for(timeout=60_000)
    page.settle()
    over = page.plot()
    names = [trace["name"] for trace in over["traces"] if "," in trace["name"]]
    assert [name.partition(",")[0] for name in names] == ["p2", "p2", "p3", "p3", "p4", "p4"]
    assert ["theoretical" in name for name in names] == [True, False] * 3
    (point,) = over["traces"][-1]["x"]
    scale = over["images"][0][1] / page.page.evaluate("() => document.querySelector('img').naturalWidth")
    assert point == pytest.approx(100 * scale, rel=0.1)  # the photo is resized and padded for the network
    for trace in over["traces"]:
        if "effective" in trace["name"]:
            assert (min(trace["x"]) + max(trace["x"])) / 2 == pytest.approx(point)
    beside = {trace["name"] for trace in page.plot(1)["traces"]}
    assert {"theoretical field", "effective field", "anchors"} <= beside
    page.shot("receptive-field")
    assert page.violations(both_themes=True) == []


def test_errors_on_aerial_scenes_and_the_autopsy_of_a_miss(airfield: Any) -> None:
    page = airfield
    page.tab("Errors")
    page.page.get_by_label("Images", exact=True).click()
    page.page.get_by_role("option", name="20", exact=True).click()
    page.press("Examine")
    page.page.get_by_role("table", name="By size, in percent").get_by_text("AP small").wait_for(timeout=120_000)
    page.page.locator("button.thumbnail-lg").nth(20).wait_for(timeout=60_000)
    page.settle()
    rows = page.table("By size, in percent")
    assert rows[0][0].startswith("AP all (")
    assert all("[" in cell for cell in rows[0][1:])
    assert page.page.get_by_role("table", name="minus").count() == 1
    kinds = [{trace["type"] for trace in page.plot(place)["traces"]} for place in range(5)]
    assert kinds == [{"scatter"}, {"bar"}, {"scatter"}, {"heatmap"}, {"scatter"}]
    usual = chart_and_table(page)
    page.page.get_by_label("Found from score", exact=True).click()
    page.page.get_by_role("option", name="0.9", exact=True).click()
    page.page.get_by_text("with IoU ≥ 0.5, score ≥ 0.9;").wait_for(timeout=60_000)
    page.settle()
    stricter = chart_and_table(page)
    assert stricter["found: IoU ≥ 0.5, score ≥ 0.9"] < max(usual.values())
    page.page.locator("button.thumbnail-lg").get_by_text(" px: ").first.click()
    page.page.get_by_text("Verdict:").wait_for(timeout=60_000)
    page.settle()
    story = page.plot(5)
    assert "object" in {trace["name"] for trace in story["traces"]}
    assert story["images"] == [[480, 640]]
    page.shot("errors")
    assert page.violations(both_themes=True) == []


def chart_and_table(page: Any) -> dict[str, int]:
    """The fates of all objects by the table below the flow chart, of which the chart's ends have the same numbers."""
    rows = page.table("Outcome of all objects")
    counts = {row[0]: int(row[1].split(" ")[0].replace(",", "")) for row in rows}
    labels = page.plot(2)["titles"]
    drawn = sorted(int(label.rsplit(": ", 1)[1].replace(",", "")) for label in labels)
    assert all(number in drawn for number in counts.values() if number)
    assert any(label.startswith("found, IoU ≥ 0.5, score ≥ 0.") for label in labels)
    return counts


def test_speed_as_released_and_on_this_machine(airfield: Any) -> None:
    page = airfield
    page.tab("Speed and accuracy")
    released = page.plot()
    names = [name for trace in released["traces"] for name in trace["text"] or ()]
    assert {"V2-39-FPN", "R-50-FPN", "MobileNetV2"} <= set(names)
    page.page.get_by_label("2 CPU cores, float32").check()
    page.settle()
    recorded = page.plot()
    points = [sorted(name for t in one["traces"][1:] for name in t["text"]) for one in (released, recorded)]
    assert points[0] == points[1]
    assert min(recorded["traces"][0]["x"]) > 5 * min(released["traces"][0]["x"])  # milliseconds on two cores
    page.press("Measure on this machine")
    page.page.get_by_role("table", name="Time per photo").get_by_text("demo/MobileNetV2").wait_for(timeout=120_000)
    page.settle()
    on_own_images = page.plot(1)
    assert len(on_own_images["traces"]) == 2
    assert len(page.plot(2)["traces"][0]["x"]) == 7
    assert page.table("Time per photo")[0][5] == "1.00 (1.00 to 1.00)"
    page.shot("speed")
    assert page.violations(both_themes=True) == []


def test_a_long_action_can_be_stopped(airfield: Any) -> None:
    page = airfield
    page.tab("Errors")
    page.page.get_by_label("Images", exact=True).click()
    page.page.get_by_role("option", name="200", exact=True).click()
    page.press("Examine")
    page.page.get_by_text("making aerial scenes").first.wait_for(timeout=30_000)
    page.page.get_by_role("tabpanel").get_by_role("button", name="Stop", exact=True).click()
    page.page.get_by_text("Stopped.").wait_for(timeout=30_000)


def test_training_and_what_is_installed(airfield: Any) -> None:
    page = airfield
    page.tab("Train")
    page.page.get_by_text("python train_net.py --config-file").first.wait_for()
    page.tab("About")
    table = page.page.get_by_role("table", name="What is installed")
    table.get_by_role("cell", name="detectron2", exact=True).wait_for(timeout=60_000)
