"""Figures of errors draw the numbers that they are given."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explorer.errors.bootstrap import bootstrap
from explorer.errors.compare import Comparison, compare
from explorer.errors.oracles import fix_by_size
from explorer.errors.taxonomy import classify_errors
from explorer.figures.curves import CELL_INK, CELLS
from explorer.figures.errors import ap_by_size, error_types, objects_scatter
from explorer.scoring.columns import Run, in_order
from explorer.scoring.matching import match
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import truth_from_coco
from tests.engine.test_colors import contrast


@pytest.fixture(scope="module")
def runs() -> tuple[Run, Run]:
    """Two runs on ten images of two objects each; the second finds only the large ones."""
    boxes = ([10.0, 10.0, 20.0, 20.0], [50.0, 50.0, 150.0, 150.0])
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 300, "width": 300} for i in range(1, 11)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 2 * i + n, "image_id": i, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i in range(1, 11)
            for n, box in enumerate(boxes)
        ],
    }
    truth = truth_from_coco(content)

    def run(name: str, found: tuple[Any, ...]) -> Run:
        results = [
            {"image_id": i, "category_id": 1, "bbox": box, "score": 0.5 + i / 100}
            for i in range(1, 11)
            for box in found
        ]
        return Run(name, truth, found_among(results, truth), {})

    return run("a", boxes), run("b", boxes[1:])


@pytest.fixture(scope="module")
def comparison(runs: tuple[Run, Run]) -> Comparison:
    return compare([match(run) for run in runs], resamples=20)


def test_ap_by_size_has_a_point_and_an_interval_per_run_and_size(runs: tuple[Run, Run]) -> None:
    resamples = [bootstrap(match(run), 20) for run in runs]
    figure = ap_by_size(resamples)
    assert [trace.name for trace in figure.data] == ["a", "b"]
    names = figure.layout.xaxis.ticktext
    assert [name.split("<br>")[0] for name in names] == ["small", "large", "16²–", "128²–"]  # those with objects
    for trace, run in zip(figure.data, resamples, strict=True):
        given = run.intervals()
        shown = [place for place in range(1, len(run.figures.bins)) if run.figures.objects[place].sum()]
        np.testing.assert_allclose(trace.y, given.value[0, shown])
        np.testing.assert_allclose(trace.y + trace.error_y.array, given.high[0, shown])
        np.testing.assert_allclose(trace.y - trace.error_y.arrayminus, given.low[0, shown])
        assert not any("open" in symbol for symbol in trace.marker.symbol)
    assert names[0] == "small<br>10<br>in 10"
    with pytest.raises(ValueError, match="no figure 'AP60'"):
        ap_by_size(resamples, "AP60")
    with pytest.raises(ValueError, match="at least one run"):
        ap_by_size([])


def test_too_few_images_have_a_hollow_point_without_an_interval(runs: tuple[Run, Run]) -> None:
    (run,) = runs[:1]
    kept = run.found.images < 9
    nine = in_order(*(getattr(run.found, name)[kept] for name in ("images", "classes", "boxes_xywh", "scores")))
    few = replace(run, truth=run.truth.of_images(run.truth.image_ids[:9].tolist()), found=nine)
    (trace,) = ap_by_size([bootstrap(match(few), 20)]).data
    assert np.isfinite(trace.y).all()
    assert np.isnan(np.array([trace.error_y.array, trace.error_y.arrayminus], dtype=float)).all()
    assert set(trace.marker.symbol) == {"circle-open"}
    assert set(trace.text) == {"too few images"}


def test_error_types_stack_the_gains_of_each_size(runs: tuple[Run, Run]) -> None:
    gains = fix_by_size(classify_errors(runs[1]))
    figure = error_types({"b": gains})
    missed = next(trace for trace in figure.data if trace.name == "missed")
    assert list(missed.x) == ["small", "medium", "large"]
    assert missed.y[0] == pytest.approx(100)
    assert figure.layout.barmode == "stack"
    with pytest.raises(ValueError, match="at least one run"):
        error_types({})


def test_the_scatter_has_every_object_at_its_two_scores(comparison: Comparison) -> None:
    figure = objects_scatter(comparison)
    (points,) = figure.data
    point = comparison.points[0]
    assert figure.layout.xaxis.title.text == f"score of a, found: {point.words}"
    assert len(points.x) == 20
    np.testing.assert_allclose(points.customdata[:2, 0].astype(float), [20, 150])
    assert (np.asarray(points.y)[::2] <= 0).all()  # b finds no small one
    np.testing.assert_allclose(np.asarray(points.y)[1::2], np.asarray(points.x)[1::2])


def test_the_scatter_shows_scores_that_are_percentages(runs: tuple[Run, Run]) -> None:
    percent = [replace(run, found=replace(run.found, scores=100 * run.found.scores)) for run in runs]
    figure = objects_scatter(compare([match(run) for run in percent], resamples=2))
    low, high = figure.layout.xaxis.range
    assert low < 0 < max(figure.data[0].x) < high


def test_names_from_files_are_words_and_no_markup(runs: tuple[Run, Run]) -> None:
    hostile = '<a href="https://elsewhere.example">a</a><b>%{x}</b>'
    truth = replace(runs[0].truth, class_names=(hostile,))
    named = [match(replace(run, name=f"{run.name} {hostile}", truth=truth)) for run in runs]
    figures = (
        ap_by_size([bootstrap(matches, 5) for matches in named]),
        error_types({matches.run.name: fix_by_size(classify_errors(matches.run)) for matches in named}),
        objects_scatter(compare(named, resamples=5)),
    )
    for figure in figures:
        drawn = figure.to_json()
        assert "elsewhere" in drawn
        for markup in ("<a ", r"\u003ca ", "<b>", r"\u003cb\u003e", "b&gt;%{x}"):
            assert markup not in drawn


def test_numbers_of_a_matrix_are_legible_at_every_shade() -> None:
    ink, *ends = ([int(value) for value in re.findall(r"\d+", color)] for color in (CELL_INK, *CELLS))
    for share in np.linspace(0, 1, 5):
        assert contrast(ink, (1 - share) * np.array(ends[0]) + share * np.array(ends[1])) >= 4.5
