"""The first tab in a real browser: an example or a photo of one's own, boxes, filters, zoom, files to take away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def test_the_objects_of_the_first_comparison_can_be_explained(visit: Open) -> None:
    page = visit()
    page.settle()
    page.tab("Features")
    page.page.get_by_label("Object", exact=True).click()
    assert page.page.get_by_role("option").count() > 3
    assert page.violations(both_themes=True) == []


def test_an_aerial_scene_goes_through_two_models(airfield: Any) -> None:
    page = airfield
    assert page.plot()["images"] == [[480, 640], [480, 640]]
    assert page.plot()["titles"] == ["A · demo/V-19-slim-dw", "B · demo/MobileNetV2"]
    both = page.boxes()
    assert all(count > 0 for count in both), both
    rows = page.table("Objects by COCO size, and time")
    assert [int(row[2]) for row in rows] == both
    assert [sum(map(int, row[3:6])) for row in rows] == both
    page.shot("compare-aerial")


def test_an_example_brings_the_models_that_were_trained_for_it(visit: Open) -> None:
    page = visit()
    page.example("airfield")
    page.page.locator("button.thumbnail-lg").filter(has_text="blood cells").click()
    page.page.get_by_text("A · demo/V-19-slim-dw-bccd").first.wait_for(timeout=60_000)
    page.settle()
    assert page.plot()["titles"] == ["A · demo/V-19-slim-dw-bccd", "B · demo/MobileNetV2-bccd"]
    assert page.classes() == {"RBC", "WBC", "Platelets"}
    first, second = page.boxes()
    assert 15 <= first <= 40  # 24 are annotated
    assert second > 0
    page.shot("compare-cells")
    page.example("crossing")
    assert page.plot()["titles"] == ["A · demo/V-19-slim-dw", "B · demo/MobileNetV2"]


def test_filters_change_what_is_drawn(visit: Open) -> None:
    page = visit()
    page.example("airfield")
    both = page.boxes()
    page.page.get_by_label("small", exact=True).uncheck()
    page.settle()
    small = sum(int(row[3]) for row in page.table("Objects by COCO size, and time"))
    larger = page.boxes()
    assert small == 0
    assert sum(larger) < sum(both)
    page.set_number("Minimum score", "0.9")
    page.settle()
    assert sum(page.boxes()) < sum(larger)
    page.set_number("Minimum score", "0.05")
    page.page.get_by_label("small", exact=True).check()
    page.settle()
    assert sum(page.boxes()) > sum(both)
    page.page.get_by_label("Classes (all").click()
    page.page.get_by_role("option", name="car").click()
    page.settle()
    assert page.classes() == {"car"}


def test_zoom_and_a_click_on_a_row_move_all_pictures(airfield: Any) -> None:
    page = airfield
    before = page.plot()["ranges"]
    page.page.locator(".js-plotly-plot:visible .nsewdrag").first.hover()
    page.page.mouse.wheel(0, -300)
    page.page.wait_for_timeout(1000)
    after = page.plot()["ranges"]
    assert after["xaxis2"][1] - after["xaxis2"][0] < before["xaxis2"][1] - before["xaxis2"][0]
    assert after["xaxis"] == pytest.approx(after["xaxis2"])
    assert after["yaxis"] == pytest.approx(after["yaxis2"])

    cells = min(page.table("Who sees what"), key=lambda row: max(map(int, row[3].split(" × "))))  # large ones fill it
    page.page.get_by_role("grid", name="Who sees what").get_by_text(cells[3], exact=True).first.click()
    page.settle()
    width, height = (int(part) for part in cells[3].split(" × "))
    for axis, side, whole in (("xaxis", width, 640), ("xaxis2", width, 640)):
        low, high = page.plot()["ranges"][axis]
        assert side < high - low < whole
    low, high = sorted(page.plot()["ranges"]["yaxis"])
    assert height < high - low < 480


def test_a_photograph_of_ones_own_and_its_files(visit: Open, photograph: Path) -> None:
    page = visit()
    page.upload(photograph)
    assert page.plot()["images"][0] == list(cv2.imread(str(photograph)).shape[:2])
    shown = page.boxes()
    rows = page.table("Objects by COCO size, and time")
    assert [int(row[2]) for row in rows] == shown
    with page.page.expect_download() as told:
        page.press("Download as COCO JSON")
    results = json.loads(told.value.path().read_text())
    assert [len(model["results"]) for model in results["models"].values()] == shown
    with page.page.expect_download() as told:
        page.press("Download as PNG")
    height, width = cv2.imread(str(photograph)).shape[:2]
    picture = cv2.imread(str(told.value.path()))
    assert picture.shape[0] > height + 30  # names above, a legend below
    assert picture.shape[1] > 2 * width
    page.shot("compare-photo")


@pytest.mark.slow
def test_a_large_tiff_is_shown_although_browsers_know_none_and_looked_at_in_tiles(visit: Open, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (900, 1200, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "photo.tif"), pixels)
    page = visit()
    page.example("airfield")  # whose models look at photos in another size than their own
    page.upload(tmp_path / "photo.tif")
    assert page.plot()["images"][0] == [900, 1200]
    page.page.wait_for_function(
        "[...document.images].some(own => own.naturalWidth == 1200 && own.naturalHeight == 900)"
    )
    page.page.get_by_text("This photo of 1,200 × 900 px is downscaled for the models").wait_for()
    page.page.get_by_label("Large photo: use tiles").check()
    page.page.get_by_text("overlapping tiles of 640 px").wait_for()
    page.settle()
    page.shot("tiles")


def test_two_visitors_see_their_own_photos(visit: Open) -> None:
    first, second = visit(), visit()
    first.example("airfield")
    second.example("coffee")
    assert second.plot()["images"][0] == [400, 600]
    first.set_number("Minimum score", "0.9")
    first.settle()
    assert first.plot()["images"][0] == [480, 640]
    second.page.reload()
    second.settle()
    assert second.plot()["images"][0] == [430, 1764]  # what the page opens on


def test_compare_works_from_the_keyboard(visit: Open) -> None:
    page = visit()
    page.page.locator("button.thumbnail-lg").first.focus()
    page.page.keyboard.press("Enter")
    page.wait_for_pictures()
    assert sum(page.boxes()) > 0
    page.page.get_by_role("grid", name="Who sees what").get_by_role("gridcell").first.focus()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot').layout.xaxis.range[1] < 1000", timeout=60_000
    )
    page.page.get_by_label("Models").first.focus()
    page.page.keyboard.press("ArrowDown")
    page.page.get_by_role("option").first.wait_for()
    assert page.violations(both_themes=True) == []


@pytest.mark.slow
def test_a_model_that_cannot_be_had_costs_its_own_column(visit: Open) -> None:
    page = visit()
    page.example("airfield")
    page.page.get_by_label("Models").first.click()
    page.page.get_by_role("option", name="faster_rcnn_V_39_FPN_3x").click()
    page.page.keyboard.press("Escape")
    page.press("Compare")
    page.page.locator(".annotation-text", has_text="source refuses").wait_for(timeout=60_000)
    page.settle()
    assert page.plot()["titles"][:3] == [
        "A · demo/V-19-slim-dw",
        "B · demo/MobileNetV2",
        "faster_rcnn_V_39_FPN_3x · not available",
    ]
    *_, last = page.table("Objects by COCO size, and time")
    assert last[:3] == ["–", "faster_rcnn_V_39_FPN_3x (not available)", "–"]
    page.shot("compare-refused")
    for model in ("demo/V-19-slim-dw", "demo/MobileNetV2"):  # and if none can be had, that is said in its place, too
        page.page.get_by_title(f"Remove {model}").first.click()
    assert page.violations(both_themes=True) == []
    page.press("Compare")
    page.page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot .annotation-text').length === 2")
    page.settle()
    assert page.page.locator(".toast-body").count() == 0
    assert page.page.get_by_role("button", name="Download as PNG").is_disabled()
