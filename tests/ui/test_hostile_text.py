"""The page's actions, its figures and its report on data whose names are markup: a browser shows them as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import plotly.graph_objects as go
import pytest

from explorer.engine.loading import load_detector
from explorer.figures.browser import counts
from explorer.figures.costs import cost_shares
from explorer.figures.errors import ap_by_size, error_types, objects_scatter
from explorer.figures.explain import explained as explained_miss
from explorer.figures.export import write_page
from explorer.figures.speed import SpeedPoint, measured_times, speed_against_accuracy
from explorer.figures.training import training_curves
from explorer.report.page import write_run_page
from explorer.report.tables import size_grid
from explorer.text import in_markdown, in_plotly, legible
from explorer.ui.actions.compare import compare
from explorer.ui.actions.errors import Examination, annotated_images, examine, explain_miss
from explorer.ui.actions.features import what_speaks_for
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import LOWEST_SCORE, ModelChoice, Models, model_choices
from explorer.ui.actions.progress import part_of
from explorer.ui.actions.speed import as_rows
from explorer.ui.actions.takeaway import write_files
from explorer.ui.layout.session import explained
from explorer.ui.tables import html_table
from tests.fixtures.hostile import CLASSES, HIDDEN, IMAGES, Hostile

_NOT_SHOWN = ("source", "legendgroup", "y", "tickvals", "categoryarray")  # categories are shown by their ticktext
ALL = Filters(lowest_score=0.0)


@pytest.fixture(scope="module")
def models(hostile: Hostile) -> Models:
    known = Models(extra=[str(hostile.model)])
    detector = load_detector(str(hostile.model), lowest_score=LOWEST_SCORE, device="cpu", exact=True)
    known._loaded[str(hostile.model)] = replace(detector, name=str(hostile.model))
    return known


@pytest.fixture(scope="module")
def examination(models: Models, hostile: Hostile) -> Examination:
    return examine(models, [str(hostile.model)], annotated_images(hostile.data, 3))


def strings(value: Any) -> list[str]:
    """Every text in a figure that Plotly may show."""
    if isinstance(value, dict):
        return [text for key, own in value.items() if key not in _NOT_SHOWN for text in strings(own)]
    if isinstance(value, (list, tuple)):
        return [text for own in value for text in strings(own)]
    return [value] if isinstance(value, str) else []


def obeys(figure: go.Figure) -> list[str]:
    """Texts of a figure in which a name would be obeyed: its tags, templates, formulas, hidden characters."""
    known = json.loads(figure.to_json())
    known.get("layout", {}).pop("template", None)
    wrong = ("<img", "<a ", "%{x} $y$", "$y$")
    return [text for text in strings(known) if HIDDEN.search(text) or any(part in text for part in wrong)]


def test_comparing_and_explaining_objects(models: Models, hostile: Hostile, tmp_path: Path) -> None:
    name, photo = str(hostile.model), tmp_path / IMAGES[0]
    photo.write_bytes((hostile.images / IMAGES[0]).read_bytes())
    found = compare(models, [name], photo)
    assert not obeys(found.figure(ALL))
    said = [str(cell) for row in (*found.counts(ALL), *found.who_sees_what(ALL)) for cell in row.values()]
    assert not HIDDEN.findall("".join([*said, *found.class_names]))
    assert set(found.class_names) <= set(map(legible, CLASSES))
    one = found.class_names[0]
    assert {row["class"] for row in found.who_sees_what(Filters(0.0, classes=[one]))} == {one}
    table, picture = write_files(found, ALL, tmp_path)
    assert json.loads(table.read_text())["image"]["file_name"] == IMAGES[0]
    assert picture.is_file()
    figure, sentences = what_speaks_for(models, found, ALL, 0)
    assert not obeys(figure)
    assert in_markdown(name) in sentences
    assert not HIDDEN.findall(sentences)


def test_examining_and_following_misses(models: Models, examination: Examination, hostile: Hostile) -> None:
    name = str(hostile.model)
    (analysis,) = examination.analyses
    gains = {name: analysis.gains}
    figures = [ap_by_size([analysis.resamples, analysis.resamples]), error_types(gains)]
    said = []
    for number in range(len(examination.misses[name])):
        said.append(examination.crop(name, number)[1])
        if number < 3:
            story = explain_miss(models, examination, name, number)
            figures.append(explained_miss(story))
    assert said
    assert not HIDDEN.findall("".join(said))
    assert [words for figure in figures for words in obeys(figure)] == []
    grid = size_grid(examination.analyses)
    assert not HIDDEN.findall(html_table(grid.head, grid.rows))


def test_every_other_figure_and_table_shows_names_as_they_are(examination: Examination, hostile: Hostile) -> None:
    from explorer.engine.speed.backbone_stages import StageCost
    from explorer.errors.compare import compare as compare_runs

    name = CLASSES[2] + CLASSES[5] + CLASSES[3] + "x" * 300
    matches = examination.analyses[0].matches
    pair = compare_runs([matches, matches], resamples=5)
    figures = [
        counts({name: dict.fromkeys(CLASSES, 3)}, "classes"),
        cost_shares({name: [StageCost("stem", 1, 1, 1, 1)]}),
        measured_times({name: [0.1, 0.2]}),  # type: ignore[dict-item, list-item]
        speed_against_accuracy([SpeedPoint(f"V{name}", 1.0, 2.0)], accuracy="AP", machine=name),
        training_curves({name: [{"iteration": 1, "total_loss": 1.0}]}),
        objects_scatter(pair),
    ]
    shown = [text for figure in figures[1:] for text in obeys(figure)]
    assert shown == []
    bars = figures[0]
    assert tuple(bars.data[0].x) == CLASSES  # what a click gives, which no axis shows
    assert bars.layout.xaxis.ticktext == tuple(in_plotly(own) for own in CLASSES)
    assert not HIDDEN.findall(
        html_table([name], [[name]]) + as_rows({name: matches.run.found.scores + 1}, {name: ""})[0][0]
    )
    assert "<img" not in html_table([name], [[name]])
    assert not HIDDEN.findall(
        "".join(choice.label for choice in model_choices([ModelChoice(name, legible(name), True)]))
    )
    told: list[str] = []
    part_of(lambda _, words: told.append(words), 0, 1, name)(1, 2)
    assert not HIDDEN.findall("".join(told))


def test_a_message_on_the_page_is_no_html() -> None:
    @explained
    def fail() -> None:
        raise ValueError(f"{CLASSES[2]} is wrong\n{CLASSES[3]}")

    with pytest.raises(gr.Error) as raised:
        fail()
    assert raised.value.message == r"&lt;img src=x onerror=alert(1)&gt; is wrong<br>esc\x1b[31m\x07"


@pytest.mark.browser
def test_a_browser_shows_reports_and_figures_with_the_names_as_they_are(
    browser: Any, examination: Examination, tmp_path: Path
) -> None:
    (analysis,) = examination.analyses
    rows = [{"iteration": 1, "total_loss": 1.0}, {"iteration": 2, "total_loss": 0.5}]
    names = dict.fromkeys(CLASSES, rows)
    curves = write_page("Curves", {CLASSES[2]: training_curves(names)}, tmp_path / "curves.html")
    report = write_run_page(analysis, tmp_path / "report.html")
    page = browser.new_page()
    page.goto(curves.as_uri())
    page.wait_for_selector(".legendtext")
    assert page.locator(".legendtext").all_text_contents() == [legible(name) for name in CLASSES]
    assert page.locator("h2").inner_text() == CLASSES[2]
    page.goto(report.as_uri())
    page.wait_for_selector("figcaption")
    captions = " ".join(page.locator("figcaption b").all_inner_texts())
    missed = {CLASSES[analysis.run.truth.classes[miss.row]] for miss in examination.misses[analysis.run.name]}
    assert [name for name in missed if legible(name) not in captions] == []
    for opened in (curves, report):
        page.goto(opened.as_uri())
        assert page.locator("img, text a").count() == 0
    page.close()
