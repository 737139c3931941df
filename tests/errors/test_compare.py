"""Two runs on the same images: who finds which object, at which thresholds, and is a difference more than noise?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from explorer.errors.bootstrap import bootstrap
from explorer.errors.compare import Comparison, compare
from explorer.errors.paired import OUTCOMES, differences, mcnemar
from explorer.scoring.columns import in_order
from explorer.scoring.matching import Matches, match
from explorer.scoring.metrics import score
from explorer.scoring.outcomes import FOUND, FoundRule, found_by, object_scores
from explorer.scoring.resampling import FEWEST_UNITS, grouped, resampling_note
from explorer.scoring.runs import Run
from explorer.scoring.sizes import COCO_BINS

Content = dict[str, Any]
Results = list[dict[str, Any]]
AsRun = Callable[..., Run]
FOUR_BOXES = [[20.0 + 70 * i, 20.0, 20.0 + 15 * i, 20.0] for i in range(4)]


@pytest.fixture
def scene(as_run: AsRun) -> Callable[..., Matches]:
    """One image with four objects of one class; a run finds those that it is given scores for."""
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 240, "width": 320}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, box in enumerate(FOUR_BOXES)
        ],
    }

    def matches(scores: dict[int, float], wrong: tuple[float, ...] = (), name: str = "a run") -> Matches:
        found = [(FOUR_BOXES[i], s) for i, s in scores.items()] + [([200.0, 150.0, 30.0, 30.0], s) for s in wrong]
        results = [{"image_id": 1, "category_id": 1, "bbox": box, "score": s} for box, s in found]
        return match(as_run(content, results, name), bins=COCO_BINS)

    return matches


@pytest.fixture(scope="module")
def rivals(invent: Callable[..., tuple[Content, Results]], as_run: AsRun) -> tuple[Matches, Matches]:
    """A run, and the same one with three in four of its detections gone."""
    content, results = invent(11, images=40, objects=8, detections=16)
    few = [result for i, result in enumerate(results) if i % 4 == 0]
    return tuple(
        match(as_run(content, found, name), bins=COCO_BINS) for name, found in (("all", results), ("few", few))
    )


@pytest.fixture(scope="module")
def comparison(rivals: tuple[Matches, Matches]) -> Comparison:
    return compare(rivals, resamples=200)


def test_each_object_is_found_by_one_both_or_none(scene: Callable[..., Matches]) -> None:
    a, b = scene({0: 0.9, 1: 0.8}, name="a"), scene({0: 0.7, 2: 0.6}, name="b")
    compared = compare([a, b], found=FoundRule(score=0.5), resamples=20)
    (pair,) = compared.pairs
    assert [OUTCOMES[who] for who in pair.who] == ["both", "only_a", "only_b", "neither"]
    tally = pair.tallies["all", None]
    assert (tally.both, tally.only_a, tally.only_b, tally.neither, tally.objects) == (1, 1, 1, 1, 4)
    assert tally.recall_difference_points == 0
    assert tally.mcnemar_p_value == 1
    assert pair.tallies["small", "cat"].objects == 3  # the fourth has 65 x 20 px, more than 32²
    np.testing.assert_array_equal(compared.found_by >= 0, [[1, 1, 0, 0], [1, 0, 1, 0]])


def test_a_runs_threshold_is_its_own_whatever_it_is_compared_with(scene: Callable[..., Matches]) -> None:
    a, b = scene({0: 0.9, 1: 0.3}, wrong=(0.5, 0.4)), scene({0: 0.1}, wrong=(0.9, 0.8))
    compared = compare([a, b], resamples=5)
    assert compared.points == (FOUND.of(a), FOUND.of(b))
    assert [point.precision_percent for point in compared.points] == [50, pytest.approx(100 / 3)]  # b reaches no more


def test_an_operating_point_counts_what_is_shown(scene: Callable[..., Matches]) -> None:
    matches = scene({0: 0.9, 1: 0.5}, wrong=(0.7, 0.1))
    point = FoundRule(score=0.5).of(matches)
    assert (point.detections, point.precision_percent, point.recall_percent) == (3, pytest.approx(200 / 3), 50)
    assert point.words == "IoU ≥ 0.5, score ≥ 0.5"
    assert (found_by(matches, point) >= 0).tolist() == [True, True, False, False]  # a score of 0.5 is enough
    assert (found_by(matches, FoundRule(score=0.6).of(matches)) >= 0).tolist() == [True, False, False, False]
    np.testing.assert_array_equal(object_scores(matches, 0.5), [0.9, 0.5, np.nan, np.nan])
    nothing = FoundRule(score=0.95).of(matches)
    assert np.isnan(nothing.precision_percent)
    assert nothing.recall_percent == 0


def test_a_precision_takes_the_lowest_threshold_that_has_it(scene: Callable[..., Matches]) -> None:
    a, b = scene({0: 0.9, 1: 0.5}, wrong=(0.7, 0.1)), scene({0: 0.4, 1: 0.3}, wrong=(0.35, 0.2, 0.1))
    hopeless = scene({0: 0.5}, wrong=(0.9, 0.8))
    for precision, scores in ((0.5, [0.1, 0.2]), (0.6, [0.5, 0.3]), (1.0, [0.9, 0.4])):
        assert [FoundRule(precision=precision).of(run).score for run in (a, b)] == scores
    assert [FOUND.of(run).score for run in (a, hopeless, scene({}))] == [0.1, 0.5, 0]
    assert FOUND.of(scene({})).detections == 0
    with pytest.raises(ValueError, match=r"reaches a precision of 0\.333 at most, not 0\.5; "):
        FoundRule(precision=0.5).of(hopeless)
    with pytest.raises(ValueError, match=r"nothing was matched at IoU 0\.42"):
        FoundRule(iou=0.42).of(a)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"precision": 50}, "precision is 50; give a number above 0 and at most 1"),
        ({"iou": 50}, "IoU threshold is 50; give a number above 0 and at most 1"),
        ({"iou": 0}, "IoU threshold is 0; "),
        ({"score": float("nan")}, "score threshold is nan; give a finite number"),
        ({"score": 0.5, "precision": 0.5}, "both a score and a precision are given; give one of them"),
    ],
)
def test_rules_that_make_no_sense_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FoundRule(**settings)


def test_differences_are_those_of_the_figures_and_paired(
    comparison: Comparison, rivals: tuple[Matches, Matches]
) -> None:
    (pair,) = comparison.pairs
    a, b = (score(matches) for matches in rivals)
    np.testing.assert_allclose(pair.differences.points.value, b.overall - a.overall, atol=1e-12)
    np.testing.assert_allclose(pair.differences_by_class.points.value, b.by_class - a.by_class, atol=1e-12)
    first, second = (bootstrap(matches, 200) for matches in rivals)
    spread = (second.overall[0, 0] - first.overall[0, 0]).std(ddof=1)
    assert pair.differences.points.standard_error[0, 0] == pytest.approx(spread)
    unpaired = np.hypot(first.overall[0, 0].std(ddof=1), second.overall[0, 0].std(ddof=1))
    assert spread < unpaired


def test_a_large_difference_is_settled_and_none_never_is(
    comparison: Comparison, rivals: tuple[Matches, Matches]
) -> None:
    (pair,) = comparison.pairs
    recall = comparison.resamples[0].figures.names.index("AR100")
    assert pair.differences.settled[recall, 0]
    assert pair.differences.more_images[recall, 0] == 0
    assert pair.differences.p_values[recall, 0] < 0.05
    same = bootstrap(rivals[0], 50)
    none = differences(same, same, 0.95)
    assert not none.settled.any()
    assert (none.p_values[~np.isnan(none.p_values)] == 1).all()
    assert np.isinf(none.more_images[0, 0])


def test_how_many_images_would_settle_it(comparison: Comparison) -> None:
    given = comparison.pairs[0].differences
    ratio = (1.959964 + 0.841621) * given.points.standard_error / np.abs(given.points.value)
    np.testing.assert_allclose(given.images_needed[0], (given.images * ratio**2)[0], rtol=1e-5)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 9), (40, 12), (5, 5)])
def test_mcnemar_is_a_sign_test(only_a: int, only_b: int) -> None:
    total = only_a + only_b
    expected = binomtest(only_b, total).pvalue if total else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected)


def test_recall_differences_have_intervals_over_images(comparison: Comparison) -> None:
    for tally in comparison.pairs[0].tallies.values():
        if tally.objects:
            difference = 100 * (tally.only_b - tally.only_a) / tally.objects
            assert tally.recall_difference_points == pytest.approx(difference)
            if tally.images < FEWEST_UNITS:
                assert np.isnan([tally.low_points, tally.high_points, tally.image_p_value]).all()
            else:
                assert tally.low_points <= difference <= tally.high_points
        else:
            assert np.isnan(tally.recall_difference_points)


def test_what_rests_on_fewer_than_ten_images_has_no_interval(rivals: tuple[Matches, Matches]) -> None:
    truth = rivals[0].run.truth
    with_small = np.unique(truth.images[(truth.areas_px < 32**2) & ~truth.crowds])
    for images, known in ((FEWEST_UNITS, True), (FEWEST_UNITS - 1, False)):
        runs = [_on_images(matches.run, with_small[:images]) for matches in rivals]
        (pair,) = compare([match(run, bins=COCO_BINS) for run in runs], resamples=50).pairs
        given, small = pair.differences, [size.name for size in COCO_BINS].index("small")
        assert (given.points.images[0, small], bool(given.points.too_few[0, small])) == (images, not known)
        own = runs[0].truth
        inside = (own.areas_px <= 32**2) & ~own.crowds  # a figure counts an object on the edge, a name does not
        assert given.points.objects[0, small] == inside.sum() >= pair.tallies["small", None].objects > 0
        for column in (given.points.low, given.points.high, given.p_values, given.images_needed, given.more_images):
            assert np.isfinite(column[0, small]) == known
        assert np.isfinite(given.points.value[0, small])
        assert np.isfinite(pair.tallies["small", None].low_points) == known


def test_images_of_one_scene_are_resampled_together(rivals: tuple[Matches, Matches]) -> None:
    images = len(rivals[0].run.truth.image_ids)
    scenes = tuple(f"video {row % 12}" for row in range(images))
    runs = [replace(own.run, truth=replace(own.run.truth, scenes=scenes)) for own in rivals]
    assert "are of 12 scenes" in resampling_note(runs[0].truth)
    by_scene, alone = (
        [match(replace(own, truth=grouped(own.truth, rule)), bins=COCO_BINS) for own in runs]
        for rule in ("scene", r"(.*)")
    )
    assert "over 12 groups" in resampling_note(by_scene[0].run.truth)
    (pair,), (single,), (plain,) = (compare(own, resamples=50).pairs for own in (by_scene, alone, rivals))
    np.testing.assert_array_equal(single.differences.points.low, plain.differences.points.low)  # groups of one image
    of_all = pair.differences.points
    np.testing.assert_array_equal(of_all.value, plain.differences.points.value)
    assert of_all.images[0, 0] == pair.tallies["all", None].images == 12
    assert np.isfinite(of_all.low[0, 0])
    assert of_all.low[0, 0] != plain.differences.points.low[0, 0]
    two = replace(runs[0].truth, scenes=("a", "b") * (images // 2))
    few = match(replace(runs[0], truth=grouped(two, "scene")), bins=COCO_BINS)
    assert bootstrap(few, 50).intervals().too_few.any()
    assert np.isnan(bootstrap(few, 50).intervals().low).all()
    part = grouped(runs[0].truth, "scene").of_rows(np.arange(5, 8))
    assert part.groups is not None
    assert (part.groups.rows.tolist(), part.scenes) == ([0, 1, 2], scenes[5:8])
    with pytest.raises(ValueError, match="do not say which scene they show"):
        grouped(rivals[0].run.truth, "scene")


def _on_images(run: Run, rows: np.ndarray) -> Run:
    """The part of a run on some images."""
    kept = np.isin(run.found.images, rows)
    columns = (getattr(run.found, name)[kept] for name in ("images", "classes", "boxes_xywh", "scores"))
    images, *others = columns
    truth = run.truth.of_images(run.truth.image_ids[rows].tolist())
    return replace(run, truth=truth, found=in_order(np.searchsorted(rows, images), *others))


def test_three_runs_make_three_pairs(rivals: tuple[Matches, Matches]) -> None:
    steps: list[tuple[int, int]] = []
    compared = compare([*rivals, rivals[0]], resamples=10, progress=lambda *step: steps.append(step))
    assert [(pair.a, pair.b) for pair in compared.pairs] == [(0, 1), (0, 2), (1, 2)]
    assert compared.names == ("all", "few", "all")
    assert steps[-1] == (30, 30)


def test_what_cannot_be_compared_is_refused(
    rivals: tuple[Matches, Matches], invent: Callable[..., tuple[Content, Results]], as_run: AsRun
) -> None:
    a, b = rivals
    content, results = invent(11, images=40, objects=8, detections=16)
    fewer_images = replace(a.run, truth=a.run.truth.of_images(a.run.truth.image_ids[:30].tolist()))
    fewer_images = replace(fewer_images, found=as_run(content, []).found)
    renamed = copy.deepcopy(content)
    renamed["categories"][1]["name"] = "dog"
    moved = copy.deepcopy(content)
    moved["annotations"][0]["bbox"][0] += 1
    for others, settings, words in [
        ([], {}, "at least two runs, not 1"),
        ([match(fewer_images, bins=COCO_BINS)], {}, "40 and 30 images, of which 10 are in one only"),
        ([match(as_run(renamed, results), bins=COCO_BINS)], {}, "'class 1' and 'dog'"),
        ([match(as_run(moved, results), bins=COCO_BINS)], {}, "annotations differ"),
        ([match(b.run)], {}, "matched differently"),
        ([b], {"found": FoundRule(iou=0.42)}, "nothing was matched at IoU 0.42"),
    ]:
        with pytest.raises(ValueError, match=words):
            compare([a, *others], resamples=5, **settings)
