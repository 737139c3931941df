"""Reports say what the library computes, hold all they need, and trust no string."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from explorer.api.compare import ComparisonReport
from explorer.autopsy.files import write_autopsy
from explorer.autopsy.findings import Finding
from explorer.autopsy.result import Autopsy
from explorer.autopsy.two_stage.chain import TWO_STAGE
from explorer.autopsy.verdicts import Verdict
from explorer.errors.compare import Comparison, compare
from explorer.figures.curves import precision_recall_of_runs
from explorer.report.analysis import RunAnalysis, analyse, analyses_of, autopsy_beside, named_apart
from explorer.report.document import annotations_with, comparison_document, fate_columns, found_by_columns, run_document
from explorer.report.misses import telling_misses
from explorer.report.page import write_comparison_page, write_run_page
from explorer.report.tables import class_grid, difference_grid, fate_grid, object_grid, size_grid
from explorer.report.words import interval_words, p_words, seed_settle_words, settle_words
from explorer.scoring.columns import Run
from explorer.scoring.ignored import run_under
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import SODA
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import truth_from_coco
from explorer.text import in_html

HOSTILE = "<script>alert(1)</script>"
PLACES = ([10.0, 10.0, 20.0, 20.0], [60.0, 40.0, 40.0, 50.0], [130.0, 60.0, 60.0, 60.0])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(1, 7):
        Image.fromarray(rng.integers(0, 255, (150, 200, 3), dtype=np.uint8)).save(folder / f"{i}.jpg")
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 150, "width": 200} for i in range(1, 7)],
        "categories": [{"id": 1, "name": HOSTILE}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 3 * i + n, "image_id": i, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i in range(1, 7)
            for n, box in enumerate(PLACES)
        ],
    }
    truth = truth_from_coco(content, folder)

    def run(name: str, kept: int, shift: float) -> Run:
        results = [
            {"image_id": i, "category_id": 1 + (n == 2), "bbox": [x + shift, y, w, h], "score": 0.9 - 0.1 * n - i / 50}
            for i in range(1, 7)
            for n, (x, y, w, h) in enumerate(PLACES[:kept])
        ]
        return Run(name, truth, found_among(results, truth), {"data": "photos:val"})

    return run("first", 3, 0), run(f"second {HOSTILE}", 1, 12)


@pytest.fixture(scope="module")
def analysis(runs: tuple[Run, Run]) -> RunAnalysis:
    return analyse(runs[0], resamples=20)


@pytest.fixture(scope="module")
def comparison(runs: tuple[Run, Run]) -> Comparison:
    return compare([match(run) for run in runs], found=FoundRule(score=0.1), resamples=20)


@pytest.fixture(scope="module")
def autopsied(runs: tuple[Run, Run]) -> Autopsy:
    truth = runs[0].truth
    verdicts = [Verdict.FOUND, Verdict.FOUND, Verdict.OTHER_CLASS] * 6
    return Autopsy(
        "first",
        TWO_STAGE,
        0.05,
        FOUND.of(match(runs[0])),
        truth.class_names,
        ("p2", "p3"),
        truth.image_ids[truth.images],
        truth.ids,
        truth.classes,
        truth.areas_px,
        truth.boxes_xywh,
        tuple(Finding(verdict, place % 2) for place, verdict in enumerate(verdicts)),
    )


def test_json_says_what_the_library_computes(analysis: RunAnalysis, comparison: Comparison) -> None:
    document = json.loads(json.dumps(run_document(analysis)))
    given = analysis.resamples.intervals()
    assert document["by_size"]["AP"]["small"] == {
        "value": given.value[0, 1],
        "low": None,
        "high": None,
        "objects": 6,
        "images": 6,
        "no_interval": "too few images",
    }
    assert document["by_size"]["AP"]["large"] == {
        "value": None,
        "low": None,
        "high": None,
        "objects": 0,
        "images": 0,
    }
    assert document["operating_point"] == vars(analysis.point)
    assert document["fates"]["all"] == {
        "no detection close enough": 0,
        "detected as another class": 6,
        "box not accurate enough": 0,
        "scored below the threshold": 0,
        "found": 12,
    }
    assert document["figures"]["AP50"] == analysis.resamples.figures.value("AP50")
    assert document["errors"]["all"]["classification"] == 6
    confused = document["confusion"]["all"]
    assert sum(n for name, row in confused.items() for other, n in row.items() if name != other) == 6
    assert sum(row.get(name, 0) for name, row in confused.items()) == 12
    whole = comparison_document(comparison, analyses_of(comparison))
    (pair,) = whole["pairs"]
    assert pair["differences_b_minus_a"]["AP"]["all"]["value"] == comparison.pairs[0].differences.points.value[0, 0]
    everything = pair["objects"][0]
    assert everything["only_a"] == comparison.pairs[0].tallies["all", None].only_a == 12
    assert (everything["objects"], everything["images"], everything["low_points"]) == (18, 6, None)
    assert everything["no_interval"] == "too few images"


def test_coco_annotations_say_what_became_of_objects(
    analysis: RunAnalysis, comparison: Comparison, autopsied: Autopsy, runs: tuple[Run, Run]
) -> None:
    fates = annotations_with(runs[0].truth, fate_columns(replace(analysis, autopsy=autopsied)))
    assert [a["found"] for a in fates["annotations"][:3]] == [True, True, False]
    assert [a["error_type"] for a in fates["annotations"][:3]] == ["correct", "correct", "classification"]
    assert [a["verdict"] for a in fates["annotations"][:3]] == ["found", "found", "other_class"]
    assert fates["annotations"][1]["fpn_level"] == "p3"
    finders = annotations_with(comparison.truth, found_by_columns(comparison))["annotations"]
    assert list(finders[0]["found_by"]) == ["first"]
    assert finders[2]["found_by"] == {}
    assert truth_from_coco(fates).ids.tolist() == runs[0].truth.ids.tolist()


def test_classes_by_size_are_those_of_the_figures(analysis: RunAnalysis) -> None:
    figures, grid = analysis.resamples.figures, class_grid(analysis)
    assert grid.head == ("AP (objects)", "all", "small", "medium", "large")
    there = [name for row, name in enumerate(figures.class_names) if figures.objects[:, row].any()]
    assert [row[0] for row in grid.rows] == there
    assert grid.rows[0][1] == f"{figures.value(class_name=there[0]):.1f} ({figures.objects[0].tolist()[0]})"


def test_the_page_holds_all_it_needs_and_runs_no_foreign_code(
    analysis: RunAnalysis, comparison: Comparison, autopsied: Autopsy, tmp_path: Path
) -> None:
    write_run_page(replace(analysis, autopsy=autopsied), tmp_path / "run.html")
    write_comparison_page(comparison, analyses_of(comparison, [autopsied, None]), tmp_path / "both.html")
    for name, figures, misses in (("run.html", 6, 6), ("both.html", 7, 18)):
        page = (tmp_path / name).read_text()
        assert HOSTILE not in page
        assert page.count("plotly.js v") == 1
        assert page.count('class="plotly-graph-div"') == figures
        assert page.count("<figure>") == misses
        assert page.count("IoU ≥ 0.5, score ≥ 0.") >= 4
        assert "too few images" in page
        assert ("According to the detections alone" in page) == (name == "both.html")  # of the run without an autopsy
        assert not re.findall(
            r'(?:src|href)="(?!data:|#)[^"]*"', re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        )


def test_both_runs_have_curves_confusions_and_doubts(comparison: Comparison, tmp_path: Path) -> None:
    analyses = analyses_of(comparison)
    page = write_comparison_page(comparison, analyses, tmp_path / "both.html").read_text()
    for own in analyses:
        assert f"Confusion matrix, of {in_html(own.run.name)}" in page
        assert (f"Likely label errors, by {in_html(own.run.name)}" in page) == bool(own.label_errors)
        document = run_document(own)["label_errors"]
        assert [row["likelihood"] for row in document] == [one.likelihood for one in own.label_errors[:20]]
    drawn = precision_recall_of_runs({own.run.name: own.curves for own in analyses})
    for trace, own in zip(drawn.data, analyses, strict=True):
        assert np.nanmean(trace.y) * 100 == pytest.approx(own.resamples.figures.value("AP50"), abs=1e-9)
    with pytest.raises(ValueError, match="no curves"):
        precision_recall_of_runs({})


def test_misses_are_of_every_reason_and_what_the_rival_finds_comes_first(comparison: Comparison) -> None:
    analyses = analyses_of(comparison)
    misses = telling_misses(analyses[1], analyses[0], most=8)
    assert len(misses) == 8
    assert misses[0].rival_score > 0.5
    images = comparison.truth.images[[miss.row for miss in misses]]
    assert np.bincount(images).max() <= 2
    (own, *_) = telling_misses(analyses[0])
    assert own.reason == "detected as another class"
    assert own.nearest is not None
    assert (own.nearest.class_name, own.nearest.iou) == ("dog", 1)


def test_what_a_protocol_ignores_is_no_miss(runs: tuple[Run, Run]) -> None:
    """SODA ignores objects above 2000 px²: here one in three."""
    given = [run_under(SODA, run) for run in runs]
    compared = compare([match(run) for run in given], found=FoundRule(score=0.1), resamples=20)
    ignored = compared.truth.areas_px > 2000
    assert ignored.sum() == 6
    (pair,) = compared.pairs
    assert (pair.who[ignored] == -1).all()
    for (size, _), tally in pair.tallies.items():
        scored = compared.resamples[0].figures
        at = [own.name for own in scored.bins].index(size)
        assert tally.objects <= scored.objects[at].sum(), size
    for analysis in analyses_of(compared):
        misses = telling_misses(analysis)
        assert not ignored[[miss.row for miss in misses]].any()
        assert "found" not in {miss.reason for miss in misses}
    assert ComparisonReport(compared, analyses_of(compared)).title.endswith("6 images with 12 objects")


def test_tables_have_the_figures(analysis: RunAnalysis, comparison: Comparison, autopsied: Autopsy) -> None:
    grid = size_grid([analysis], ("AP", "AP50"))
    assert grid.head == ("(objects in images)", "first")
    assert grid.rows[0] == ("AP all (18 in 6)", f"{analysis.resamples.figures.value():.1f}, too few images")
    pair = comparison.pairs[0]
    sizes = [row[0] for row in difference_grid(comparison, pair).rows]
    assert sizes == ["AP all (18 in 6)", "AP small (6 in 6)", "AP medium (12 in 6)", "AP large (0 in 0)"]
    objects = object_grid(comparison, pair, fine=False)
    assert objects.head[0] == "found: IoU ≥ 0.5, score ≥ 0.1 (A), ≥ 0.1 (B) (objects in images)"
    assert objects.rows[0][:3] == ("all (18 in 6)", "0", "12")
    assert len(object_grid(comparison, pair).rows) > len(objects.rows)
    found = (f"found: {analysis.point.words}", "12 (66.7 %)")
    for own, lost in (
        (analysis, "detected as another class"),
        (replace(analysis, autopsy=autopsied), "classified as another class"),
    ):
        first, *_, last = fate_grid(own).rows
        assert first[0].startswith(lost)
        assert (first[1], last[:2]) == ("6 (33.3 %)", found)
    console = Console(width=80, record=True, file=StringIO())
    console.print(objects.on_terminal())
    for word in ("all", "small", "medium", "neither", "McNemar"):
        assert word in console.export_text(clear=False)
    assert "…" not in console.export_text()


def test_what_is_scored_too_low_has_a_fate_of_its_own(runs: tuple[Run, Run], autopsied: Autopsy) -> None:
    """The scores of the first objects are 0.88 to 0.78, of the second ones 0.78 to 0.68."""
    for autopsy in (None, autopsied):
        analysis = analyse(runs[0], found=FoundRule(score=0.79), autopsy=autopsy, resamples=5)
        rows = {row[0]: row[1] for row in fate_grid(analysis).rows}
        assert rows["found: IoU ≥ 0.5, score ≥ 0.79"] == "5 (27.8 %)"
        assert rows["scored below the threshold: score < 0.79"] == "7 (38.9 %)"
        assert Counter(miss.reason for miss in telling_misses(analysis, most=99))["scored below the threshold"] > 0
        again = analyse(runs[0], found=FoundRule(score=0.5), autopsy=autopsy, resamples=5).judged(FoundRule(score=0.79))
        assert fate_grid(again) == fate_grid(analysis)
        np.testing.assert_array_equal(again.confusion.counts, analysis.confusion.counts)
        assert [miss.row for miss in telling_misses(again)] == [miss.row for miss in telling_misses(analysis)]
        with pytest.raises(ValueError, match=r"analysed at IoU 0\.5; for IoU 0\.75, analyse it again"):
            analysis.judged(FoundRule(iou=0.75))


def test_an_autopsy_at_another_iou_or_beside_masks_is_left_out(runs: tuple[Run, Run], autopsied: Autopsy) -> None:
    with pytest.raises(ValueError, match=r"make it again with `explorer autopsy --iou 0\.75`"):
        analyse(runs[0], found=FoundRule(iou=0.75), autopsy=autopsied, resamples=5)
    stricter = compare([match(run) for run in runs], found=FoundRule(iou=0.75, score=0.1), resamples=5)
    first, _ = analyses_of(stricter, [autopsied, autopsied])
    assert first.autopsy is None
    assert first.taxonomy.foreground == 0.75
    assert first.gains[0].alone.mean_ap == pytest.approx(first.resamples.figures.value("AP50"), abs=1e-9)


def test_words() -> None:
    assert interval_words(1.23, -0.5, 3, signed=True) == "+1.2 [−0.5, +3.0]"
    assert interval_words(1.23, float("nan"), float("nan"), signed=True) == "+1.2, too few images"
    assert interval_words(float("nan"), 0, 0) == p_words(float("nan")) == settle_words(float("nan"), False) == "–"
    assert (p_words(0.0004), p_words(0.0342)) == ("< 0.001", "0.034")
    assert settle_words(1234, False) == "about 1,200 more images"
    assert (settle_words(0, True), settle_words(float("inf"), False)) == ("settled", "no difference")
    assert seed_settle_words(0.83, False) == "more seeds (83 % of the variance)"
    assert seed_settle_words(0.25, False) == "more images (75 % of the variance)"
    assert (seed_settle_words(0.83, True), seed_settle_words(float("nan"), False)) == ("settled", "–")


def test_an_autopsy_of_other_objects_is_refused(runs: tuple[Run, Run], autopsied: Autopsy, tmp_path: Path) -> None:
    other = replace(autopsied, ids=autopsied.ids + 1)
    with pytest.raises(ValueError, match="make it again with `explorer autopsy`"):
        analyse(runs[0], autopsy=other, resamples=5)
    write_autopsy(other, tmp_path / "autopsy.json")
    assert autopsy_beside(runs[0]) is None
    assert autopsy_beside(replace(runs[0], folder=tmp_path)) is None
    write_autopsy(autopsied, tmp_path / "autopsy.json")
    assert autopsy_beside(replace(runs[0], folder=tmp_path)) is not None


def test_runs_of_one_name_are_told_apart(runs: tuple[Run, Run], tmp_path: Path) -> None:
    same = [replace(runs[0], folder=tmp_path / name) for name in "ab"]
    assert [run.name for run in named_apart([*same, runs[1]])] == ["first (a)", "first (b)", runs[1].name]
    assert [run.name for run in named_apart([same[0], same[0]])] == ["first (a) #1", "first (a) #2"]
