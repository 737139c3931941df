"""Precision-recall curves equal pycocotools' point by point, and an image's AP is that of the image alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explorer.scoring.curves import average_precision_by_image, class_curves, size_curves
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.sizes import COCO_BINS

Invent = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


@pytest.mark.parametrize(("seed", "ties", "crowds"), [(0, False, 0.1), (1, True, 0.1), (2, True, 0.6), (3, False, 0)])
def test_curves_are_pycocotools(
    seed: int, ties: bool, crowds: float, invent: Invent, as_run: Callable, official: Callable
) -> None:
    content, results = invent(seed, ties=ties, crowds=crowds)
    curves = class_curves(match(as_run(content, results), bins=COCO_BINS))
    theirs = official(content, results, "bbox").eval
    np.testing.assert_allclose(curves.precision, theirs["precision"][:, :, :, 0, -1].transpose(0, 2, 1), atol=1e-12)
    scores = theirs["scores"][:, :, :, 0, -1].transpose(0, 2, 1)
    # at recall 0 pycocotools names the first score, even one of a detection that it ignores
    np.testing.assert_allclose(curves.scores[..., 1:], scores[..., 1:], atol=1e-12)
    np.testing.assert_allclose(curves.recall, theirs["recall"][:, :, 0, -1], atol=1e-12)
    matches = match(as_run(content, results), bins=COCO_BINS)
    for level, iou in ((0, 0.5), (5, 0.75)):
        by_size = size_curves(matches, iou)
        np.testing.assert_allclose(
            by_size.precision, theirs["precision"][level, :, :, :, -1].transpose(2, 1, 0), atol=1e-12
        )
        np.testing.assert_allclose(by_size.recall, theirs["recall"][level, :, :, -1].T, atol=1e-12)
        whole = score(matches)
        areas = whole.by_class[whole.names.index(f"AP{100 * iou:.0f}")]
        np.testing.assert_allclose(by_size.average_precision, areas, atol=1e-9)
        np.testing.assert_allclose(100 * by_size.mean_precision.mean(axis=1), np.nanmean(areas, axis=1), atol=1e-9)


@pytest.mark.parametrize("size", ["all", "small"])
def test_an_images_ap_is_that_of_the_image_alone(size: str, invent: Invent, as_run: Callable) -> None:
    content, results = invent(5, images=8, objects=7, detections=15, ties=True)
    ours = average_precision_by_image(match(as_run(content, results), bins=COCO_BINS), size)
    for image, value in zip(content["images"], ours, strict=True):
        kept = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        alone = as_run(
            content | {"images": [image], "annotations": kept},
            [r for r in results if r["image_id"] == image["id"]],
        )
        matches = match(alone, bins=COCO_BINS)
        assert value == pytest.approx(score(matches).value("AP", size), abs=1e-9, nan_ok=True)
        np.testing.assert_array_equal(average_precision_by_image(matches, size), [value])  # to the last bit
    assert np.isfinite(ours).sum() >= 4


def test_nothing_found_has_no_area(invent: Invent, as_run: Callable) -> None:
    content, _ = invent(6)
    matches = match(as_run(content, []), bins=COCO_BINS)
    assert np.nanmax(average_precision_by_image(matches)) == 0
    assert class_curves(matches).recall.max() == 0
