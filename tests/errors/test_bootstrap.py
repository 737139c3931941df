"""Resampled figures equal those of a data set whose images are written out again, by pycocotools."""

from __future__ import annotations

import copy
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval
from scipy.stats import norm

from explorer.errors.bootstrap import bootstrap, draw, interval, p_values
from explorer.scoring import accumulate
from explorer.scoring.accumulate import RECALLS, recalls_reached
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.resampling import FEWEST_UNITS
from explorer.scoring.runs import Run
from explorer.scoring.sizes import COCO_BINS, DEFAULT_BINS

Content = dict[str, Any]
Results = list[dict[str, Any]]


def written_out(content: Content, results: Results, times: np.ndarray) -> tuple[Content, Results]:
    """The data set with image `i` there `times[i]` times, under ids of its own."""
    images, annotations, found = [], [], []
    ordered = sorted(content["images"], key=lambda image: image["id"])
    for image, number in zip(ordered, times.tolist(), strict=True):
        for _ in range(number):
            new = len(images) + 1
            images.append({**image, "id": new})
            for source, target in ((content["annotations"], annotations), (results, found)):
                target += [{**copy.deepcopy(r), "image_id": new} for r in source if r["image_id"] == image["id"]]
    annotations = [{**annotation, "id": n + 1} for n, annotation in enumerate(annotations)]
    return {**content, "images": images, "annotations": annotations}, found


def coco_figures(evaluation: COCOeval) -> np.ndarray:
    """AP by size and class, `(A, C)` percent."""
    precision = evaluation.eval["precision"][..., -1].mean(axis=(0, 1)).T
    return np.where(precision > -1, 100 * precision, np.nan)


def coco_recalls(evaluation: COCOeval) -> np.ndarray:
    recall = evaluation.eval["recall"].mean(axis=0).transpose(2, 1, 0)
    return np.where(recall > -1, 100 * recall, np.nan)


@pytest.mark.parametrize("ties", [False, True])
def test_a_resample_has_the_figures_of_the_data_set_written_out(
    ties: bool,
    invent: Callable[..., tuple[Content, Results]],
    as_run: Callable[..., Run],
    official: Callable[..., COCOeval],
) -> None:
    @given(seed=st.integers(0, 2**32), images=st.integers(1, 9))
    @settings(max_examples=6, deadline=None)
    def check(seed: int, images: int) -> None:
        limits = (1, 4, 100)
        content, results = invent(seed, images=images, classes=2, detections=16, ties=ties)
        assume(not all(own["iscrowd"] for own in content["annotations"]))  # of which nothing can be measured
        matches = match(as_run(content, results), max_detections=limits)
        resamples = bootstrap(matches, resamples=4, seed=seed)
        weights = draw(np.arange(images), 4, seed)
        for column in range(4):
            evaluation = official(
                *written_out(content, results, weights[:, column]),
                "bbox",
                bins=DEFAULT_BINS,
                max_detections=(1, 4, 100),
            )
            np.testing.assert_allclose(resamples.by_class[0, :, :, column], coco_figures(evaluation), rtol=0, atol=1e-9)
            np.testing.assert_allclose(
                resamples.by_class[3:, :, :, column], coco_recalls(evaluation), rtol=0, atol=1e-9
            )

    check()


def test_two_runs_see_the_same_draws_and_other_seeds_others(
    invent: Callable[..., tuple[Content, Results]], as_run: Callable[..., Run]
) -> None:
    content, results = invent(3)
    matches = match(as_run(content, results), bins=COCO_BINS)
    first, again, other = (bootstrap(matches, resamples=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.by_class, again.by_class)
    assert not np.array_equal(first.by_class, other.by_class)
    np.testing.assert_array_equal(draw(np.arange(9), 5, 4), draw(np.arange(9), 5, 4))
    assert (draw(np.arange(9), 5, 4).sum(axis=0) == 9).all()


def test_intervals_hold_the_figure_and_stay_percentages(
    invent: Callable[..., tuple[Content, Results]], as_run: Callable[..., Run]
) -> None:
    done: list[tuple[int, int]] = []
    matches = match(as_run(*invent(3, images=30, detections=15)), bins=COCO_BINS)
    resamples = bootstrap(matches, resamples=300, progress=lambda *step: done.append(step))
    assert done[-1] == (300, 300)
    for ends in (resamples.intervals(), resamples.intervals_by_class()):
        known = ~np.isnan(ends.low)
        assert (ends.low[known] <= ends.value[known]).all()
        assert (ends.value[known] <= ends.high[known]).all()
        assert (ends.low[known] >= 0).all()
        assert (ends.high[known] <= 100).all()
        assert (np.isnan(ends.low) == (np.isnan(ends.value) | (ends.images < FEWEST_UNITS))).all()
        assert ends.too_few.sum() == (np.isnan(ends.low) & ~np.isnan(ends.value)).sum()
    truth, small = matches.run.truth, COCO_BINS[1]
    counted = small.holds(truth.areas_px) & ~truth.crowds
    given = resamples.intervals()
    assert (given.objects[0, 1], given.images[0, 1]) == (counted.sum(), len(np.unique(truth.images[counted])))
    of_class = counted & (truth.classes == 1)
    by_class = resamples.intervals_by_class()
    assert (by_class.objects[0, 1, 1], by_class.images[0, 1, 1]) == (
        of_class.sum(),
        len(np.unique(truth.images[of_class])),
    )
    narrow, wide = resamples.intervals(0.5), resamples.intervals(0.99)
    assert (wide.high - wide.low > narrow.high - narrow.low)[~np.isnan(wide.low)].all()
    np.testing.assert_array_equal(resamples.intervals().value, score(matches).overall)


def test_the_interval_of_a_mean_is_as_wide_as_theory_has_it() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(5, 2, 400)
    weights = draw(np.arange(400), 4000, 0).astype(float)
    ends = interval(sample.mean(), (sample @ weights) / 400, 0.95, 400, 400)
    error = sample.std(ddof=1) / 20
    assert ends.standard_error == pytest.approx(error, rel=0.05)
    assert (ends.low, ends.high) == pytest.approx(
        (sample.mean() - 1.96 * error, sample.mean() + 1.96 * error), abs=0.2 * error
    )


def test_groups_of_images_are_drawn_as_one() -> None:
    rng = np.random.default_rng(0)
    of_groups, units = rng.normal(5, 2, 100), np.repeat(np.arange(100), 4)
    weights = draw(units, 4000, 0).astype(float)
    assert (weights[0::4] == weights[3::4]).all()
    ends = interval(of_groups.mean(), (of_groups[units] @ weights) / 400, 0.95, 100, 400)
    assert ends.standard_error == pytest.approx(of_groups.std(ddof=1) / 10, rel=0.05)  # as of 100 values, not of 400


def test_the_p_value_is_that_of_the_normal_test() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(0, 1, 20_000)
    for value in (0.0, 1.0, 2.0):
        assert p_values(value, value + errors) == pytest.approx(2 * norm.sf(value), abs=0.02)
    assert p_values(100.0, 100 + errors) == pytest.approx(2 / 20_001)
    assert np.isnan(p_values(np.nan, np.full(5, np.nan)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw(np.arange(0), 10, 0), "no images"),
        (lambda: draw(np.arange(5), 1, 0), "at least 2"),
        (lambda: interval(1.0, np.ones(3), 1.0, 10, 10), "between 0 and 1"),
    ],
)
def test_what_cannot_be_resampled_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_recalls_are_reached_as_a_search_among_them_has_it() -> None:
    for objects in (*range(1, 400), 11_004, 36_335):
        recall = np.arange(objects + 1) / objects
        np.testing.assert_array_equal(recalls_reached(recall), np.searchsorted(RECALLS, recall, side="right"))
    # at each of COCO's recalls and next to it, where the last digit decides
    close = np.concatenate([RECALLS, np.nextafter(RECALLS, 0), np.nextafter(RECALLS, 1)])
    np.testing.assert_array_equal(recalls_reached(close), np.searchsorted(RECALLS, close, side="right"))


def test_columns_and_rows_at_a_time_change_nothing(
    invent: Callable[..., tuple[Content, Results]], as_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    matches = match(as_run(*invent(3, images=30, detections=15)), bins=COCO_BINS)
    whole = bootstrap(matches, resamples=20).by_class
    monkeypatch.setattr(accumulate, "CELLS_IN_CACHE", 14)
    monkeypatch.setattr(accumulate, "COLUMNS_AT_A_TIME", 7)
    np.testing.assert_allclose(bootstrap(matches, resamples=20).by_class, whole, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_thousand_resamples_of_coco_take_12_s_of_one_core_and_half_a_gb(big_run: Callable[..., Run]) -> None:
    run = big_run(images=5000, objects=36_000, detections_per_image=100, classes=80)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.process_time()
    resamples = bootstrap(match(run, bins=COCO_BINS), resamples=1000)
    spent_s = time.process_time() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
    assert np.isfinite(resamples.intervals().low).all()
    assert spent_s < 12
    assert peak_mb < 500
