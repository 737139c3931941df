"""Several trainings of one recipe: intervals that know both the images and the luck of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from explorer.errors.bootstrap import Resamples, bootstrap
from explorer.errors.paired import differences
from explorer.errors.seeds import mean_over_seeds, seed_differences
from explorer.scoring.matching import match
from explorer.scoring.metrics import Figures
from explorer.scoring.resampling import FEWEST_UNITS
from explorer.scoring.runs import Run
from explorer.scoring.sizes import COCO_BINS

Content = dict[str, Any]
Results = list[dict[str, Any]]
IMAGES = 200


def figures_like(values: np.ndarray, wobble: np.ndarray | None = None) -> Resamples:
    """Figures `(F,)` of one class and size; with other images they move by `wobble`, `(F, B)`."""
    by_class = values[:, None, None]
    names = tuple(f"figure {place}" for place in range(len(values)))
    one, every = np.ones((1, 1), np.int64), np.full((1, 1), IMAGES)
    figures = Figures("a run", "bbox", names, COCO_BINS[:1], ("cat",), by_class, one, IMAGES, every[0], every)
    moved = np.zeros((len(values), 50)) if wobble is None else wobble
    return Resamples(figures, by_class[..., None] + moved[:, None, None], seed=0)


def recipe(values: Sequence[Sequence[float]]) -> Any:
    return mean_over_seeds([figures_like(np.array(own, dtype=np.float64)) for own in values])


@pytest.fixture(scope="module")
def measured(invent: Callable[..., tuple[Content, Results]], as_run: Callable[..., Run]) -> list[Resamples]:
    """Four runs on the same images, each without another part of the detections."""
    content, results = invent(5, images=30, objects=8, detections=16)
    kept = [[result for i, result in enumerate(results) if i % 6 != gone] for gone in range(4)]
    runs = [as_run(content, own, f"run {place}") for place, own in enumerate(kept)]
    return [bootstrap(match(run, bins=COCO_BINS), resamples=100) for run in runs]


def test_where_images_play_no_part_the_interval_is_welchs() -> None:
    a, b = [20.0, 23.5, 21.0], [28.0, 25.0]
    found = seed_differences(recipe([[v] for v in a]), recipe([[v] for v in b]), 0.9)
    official = ttest_ind(b, a, equal_var=False)
    expected = official.confidence_interval(0.9)
    ends = (found.points.value, found.points.low, found.points.high, found.p_values)
    values = [float(end.item()) for end in ends]
    assert values == pytest.approx([np.mean(b) - np.mean(a), expected.low, expected.high, official.pvalue], rel=1e-12)


def test_where_seeds_agree_only_the_images_count(measured: list[Resamples]) -> None:
    a, b = measured[:2]
    found = seed_differences(mean_over_seeds([a, a]), mean_over_seeds([b, b, b]))
    alone = differences(a, b, 0.95).points
    np.testing.assert_allclose(found.points.value, alone.value, atol=1e-12)
    np.testing.assert_allclose(found.points.standard_error, alone.standard_error, atol=1e-12)
    reach = t.ppf(0.975, a.figures.images - 1) * alone.standard_error
    enough = alone.images >= FEWEST_UNITS
    np.testing.assert_allclose((found.points.high - found.points.value)[enough], reach[enough], atol=1e-9)
    assert np.isnan(found.points.high[~enough]).all()


def test_means_are_those_of_the_seeds_and_wider_than_images_alone(measured: list[Resamples]) -> None:
    means = mean_over_seeds(measured)
    found = means.intervals()
    each = [one.figures.overall for one in measured]
    np.testing.assert_allclose(found.value, np.mean(each, axis=0), atol=1e-12)
    by_images = means.images.intervals().standard_error ** 2
    np.testing.assert_allclose(found.standard_error**2, by_images + np.var(each, axis=0, ddof=1) / 4, atol=1e-9)
    known = ~np.isnan(found.value)
    assert known.any()
    assert (found.standard_error[known] >= np.sqrt(by_images[known])).all()
    enough = known & (found.images >= FEWEST_UNITS)
    assert enough.any()
    assert (found.low[enough] >= 0).all()
    assert (found.high[enough] <= 100).all()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """20,000 comparisons of two equal recipes, of three seeds each, on images of which other draws were possible."""
    rng = np.random.default_rng(8)
    number, by_seed, by_image = 20_000, 2.0, 1.0
    sides = []
    for _ in range(2):
        luck_of_images = by_image * rng.normal(size=number)
        wobble = by_image * rng.normal(size=(number, 100))
        seeds = [40 + luck_of_images + by_seed * rng.normal(size=number) for _ in range(3)]
        sides.append(mean_over_seeds([figures_like(values, wobble) for values in seeds]))
    found = seed_differences(*sides)
    holds = ((found.points.low <= 0) & (found.points.high >= 0)).mean()
    assert 0.94 <= holds <= 0.97
    assert (found.p_values < 0.05).mean() == pytest.approx(1 - holds, abs=1e-9)
    by_images_alone = differences(sides[0].images, sides[1].images, 0.95).points
    assert ((by_images_alone.low <= 0) & (by_images_alone.high >= 0)).mean() < 0.9  # what seeds are there for


def test_nothing_differs_from_itself() -> None:
    same = recipe([[20.0], [20.0]])
    found = seed_differences(same, same)
    assert (found.points.low.item(), found.points.high.item(), found.p_values.item()) == (0, 0, 1)


def test_sizes_without_objects_have_no_figures(invent: Callable[..., Any], as_run: Callable[..., Run]) -> None:
    content, results = invent(5, images=4)
    small = content | {"annotations": [a for a in content["annotations"] if a["area"] < 1024]}
    one = bootstrap(match(as_run(small, results), bins=COCO_BINS), resamples=20)
    large = [size.name for size in COCO_BINS].index("large")
    found = seed_differences(mean_over_seeds([one, one]), mean_over_seeds([one, one]))
    assert np.isnan(found.points.low[:, large]).all()
    assert np.isnan(found.p_values[:, large]).all()
    assert np.isnan(mean_over_seeds([one, one]).intervals().high[:, large]).all()


def test_the_share_of_the_seeds_says_what_to_have_more_of(measured: list[Resamples]) -> None:
    by_seeds = seed_differences(recipe([[20.0], [22.0]]), recipe([[24.0], [25.0]]))
    assert by_seeds.seed_shares.item() == 1
    by_images = seed_differences(*(mean_over_seeds([one, one]) for one in measured[:2]))
    known = by_images.points.standard_error > 0
    assert known.any()
    np.testing.assert_allclose(by_images.seed_shares[known], 0, atol=1e-12)
    assert np.isnan(seed_differences(recipe([[20.0], [20.0]]), recipe([[24.0], [24.0]])).seed_shares).all()


def test_one_training_is_refused() -> None:
    with pytest.raises(ValueError, match="give two or more of one recipe"):
        recipe([[20.0]])


def test_other_draws_or_images_are_refused() -> None:
    one = figures_like(np.array([20.0]))
    with pytest.raises(ValueError, match="were not measured alike"):
        mean_over_seeds([one, replace(one, seed=1)])
    fewer = replace(one, figures=replace(one.figures, images=IMAGES - 1))
    with pytest.raises(ValueError, match="were not measured alike"):
        seed_differences(mean_over_seeds([one, one]), mean_over_seeds([fewer, fewer]))
