"""Every result shows itself, goes to pandas and to plain data, and trusts no name."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

import explorer as ex
from explorer.api import result as room
from explorer.api.autopsy import of_run
from explorer.api.result import Result
from explorer.report.analysis import analyse
from tests.fixtures.hostile import HIDDEN, Hostile

TAGS = {"p", "b", "table", "thead", "tbody", "tr", "th", "td"}
NAMES = (
    "read_truth",
    "evaluate",
    "pr_curves",
    "confusion",
    "compare",
    "autopsy",
    "receptive_fields",
    "inspect_features",
    "improve",
    "predict",
    "benchmark",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_shows_itself(name: str, results: dict[str, Result]) -> None:
    result = results[name]
    assert re.fullmatch(r"<\w+: .+>", repr(result))
    assert "\n" not in repr(result)
    assert result.title in str(result)
    html = result._repr_html_()
    assert html.count("<table>") == html.count("</table>") == len(result.tables()) >= 1
    figure = result.figure()
    assert isinstance(figure, go.Figure)
    assert figure.data
    json.dumps(result.to_dict(), allow_nan=False)
    frame = result.to_pandas()
    assert len(frame) == len(result.rows()) > 0


def test_rows_are_objects_or_detections(results: dict[str, Result], evaluation: ex.Evaluation) -> None:
    objects = len(evaluation.truth)
    assert {name: len(results[name].rows()) for name in ("evaluate", "compare", "autopsy")} == dict.fromkeys(
        ("evaluate", "compare", "autopsy"), objects
    )
    truth = results["read_truth"]
    assert isinstance(truth, ex.Annotations)
    assert isinstance(truth.of_images([1]), ex.Annotations)
    assert sum(sum(own.values()) for own in truth.counts().values()) == (~truth.to_pandas()["crowd"]).sum()
    frame, report = results["autopsy"].to_pandas(), results["autopsy"].to_dict()
    assert frame["found"].sum() == report["autopsy"]["all"]["found"]
    assert frame["verdict"].value_counts()["found"] == frame["found"].sum()
    assert (frame["x2"] - frame["x1"] > 0).all()
    assert sum(len(found) for found in results["compare"].to_pandas()["found_by"]) > 0
    predicted = results["predict"]
    assert len(predicted.to_pandas()) == len(predicted.to_dict()["annotations"])
    assert not math.isnan(results["improve"].to_pandas()["AP"][0])
    confused = results["confusion"].to_pandas()
    assert confused[(confused["size"] == "all") & (confused["annotated"] != "(nothing)")]["count"].sum() == objects
    curves = results["pr_curves"]
    assert isinstance(curves, ex.PrecisionRecall)
    assert set(curves.to_pandas()["size"]) <= {"all", "small", "medium", "large"}
    assert curves.figure_by_class().data


def test_pages_are_written(results: dict[str, Result], tmp_path: Path) -> None:
    for name in ("compare", "autopsy"):
        page = results[name].write_page(tmp_path / f"{name}.html")  # type: ignore[attr-defined]
        assert page.read_text().startswith("<!DOCTYPE html>")


def test_no_name_is_read_as_html_or_moves_the_cursor(hostile: Hostile) -> None:
    detector = ex.load_detector(hostile.model, engine="torch")
    run = ex.evaluate(detector, hostile.data)
    found = detector.detect(next(path for path in sorted(hostile.images.iterdir()) if "<img" in path.name))
    shown = [
        ex.read_truth(hostile.data),
        run,
        run.confusion(),
        run.pr_curves(),
        ex.compare(run, run, resamples=5),
        ex.autopsy(detector, hostile.data, resamples=5),
    ]
    for result in (*shown, found, found.detections):
        html = result._repr_html_()
        assert not HIDDEN.search(html)
        assert {tag.lower() for tag in re.findall(r"<\s*/?\s*(\w+)", html)} <= TAGS
        assert not HIDDEN.search(repr(result))
    for result in shown:
        assert not HIDDEN.search(str(result))
    assert "&lt;img" in run._repr_html_()


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, results: dict[str, Result]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"to_pandas needs pandas.*pip install pandas"):
        results["evaluate"].to_pandas()
    assert room.optional("json", "a test") is json


@pytest.mark.parametrize(("recorded", "limit"), [(7, 7), ([1], 100), (None, 100)])
def test_an_autopsy_follows_the_model_with_the_detection_limit_of_its_run(
    recorded: Any, limit: int, detector: ex.Detector, evaluation: ex.Evaluation
) -> None:
    (head,) = (part for part in detector.model.modules() if hasattr(part, "test_topk_per_image"))
    run = replace(evaluation, facts={**evaluation.facts, "detections_per_image": recorded})
    seen: list[int] = []
    of_run(analyse(run, resamples=2), detector, progress=lambda *_: seen.append(head.test_topk_per_image))
    assert set(seen) == {limit}
    assert head.test_topk_per_image == 100, "as it was"
