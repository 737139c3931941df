"""Every type of error on hand-made scenes with known answers, and on many at once as the paper's authors count them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from pycocotools import mask as mask_api

from explorer.errors.taxonomy import ERRORS, ErrorType, Taxonomy, classify_errors
from explorer.scoring.columns import Run
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import truth_from_coco
from explorer.scoring.sizes import COCO_BINS, SizeBin

CAT, DOG = 1, 2
SQUARE = (0, 0, 100, 100)
Box = tuple[float, float, float, float]
Golden = list[dict[str, Any]]

C, L, B, D, G, M = ERRORS
OK, NOT = ErrorType.CORRECT, ErrorType.IGNORED


def scene(objects: list[tuple[Any, ...]], detections: list[tuple[int, Box, float]], *, masks: bool = False) -> Run:
    """One image with objects (class, box[, iscrowd]) and detections (class, box, score)."""

    def shape(box: Box) -> dict[str, Any]:
        x, y, w, h = box
        drawn = mask_api.frPyObjects([[x, y, x + w, y, x + w, y + h, x, y + h]], 500, 500)[0]
        return {"bbox": list(box)} | ({"segmentation": drawn} if masks else {})

    truth = truth_from_coco(
        {
            "images": [{"id": 1, "file_name": "1.jpg", "height": 500, "width": 500}],
            "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}],
            "annotations": [
                {"id": i, "image_id": 1, "category_id": kind, "area": box[2] * box[3], "iscrowd": int(bool(crowd))}
                | shape(box)
                for i, (kind, box, *crowd) in enumerate(objects, start=1)
            ],
        }
    )
    results = [{"image_id": 1, "category_id": kind, "score": score} | shape(box) for kind, box, score in detections]
    for result in results:
        if masks:
            result["segmentation"] = result["segmentation"] | {"counts": result["segmentation"]["counts"].decode()}
    return Run("scene", truth, found_among(results, truth), {})


def judged(run: Run, **settings: Any) -> tuple[list[tuple[ErrorType, int]], list[tuple[ErrorType, int]]]:
    """Type and object of each detection, type and detection of each object."""
    errors = classify_errors(run, **settings)
    return (
        [(ErrorType(kind), row) for kind, row in zip(errors.detection_types, errors.objects.tolist(), strict=True)],
        [(ErrorType(kind), row) for kind, row in zip(errors.object_types, errors.detections.tolist(), strict=True)],
    )


@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
@pytest.mark.parametrize(
    ("kind", "box", "error", "concerned", "covered"),
    [
        (CAT, SQUARE, OK, 0, OK),
        (CAT, (0, 0, 100, 40), L, 0, L),
        (DOG, SQUARE, C, 0, C),
        (DOG, (0, 0, 100, 40), B, 0, M),
        (CAT, (300, 300, 100, 100), G, -1, M),
        (DOG, (300, 300, 100, 100), G, -1, M),
        (CAT, (0, 0, 100, 5), G, -1, M),
    ],
)
def test_each_type_alone(
    kind: int, box: Box, error: ErrorType, concerned: int, covered: ErrorType, masks: bool
) -> None:
    run = scene([(CAT, SQUARE)], [(kind, box, 0.9)], masks=masks)
    assert judged(run, task="segm" if masks else "bbox") == (
        [(error, concerned)],
        [(covered, -1 if covered == M else 0)],
    )


def test_what_a_better_detection_has_is_duplicated() -> None:
    run = scene([(CAT, SQUARE)], [(CAT, (0, 0, 100, 60), 0.9), (CAT, SQUARE, 0.8)])
    assert judged(run) == ([(OK, 0), (D, 0)], [(OK, 0)])


@pytest.mark.parametrize(
    ("kind", "height", "error"),
    [(CAT, 50, OK), (CAT, 49.9, L), (CAT, 10, L), (CAT, 9.9, G), (DOG, 50, C), (DOG, 49.9, B), (DOG, 10, B)],
)
def test_an_overlap_of_exactly_a_threshold_suffices(kind: int, height: float, error: ErrorType) -> None:
    assert judged(scene([(CAT, SQUARE)], [(kind, (0, 0, 100, height), 0.9)]))[0][0][0] == error


def test_a_duplicate_may_overlap_by_exactly_the_threshold() -> None:
    run = scene([(CAT, SQUARE)], [(CAT, SQUARE, 0.9), (CAT, (0, 0, 100, 50), 0.8)])
    assert judged(run)[0] == [(OK, 0), (D, 0)]


def test_of_equal_scores_the_first_detection_and_of_equal_overlaps_the_last_object_match() -> None:
    twice = [(CAT, SQUARE), (CAT, SQUARE)]
    assert judged(scene(twice, [(CAT, SQUARE, 0.9)])) == ([(OK, 1)], [(M, -1), (OK, 0)])
    run = scene([(CAT, SQUARE)], [(CAT, (0, 0, 100, 80), 0.9), (CAT, SQUARE, 0.9)])
    assert judged(run)[0] == [(OK, 0), (D, 0)]


def test_the_right_class_too_far_off_goes_before_the_wrong_class_in_place() -> None:
    objects = [(CAT, SQUARE), (DOG, (0, 0, 100, 40))]
    assert judged(scene(objects, [(CAT, (0, 0, 100, 40), 0.9)])) == ([(L, 0)], [(L, 0), (M, -1)])


def test_the_wrong_class_in_place_goes_before_a_duplicate() -> None:
    objects = [(CAT, SQUARE), (DOG, SQUARE)]
    run = scene(objects, [(CAT, SQUARE, 0.9), (CAT, SQUARE, 0.8)])
    assert judged(run) == ([(OK, 0), (C, 1)], [(OK, 0), (C, 1)])


def test_the_best_error_covers_an_object_and_what_is_found_needs_no_cover() -> None:
    errors = [(DOG, SQUARE, 0.7), (CAT, (0, 0, 100, 40), 0.8)]
    assert judged(scene([(CAT, SQUARE)], errors)) == ([(L, 0), (C, 0)], [(L, 0)])
    assert judged(scene([(CAT, SQUARE)], [*errors, (CAT, SQUARE, 0.1)]))[1] == [(OK, 2)]


def test_crowds_are_no_objects_and_what_lies_in_one_of_its_class_is_no_error() -> None:
    crowd = (CAT, (200, 200, 300, 300), True)
    in_crowd = (250, 250, 50, 50)
    run = scene([(CAT, SQUARE), crowd], [(CAT, SQUARE, 0.9), (CAT, in_crowd, 0.8), (DOG, in_crowd, 0.7)])
    assert judged(run) == ([(OK, 0), (NOT, -1), (G, -1)], [(OK, 0), (NOT, -1)])


def test_what_is_over_the_limit_is_ignored_class_by_class() -> None:
    run = scene([(CAT, SQUARE)], [(DOG, SQUARE, 0.9), (CAT, (300, 0, 9, 9), 0.8), (CAT, SQUARE, 0.7)])
    assert judged(run, max_dets=1) == ([(C, 0), (G, -1), (NOT, -1)], [(C, 0)])


def test_thresholds_can_be_chosen() -> None:
    run = scene([(CAT, SQUARE)], [(CAT, (0, 0, 100, 60), 0.9)])
    assert [judged(run, foreground=tf, background=tb)[0][0][0] for tf, tb in ((0.5, 0.1), (0.7, 0.1), (0.9, 0.7))] == [
        OK,
        L,
        G,
    ]
    assert judged(scene([(CAT, SQUARE)], [(CAT, SQUARE, 0.9)]), foreground=1)[0] == [(OK, 0)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"background": 0}, "0 < background"),
        ({"foreground": 0.05}, "0 < background"),
        ({"foreground": 1.5}, "0 < background"),
        ({"max_dets": 0}, "1 or more"),
        ({"task": "segm"}, "mask"),
    ],
)
def test_impossible_wishes_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classify_errors(scene([(CAT, SQUARE)], [(CAT, SQUARE, 0.9)]), **settings)


def test_nothing_found_and_nothing_there() -> None:
    assert judged(scene([(CAT, SQUARE)], [])) == ([], [(M, -1)])
    assert judged(scene([], [(CAT, SQUARE, 0.9)])) == ([(G, -1)], [])
    assert judged(scene([], [])) == ([], [])


def test_an_error_has_the_size_of_its_object_and_background_its_own() -> None:
    run = scene(
        [(CAT, (0, 0, 20, 20)), (DOG, (200, 200, 100, 100))],
        [(CAT, (0, 0, 40, 40), 0.9), (CAT, (200, 200, 100, 30), 0.8), (DOG, (400, 0, 50, 50), 0.7)],
    )
    errors = classify_errors(run)
    small, medium, large = COCO_BINS[1:]
    assert count(errors, small) == {L: [1, 0]}
    assert count(errors, medium) == {G: [0, 1]}
    assert count(errors, large) == {B: [1, 0], M: [0, 1]}
    assert count(errors, SizeBin("mine", 300, 500)) == {L: [1, 0]}
    assert errors.detections_of(L, size=small).tolist() == [True, False, False]
    assert errors.objects_of(L, M, size=large).tolist() == [False, True]


def count(errors: Taxonomy, size: SizeBin) -> dict[ErrorType, list[int]]:
    return {kind: numbers.tolist() for kind, numbers in errors.counts(size).items() if numbers.any()}


@pytest.mark.parametrize("case", range(3))
def test_counts_are_those_of_the_authors_package(
    case: int, tide_cases: Golden, errors_of: Callable[[dict[str, Any]], Taxonomy]
) -> None:
    stored = tide_cases[case]
    counts = errors_of(stored).counts()
    assert {kind.label: int(number.sum()) for kind, number in counts.items()} == stored["tidecv"]["counts"]


@pytest.mark.slow
def test_half_a_million_detections_fit_into_bounded_memory(big_run: Callable[..., Run]) -> None:
    run = big_run(images=5000, objects=36_000, detections_per_image=100, classes=80)
    tracemalloc.start()
    errors = classify_errors(run)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(int(errors.detections_of(kind).sum()) for kind in ErrorType) == len(run.found) == 500_000
    assert peak < 1.5e9
