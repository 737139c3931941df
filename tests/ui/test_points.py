"""What the page promises, point by point, each in both themes and at both widths; one page for each of the four.

1. First impression: `first_impression` (a finished comparison, live from the first click, one sentence, a dropped photo
   runs at once) and `tabs_open_on_something_finished`; that the record is what the models find: `test_opening.py`.
2. Layout: `layout` (photo and models first, one main action, captions whole, nothing wider than the page),
   `nothing_irrelevant_is_visible`, `a_model_of_ones_own` and `a_data_set_of_ones_own`; models listed with licence and
   size: `test_models.py`; what may be handed over and what is refused: `test_own_model.py`, `test_own_data.py`.
3. Pictures: `pictures` (names, legend, annotated outlines, small objects magnified, contrast of every word in figures,
   none cut) and `a_model_of_ones_own` (names of models, legend and every label are found again in the downloaded PNG);
   colours told apart: `tests/engine/test_colors.py`.
4. Numbers: `numbers` (times with spread, equal scores or the difference explained, intervals where there is enough
   data) and `the_models_chosen_are_drawn_beside_the_released_ones`; "found" in every view: `test_found.py`.
5. Accessibility: `test_accessibility.py`, by four more pages.
6. States: `a_model_of_ones_own` (progress of each model), `states` (a model that fails takes its own column, errors and
   empty states say what to do) and `a_link_restores_what_was_seen`; Stop: `test_a_long_action_can_be_stopped`.
7. Notebooks and FiftyOne: `tests/ui/test_same_words.py`.

How it looks: `test_looks.py`. How quick it is: `test_quick.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.figures.test_sheet import times_written
from tests.ui.test_accessibility import CONTRASTS, CUT

pytestmark = pytest.mark.browser
USUAL_LOOK = "light"

DEMO_TABS = ("Features", "Receptive field", "Errors", "Speed and accuracy", "Train", "About")


def test_first_impression(look: Any, photograph: Path) -> None:
    look.page.reload()
    look.wait_for_pictures()
    assert look.plot()["titles"] == ["A · demo/V-19-slim-dw-aerial-real", "B · demo/MobileNetV2-aerial-real"]
    assert look.plot()["images"] == [[430, 1764]] * 2
    before = look.boxes()
    assert before == [int(row[2]) for row in look.table("Objects by COCO size, and time")]
    assert look.table("Who sees what")[0][1] == "A only"
    intro = look.page.locator("h1 + p").inner_text()
    assert intro.count(". ") == 0
    assert intro.endswith(".")
    assert not look.page.get_by_text("groups detections of the same class").is_visible()
    look.press("? What do these terms mean")
    look.page.get_by_text("groups detections of the same class").wait_for()
    look.set_number("Minimum score", "0.9")  # live from the first click
    look.settle()
    assert sum(look.boxes()) < sum(before)
    look.upload(photograph)  # runs at once
    assert look.plot()["images"] == [list(cv2.imread(str(photograph)).shape[:2])] * 2


def test_tabs_open_on_something_finished(look: Any) -> None:
    look.page.reload()
    look.wait_for_pictures()
    for tab, figures in (("Features", 1), ("Receptive field", 4), ("Errors", 5), ("Speed and accuracy", 2)):
        look.tab(tab)
        look.page.wait_for_function(
            """least => [...document.querySelectorAll('.js-plotly-plot')].filter(
                plot => plot.offsetParent && plot.data.length).length >= least""",
            arg=figures,
            timeout=60_000,
        )
        look.settle()
        assert look.page.locator(".toast-body").count() == 0
        assert _width(look) <= look.page.viewport_size["width"], tab
        cut = look.page.evaluate(CUT)
        assert cut == [], tab
        faint = [(text, round(ratio, 2)) for text, ratio in look.page.evaluate(CONTRASTS) if ratio < 4.5]
        assert faint == [], tab
        look.shot(f"{tab}-{'narrow' if look.is_narrow else 'wide'}")
        if tab == "Errors":
            _intervals_rest_on_ten_images(look)
            assert _scrolling_tables(look) == []


def test_layout(look: Any) -> None:
    look.tab("Compare")
    photo, answers = (look.page.locator(own).first.bounding_box() for own in (".ask", ".answers"))
    assert answers["y"] >= photo["y"] + photo["height"] if look.is_narrow else answers["x"] >= photo["x"]
    main = look.page.locator("button.primary:visible").all_inner_texts()
    assert main == ["Compare"]
    cut = look.page.evaluate(
        """() => [...document.querySelectorAll('.caption-label, .faint li')].filter(own => own.offsetParent &&
            own.scrollWidth > own.clientWidth + 1).map(own => own.textContent)"""
    )
    assert cut == []
    covered = look.page.evaluate(
        """() => [...document.querySelectorAll('.captioned')].filter(own => own.offsetParent).filter(own => {
            const label = own.querySelector('[data-testid=block-label]').getBoundingClientRect();
            return label.bottom > own.querySelector('.thumbnail-lg').getBoundingClientRect().top + 1;
        }).length"""
    )
    assert covered == 0
    look.page.get_by_label("Models").first.fill("bccd")
    assert look.page.get_by_role("option").count() == 3
    look.page.keyboard.press("Escape")
    look.page.get_by_text("licence of the weights: Apache-2.0").first.wait_for()
    for tab in DEMO_TABS:
        look.tab(tab)
        assert _width(look) <= look.page.viewport_size["width"], tab


def test_nothing_irrelevant_is_visible(look: Any) -> None:
    look.tab("Compare")
    look.example("airfield")
    moves = look.page.get_by_text("Drag to pan and scroll to zoom")
    assert moves.is_visible()
    assert not look.page.get_by_label("Large photo: use tiles").is_visible()  # it is no larger than a tile
    look.page.get_by_label("slider between A and B").check()
    look.page.get_by_text("Drag the line").wait_for()
    assert not moves.is_visible()
    assert look.page.locator(".js-plotly-plot:visible").count() == 0
    look.page.get_by_label("one per model").check()
    look.wait_for_pictures()
    look.tab("Features")
    assert not look.page.get_by_label("Channel", exact=True).is_visible()
    assert not look.page.get_by_label("Similar features").is_visible()
    assert not look.page.get_by_role("button", name="Stop", exact=True).first.is_visible()


def test_pictures(look: Any) -> None:
    look.tab("Compare")
    look.example("airfield")
    labels = look.page.locator(".js-plotly-plot:visible .annotation-text").all_text_contents()
    roomy = {"plane"} if look.is_narrow else {"car", "plane"}  # labels where there is room
    assert roomy <= set(labels)
    legend = look.page.locator(".js-plotly-plot:visible .legendtext").all_text_contents()
    assert legend == ["car", "plane", "storage tank", "annotated"]
    small = look.page.locator("button.thumbnail-lg:visible").filter(has_text="seen by")
    assert small.count() == 3
    small.first.click()
    look.settle()
    low, high = look.plot()["ranges"]["xaxis"]
    assert high - low < 320
    first, second = (own.bounding_box() for own in look.page.locator(".pictures:visible .imagelayer image").all())
    beside = second["x"] > first["x"]
    assert beside != look.is_narrow  # one below the other where there is no room
    assert look.page.evaluate(CUT) == []
    words = look.page.evaluate(CONTRASTS)
    assert {"car", "annotated"} <= {text for text, _ in words}
    assert [text for text, ratio in words if ratio < 4.5] == []
    assert _scrolling_tables(look) == []


def test_numbers(look: Any) -> None:
    look.tab("Compare")
    look.example("airfield")
    rows = look.table("Objects by COCO size, and time")
    assert all(re.fullmatch(r"\d+( \(\d+–\d+\))?", row[-1]) for row in rows)
    assert rows[0][6].endswith(" of 11")
    scores = look.table("Who sees what")[0][4:]
    look.tab("Features")
    look.page.get_by_label("Object", exact=True).click()
    look.page.get_by_role("option").first.click()
    words = look.page.get_by_text("classifies this box from").first
    words.wait_for(timeout=60_000)
    (score,) = [one for one in scores if one != "–"]
    assert f"In Compare, its own box has a score of {score};" in words.inner_text()


def test_the_models_chosen_are_drawn_beside_the_released_ones(look: Any) -> None:
    _choose(look, "faster_rcnn_V_39_FPN_3x")
    look.tab("Speed and accuracy")
    look.page.get_by_text("is the backbone of V2-19 with the usual pyramid").wait_for()
    look.page.get_by_text("Chosen, without AP on COCO: demo/V-19-slim-dw").wait_for()
    look.page.locator(".js-plotly-plot:visible .legendtext").get_by_text("chosen").wait_for()
    traces = look.plot()["traces"]
    times = {name: ms for trace in traces if trace["text"] for name, ms in zip(trace["text"], trace["x"], strict=True)}
    (ringed,) = [trace["x"] for trace in traces if trace["name"] == "chosen"]
    assert ringed == [times["V2-39-FPN"]]
    assert look.plot(1)["titles"][0].startswith("<b>demo/V-19-slim-dw")  # AP on their own images, below
    look.page.get_by_title("Remove faster_rcnn_V_39_FPN_3x").first.click()
    look.page.locator(".js-plotly-plot:visible .legendtext").get_by_text("chosen").wait_for(state="detached")


def test_a_model_of_ones_own_tells_how_far_it_is_and_can_be_taken_away(look: Any, pair: list[str]) -> None:
    look.tab("Compare")
    look.example("airfield")
    look.press("Your own model")
    look.choose_files("Checkpoint and config.yaml", pair)
    look.press("Add to the list")
    own = look.page.get_by_title(re.compile(r"Remove upload \d+: mine"))
    own.first.wait_for(timeout=60_000)
    told = look.telling()
    look.press("Compare")
    look.page.locator(".annotation-text", has_text="C · upload").first.wait_for(timeout=60_000)
    look.settle()
    progress = re.findall(r"([\w-]+|\w+\.safetensors) - ([\d.]+)%", " ".join(told()))
    assert progress == [("V-19-slim-dw", "0.0"), ("MobileNetV2", "33.3"), ("mine.safetensors", "66.7")]
    first, _, same = look.boxes(3)
    assert first == same  # its weights are those of the first model
    _words_stand_in_the_downloaded_picture(look)
    own.first.click()
    look.press("Your own model")


def test_a_data_set_of_ones_own(look: Any, archive: Path) -> None:
    look.tab("Errors")
    look.press("Your own data set")
    look.choose_files("Zip archive of a data set", archive)
    look.press("Check and use")
    chosen = look.page.get_by_label("Data set", exact=True)
    look.page.wait_for_function("own => own.value === 'mine.zip, val'", arg=chosen.element_handle(), timeout=60_000)
    look.press("Examine")
    look.page.get_by_role("table", name="By size, in percent").get_by_text("in 2)").first.wait_for(timeout=60_000)
    look.settle()
    assert look.table("By size, in percent")[0][0].endswith(" in 2)")
    assert _width(look) <= look.page.viewport_size["width"]
    look.press("Your own data set")


def test_states(look: Any) -> None:
    look.tab("Compare")
    look.example("airfield")
    _choose(look, "faster_rcnn_V_39_FPN_3x")
    look.press("Compare")
    look.page.locator(".annotation-text", has_text="source refuses").wait_for(timeout=60_000)
    look.settle()
    assert look.plot()["titles"][2] == "faster_rcnn_V_39_FPN_3x · not available"
    assert look.plot()["titles"][3].count(". ") == 0  # one line says why
    look.page.get_by_title("Remove faster_rcnn_V_39_FPN_3x").first.click()
    look.page.get_by_label("Remove Image").first.click()
    look.press("Compare")
    look.page.get_by_text("Choose a photo first").first.wait_for(timeout=20_000)
    for tab, words in (("Features", "Choose a photo to see"), ("Receptive field", "Choose a photo first")):
        look.tab(tab)
        look.page.locator(".annotation-text:visible", has_text=words).first.wait_for(timeout=20_000)


def test_a_link_restores_what_was_seen(look: Any) -> None:
    look.arrive(look.theme, "&model=demo/V-19-slim-dw&model=nonsense&score=0.3&size=small&tab=speed")
    look.page.get_by_role("tab", name="Speed and accuracy", selected=True).wait_for(timeout=60_000)
    look.page.get_by_text("Chosen, without AP on COCO: demo/V-19-slim-dw.").wait_for(timeout=60_000)
    look.tab("Compare")
    look.page.locator(".annotation-text", has_text="A · demo/V-19-slim-dw").first.wait_for(timeout=60_000)
    assert look.page.get_by_label("Minimum score").first.input_value() == "0.3"
    assert not look.page.get_by_label("large", exact=True).is_checked()


def _words_stand_in_the_downloaded_picture(look: Any) -> None:
    files = []
    for kind in ("COCO JSON", "PNG"):
        with look.page.expect_download() as told:
            look.press(f"Download as {kind}")
        files.append(told.value.path())
    models, picture = json.loads(files[0].read_text())["models"], cv2.imread(str(files[1]))
    labels = _labels(models)
    assert len(labels) == sum(look.boxes(3))
    titles = [f"{letter} · {name}" for letter, name in zip("ABC", models, strict=True)]
    assert [times_written(picture, title, 18) for title in titles] == [1, 1, 1]
    classes = {label.rpartition(" ")[0] for label in labels}
    assert [times_written(picture[-40:], name, 18) for name in (*classes, "annotated")] == [1] * (len(classes) + 1)
    assert {label: times_written(picture, label, 12) for label in labels} == Counter(labels)


def _choose(look: Any, model: str) -> None:
    """Adds a model to those chosen."""
    look.page.get_by_label("Models").first.fill(model)
    look.page.get_by_role("option").first.click()
    look.page.keyboard.press("Escape")


def _labels(models: dict[str, Any]) -> list[str]:
    """What stands beside the boxes, by the file of results."""
    names = [{own["id"]: own["name"] for own in model["categories"]} for model in models.values()]
    return [
        f"{known[own['category_id']]} {100 * own['score']:.0f}"
        for known, model in zip(names, models.values(), strict=True)
        for own in model["results"]
    ]


def _width(look: Any) -> int:
    return int(look.page.evaluate("() => document.documentElement.scrollWidth"))


def _scrolling_tables(look: Any) -> list[str]:
    """The tables of results that are wider than their place, and lists of objects that scroll sideways."""
    return list(
        look.page.evaluate(
            """() => [
                ...[...document.querySelectorAll('.results table')].filter(own => own.offsetParent &&
                    own.scrollWidth > own.closest('.results').clientWidth + 1).map(own => own.caption?.textContent),
                ...[...document.querySelectorAll('[role=grid] .virtual-table-viewport')].filter(own =>
                    own.offsetParent && own.scrollWidth > own.clientWidth + 1).map(own => own.textContent.slice(0, 40)),
            ]"""
        )
    )


def _intervals_rest_on_ten_images(look: Any) -> None:
    for table in ("By size, in percent", "minus"):
        for row in look.table(table):
            images = int(re.findall(r"in (\d+)\)", row[0])[0])
            assert ("[" in row[1]) == (images >= 10), row
