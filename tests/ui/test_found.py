"""One run, one meaning of found: every view counts the same objects, to the last one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from typer.testing import CliRunner

from explorer.autopsy.files import read_autopsy
from explorer.autopsy.verdicts import Verdict
from explorer.browser.judging import judge
from explorer.cli import app
from explorer.data.aerial import make_aerial
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.figures.autopsy import autopsy_flow
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FOUND, FoundRule, object_scores
from explorer.scoring.runs import load_run, read_truth
from explorer.types import SIZES, size_names
from explorer.ui.actions.errors import examine
from explorer.ui.actions.models import Models
from explorer.zoo.checkpoints import save_safetensors

MODEL = "demo/V-19-slim-dw"
SMALL = ("INPUT.MIN_SIZE_TEST", "240")
"""A quarter of the usual pixels, and of the time."""
Counts = dict[str, int]


@dataclass(frozen=True)
class Views:
    """What every command wrote of one run, under one rule."""

    rule: FoundRule
    run: Path
    comparison: Path
    data: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("found")
    make_aerial(folder / "aerial", images=12, seed=3, workers=1)
    data = f"{folder / 'aerial'}:val"
    _call("evaluate", MODEL, "--data", data, "--out", folder / "run", "--device", "cpu", "--exact", *SMALL)
    return folder / "run", data


@pytest.fixture(scope="module", params=["default", "another"])
def views(request: pytest.FixtureRequest, run: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Views:
    folder, data = run
    rule, out = FOUND, tmp_path_factory.mktemp("comparison")
    if request.param == "another":  # to the last bit a score with which an object is found
        scores = object_scores(match(load_run(folder), thresholds=(0.7,)), 0.7)
        rule = FoundRule(0.7, float(np.sort(scores[~np.isnan(scores)])[10]))
    asked = ["--iou", rule.iou, *(["--score", rule.score] if rule.score is not None else [])]
    _call("autopsy", folder, "--device", "cpu", *asked)
    _call("compare", folder, folder, "--out", out, "--resamples", 20, *asked)
    return Views(rule, folder, out, data)


class Small(Models):
    """The page's models, as the run's was."""

    def get(self, name: str, progress: Any = None) -> Detector:
        return load_detector(name, overrides=SMALL, device="cpu", exact=True)


def _call(*words: Any) -> None:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output


def by_size(found: np.ndarray, run: Path) -> Counts:
    """Counts objects by COCO size, given which of a run's are found."""
    truth = load_run(run).truth
    counted = Counter(size_names(truth.areas_px[found]))
    return {"all": int(found.sum())} | {size: counted[size] for size in SIZES}


@pytest.fixture(scope="module")
def expected(views: Views) -> Counts:
    """By pycocotools: matched at the IoU, and the detection's score is high enough."""
    truth = COCO(str(Path(views.data.removesuffix(":val")) / "annotations/instances_val.json"))
    results = json.loads((views.run / "coco_instances_results.json").read_text())
    scored = truth.loadRes(results)
    evaluation = COCOeval(truth, scored, "bbox")
    evaluation.params.iouThrs = np.array([views.rule.iou])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    document = json.loads((views.run / "report.json").read_text())
    least = document["operating_point"]["score"]
    found = {
        int(annotation)
        for image in evaluation.evalImgs
        if image is not None
        for annotation, detection in zip(image["gtIds"], image["gtMatches"][0], strict=True)
        if detection and scored.anns[int(detection)]["score"] >= least and not truth.anns[annotation]["iscrowd"]
    }
    return by_size(np.isin(load_run(views.run).truth.ids, list(found)), views.run)


def of_grid(page: str, what: str) -> list[list[str]]:
    """The rows of a page's tables whose first cell begins so."""
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    return [list(map(unescape, row)) for row in rows if row and unescape(row[0]).startswith(what)]


def number(cell: str) -> int:
    return int(cell.split(" ")[0].replace(",", ""))


def test_the_reports_of_a_run_count_them(views: Views, expected: Counts) -> None:
    document = json.loads((views.run / "report.json").read_text())
    assert {size: fates["found"] for size, fates in document["fates"].items()} == expected
    assert {size: verdicts["found"] for size, verdicts in document["autopsy"].items()} == expected
    objects = json.loads((views.run / "objects.json").read_text())["annotations"]
    assert by_size(np.array([own["found"] for own in objects]), views.run) == expected
    assert [own["found"] for own in objects] == [own["verdict"] == "found" for own in objects]
    page = (views.run / "report.html").read_text()
    [row] = of_grid(page, "found: ")
    assert dict(zip(expected, map(number, row[1:]), strict=True)) == expected
    least = document["operating_point"]["score"]
    assert row[0] == f"found: IoU ≥ {views.rule.iou:g}, score ≥ {least:.3g}"
    assert page.count(f"IoU ≥ {views.rule.iou:g}, score ≥ {least:.3g}") >= 4  # sections, table, figure


def test_the_autopsy_counts_them_and_the_chart_equals_its_table(views: Views, expected: Counts) -> None:
    autopsy = read_autopsy(views.run)
    groups = autopsy.by_size()
    assert {group.bin.name: group.counts[Verdict.FOUND] for group in groups} == expected
    flow = autopsy_flow(autopsy)
    drawn = dict(note.text.rsplit(": ", 1) for note in flow.layout.annotations)
    into = Counter[str]()
    for _, target, value in (ribbon.meta for ribbon in flow.data):
        into[target] += value
    assert sorted(into.values()) == sorted(int(count) for label, count in drawn.items() if label not in SIZES)
    assert int(drawn[f"found, {autopsy.point.words}"]) == expected["all"]
    assert int(drawn[f"score below {autopsy.point.score:.3g}"]) == groups[0].counts[Verdict.LOW_SCORE] > 0
    document = json.loads((views.run / "report.json").read_text())
    low = document["fates"]["all"]["scored below the threshold"]
    page = (views.run / "report.html").read_text()
    assert low == groups[0].counts[Verdict.LOW_SCORE] == number(of_grid(page, "scored below")[0][1])


def test_a_comparison_counts_them(views: Views, expected: Counts) -> None:
    document = json.loads((views.comparison / "report.json").read_text())
    for own in document["runs"]:
        assert {size: fates["found"] for size, fates in own["fates"].items()} == expected
    (pair,) = document["pairs"]
    both = {own["size"]: own["both"] for own in pair["objects"] if own["class_name"] is None}
    assert {size: both[size] for size in expected} == expected
    finders = json.loads((views.comparison / "objects.json").read_text())["annotations"]
    assert by_size(np.array([len(own["found_by"]) == 2 for own in finders]), views.run) == expected
    page = (views.comparison / "report.html").read_text()
    for row in of_grid(page, "found: "):
        assert dict(zip(expected, map(number, row[1:]), strict=True)) == expected

    def is_of_a_size(row: list[str]) -> bool:
        return len(row) == 8 and row[0].split(" (")[0] in expected

    rows = {row[0].split(" (")[0]: number(row[1]) for row in of_grid(page, "") if is_of_a_size(row)}
    assert rows == expected


def test_fiftyone_counts_them(views: Views, expected: Counts) -> None:
    run = load_run(views.run)
    judged = judge(run, views.rule)
    assert by_size(judged.found, views.run) == expected
    assert judged.verdicts is not None
    assert by_size(np.array([verdict == "found" for verdict in judged.verdicts]), views.run) == expected


def test_the_page_counts_them(views: Views, expected: Counts) -> None:
    """The page runs the model itself, as `--exact` does."""
    truth = read_truth(views.data)
    examination = examine(Small(), [MODEL], truth, found=views.rule)
    (analysis,) = examination.analyses
    assert analysis.autopsy is not None
    found = np.array([finding.verdict == Verdict.FOUND for finding in analysis.autopsy.findings])
    assert by_size(found, views.run) == expected
    again = examination.judged(FoundRule(views.rule.iou, 0.6))
    assert again.analyses[0].autopsy is not None
    (grid_row,) = (own for own in _fates(again) if own[0].startswith("found: "))
    counted = by_size(judge(analysis.run, FoundRule(views.rule.iou, 0.6)).found, views.run)
    assert [number(cell) for cell in grid_row[1:]] == list(counted.values())
    missed = {miss.row for miss in examination.misses[MODEL]}
    assert missed
    assert not found[sorted(missed)].any()


def _fates(examination: Any) -> tuple[tuple[str, ...], ...]:
    from explorer.report.tables import fate_grid

    rows: tuple[tuple[str, ...], ...] = fate_grid(examination.analyses[0]).rows
    return rows


@pytest.mark.parametrize("kind", [pytest.param("retinanet", marks=pytest.mark.slow), "centermask"])
def test_dense_detectors_are_counted_alike(
    kind: str, dense: Callable[..., Detector], run: tuple[Path, str], tmp_path: Path
) -> None:
    """Found, below the threshold and lost add up to the objects, in every view, and each loss is verified."""
    data, detector, weights = run[1], dense(kind), tmp_path / "weights.safetensors"
    save_safetensors(detector.model.state_dict(), weights, half=False)
    (tmp_path / "config.yaml").write_text(detector.cfg.dump(), encoding="utf-8")
    model = (tmp_path / "config.yaml", "--weights", weights)
    _call("evaluate", *model, "--data", data, "--out", tmp_path / "run", "--device", "cpu", "--exact")
    _call("autopsy", tmp_path / "run", "--device", "cpu", "--verify", "--iou", 0.5, "--score", 0.5)
    document = json.loads((tmp_path / "run/report.json").read_text())
    objects, fates = document["objects"]["all"], document["fates"]["all"]
    assert sum(fates.values()) == objects
    counts = {Verdict[name.upper()]: number for name, number in document["autopsy"]["all"].items()}
    assert {verdict.label: number for verdict, number in counts.items() if verdict != Verdict.CROWD} == fates
    assert {group.bin.name: group.objects for group in read_autopsy(tmp_path / "run").by_size()}["all"] == objects
    lost = {verdict: number for verdict, number in counts.items() if number and verdict < Verdict.NOT_IN_RUN}
    verified = document["autopsy_verified"]
    assert {Verdict[name.upper()]: own["lost"] for name, own in verified.items()} == lost
    page = (tmp_path / "run/report.html").read_text()
    for label, number_lost in ((verdict.label, number) for verdict, number in lost.items()):
        assert [number(row[1]) for row in of_grid(page, label)] == [number_lost, number_lost]
    confirmed = sum(own["confirmed"] for own in verified.values())
    assert f"stage that lost each object: {confirmed:,} of {sum(lost.values()):,} objects" in page
    assert confirmed >= 0.95 * sum(lost.values())

    models = Models(extra=(str(model[0]),), weights=weights, lowest_score=None)  # as the page's tab has them
    examination = examine(models, [str(model[0])], read_truth(data), found=FoundRule(0.5, 0.5), verify=True)
    (analysis,) = examination.analyses
    assert analysis.autopsy is not None
    assert analysis.autopsy.by_size()[0].counts == counts
    for verdict, own in analysis.autopsy.verification.items():
        after = {end.name.lower(): number for end, number in own.after.items()}
        assert verified[verdict.name.lower()] == {
            "lost": own.lost,
            "confirmed": own.confirmed,
            "found": own.found,
            "after": after,
        }
