"""Panoptic quality: hand-made answers, a slow and obvious reference, and what panopticapi says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.data.coco import register_coco
from explorer.data.panoptic import read_labels, write_panoptic_png
from explorer.engine.evaluation.panoptic import PanopticEvaluator, SegmentCounts, match_segments, panoptic_metrics

CATEGORIES = [
    {"id": 1, "name": "car", "isthing": 1},
    {"id": 2, "name": "bus", "isthing": 1},
    {"id": 7, "name": "grass", "isthing": 0},
]
Segments = list[dict[str, Any]]


def strip(text: str) -> np.ndarray:
    """A picture one pixel high from digits."""
    return np.array([[int(digit) for digit in text]], np.int32)


def segments(**categories: int) -> Segments:
    """`segments(s1=7)` is segment 1 of category 7."""
    return [{"id": int(name[1:]), "category_id": category, "iscrowd": 0} for name, category in categories.items()]


def figures(true: str, true_segments: Segments, predicted: str, predicted_segments: Segments) -> dict[str, float]:
    tally = match_segments(strip(true), true_segments, strip(predicted), predicted_segments)
    return panoptic_metrics(tally, CATEGORIES)


def test_a_perfect_prediction_has_all_100() -> None:
    found = figures("1112220", segments(s1=1, s2=7), "3334440", segments(s3=1, s4=7))
    assert [found[name] for name in ("PQ", "SQ", "RQ", "PQ_th", "PQ_st")] == [100] * 5
    assert np.isnan(found["PQ-bus"])


def test_three_of_four_pixels_are_a_match_of_three_quarters() -> None:
    found = figures("11110000", segments(s1=1), "11100000", segments(s1=1))
    assert (found["PQ"], found["SQ"], found["RQ"]) == (75, 75, 100)


def test_a_half_is_no_match() -> None:
    found = figures("1100", segments(s1=1), "1000", segments(s1=1))
    assert (found["PQ"], found["SQ"], found["RQ"]) == (0, 0, 0)


def test_one_match_one_miss_and_one_false_alarm() -> None:
    found = figures("11112222", segments(s1=1, s2=1), "11113300", segments(s1=1, s3=1))
    assert found["RQ"] == 100 * 1 / (1 + 0.5 + 0.5)
    assert found["SQ"] == 100


def test_categories_count_alike() -> None:
    found = figures("1112", segments(s1=1, s2=7), "1110", segments(s1=1))
    assert found["PQ"] == 50
    assert (found["PQ_th"], found["PQ_st"]) == (100, 0)


def test_the_same_shape_of_another_category_is_a_miss_and_a_false_alarm() -> None:
    tally = match_segments(strip("11"), segments(s1=1), strip("11"), segments(s1=2))
    assert (tally.false_negatives[1], tally.false_positives[2]) == (1, 1)


def test_unlabelled_pixels_are_taken_from_the_union() -> None:
    found = figures("1110000", segments(s1=1), "1111111", segments(s1=1))
    assert found["PQ"] == 100


def test_a_segment_mostly_on_unlabelled_pixels_is_no_false_alarm() -> None:
    assert not match_segments(strip("7000"), segments(s7=7), strip("1110"), segments(s1=1)).false_positives
    assert match_segments(strip("7700"), segments(s7=7), strip("1111"), segments(s1=1)).false_positives == {1: 1}


def test_crowds_are_neither_missed_nor_false_alarms() -> None:
    crowd = [{"id": 5, "category_id": 1, "iscrowd": 1}]
    tally = match_segments(strip("5555"), crowd, strip("1120"), segments(s1=1, s2=2))
    assert not tally.false_negatives
    assert tally.false_positives == {2: 1}  # the bus is not excused by a crowd of cars
    assert not tally.ious
    unset = [{"id": 5, "category_id": 1, "iscrowd": "0"}]
    assert match_segments(strip("5555"), unset, strip("1111"), segments(s1=1)).ious == {1: [1.0]}


def test_nothing_at_all_is_not_a_number() -> None:
    assert np.isnan(panoptic_metrics(SegmentCounts(), CATEGORIES)["PQ"])


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(1, 3\)"):
        match_segments(strip("111"), segments(s1=1), strip("11"), segments(s1=1))


def test_ids_survive_a_png(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 255], [256, 65536, 256**3 - 1]], np.int32)
    write_panoptic_png(tmp_path / "ids.png", ids)
    np.testing.assert_array_equal(read_labels(tmp_path / "ids.png"), ids)


def obvious(
    true: np.ndarray, true_segments: Segments, predicted: np.ndarray, predicted_segments: Segments
) -> SegmentCounts:
    """The paper's words, pixel sets and no cleverness."""
    tally, matched = SegmentCounts(), set()
    for t in true_segments:
        hit = False
        for p in predicted_segments:
            mask_t, mask_p = true == t["id"], predicted == p["id"]
            union = mask_t | (mask_p & (true != 0))
            if t["category_id"] == p["category_id"] and not t["iscrowd"] and 2 * (mask_t & mask_p).sum() > union.sum():
                tally.ious[t["category_id"]].append(float((mask_t & mask_p).sum() / union.sum()))
                matched.add(p["id"])
                hit = True
        if not hit and not t["iscrowd"]:
            tally.false_negatives[t["category_id"]] += 1
    for p in predicted_segments:
        mask_p = predicted == p["id"]
        crowds = [t["id"] for t in true_segments if t["iscrowd"] and t["category_id"] == p["category_id"]]
        excused = mask_p & np.isin(true, [0, *crowds])
        if p["id"] not in matched and mask_p.any() and 2 * excused.sum() <= mask_p.sum():
            tally.false_positives[p["category_id"]] += 1
    return tally


@st.composite
def maps(draw: st.DrawFn, crowds: bool) -> tuple[np.ndarray, Segments]:
    pixels = draw(st.lists(st.integers(0, 5), min_size=24, max_size=24))
    ids = np.array(pixels, np.int32).reshape(4, 6)
    infos = []
    with_crowd: set[int] = set()
    for id_ in sorted(set(pixels) - {0}):
        category = draw(st.sampled_from([1, 2, 7]))
        crowd = crowds and category not in with_crowd and draw(st.booleans())
        with_crowd |= {category} if crowd else set()
        infos.append({"id": id_, "category_id": category, "iscrowd": int(crowd)})
    return ids, infos


@given(maps(crowds=True), maps(crowds=False))
@settings(max_examples=100, deadline=None)
def test_random_maps_agree_with_the_obvious_reference(
    true: tuple[np.ndarray, Segments], predicted: tuple[np.ndarray, Segments]
) -> None:
    fast, slow = match_segments(*true, *predicted), obvious(*true, *predicted)
    assert {c: sorted(v) for c, v in fast.ious.items()} == {c: sorted(v) for c, v in slow.ious.items()}
    assert +fast.false_positives == +slow.false_positives
    assert fast.false_negatives == slow.false_negatives


@pytest.fixture(scope="module")
def truths(coco_panoptic_mini: Path) -> list[tuple[int, np.ndarray, Segments]]:
    root = coco_panoptic_mini / "annotations"
    content = json.loads((root / "panoptic_val2017.json").read_text())
    folder = root / "panoptic_val2017"
    return [(a["image_id"], read_labels(folder / a["file_name"]), a["segments_info"]) for a in content["annotations"]]


@pytest.fixture(scope="module")
def dataset(coco_panoptic_mini: Path) -> str:
    return register_coco(f"{coco_panoptic_mini}:val2017")


def perturbed(true: np.ndarray, infos: Segments, seed: int) -> tuple[np.ndarray, Segments]:
    """Ground truth pushed aside, with some segments lost, some joined to a neighbour and some renamed."""
    rng = np.random.default_rng(seed)
    ids = np.roll(true, rng.integers(-12, 13, 2), (0, 1))
    for info in infos:
        fate = rng.random()
        if fate < 0.1:
            ids[ids == info["id"]] = 0
        elif fate < 0.2:
            ids[ids == info["id"]] = infos[rng.integers(len(infos))]["id"]
    renamed = {info["id"]: infos[rng.integers(len(infos))] if rng.random() < 0.1 else info for info in infos}
    left = set(np.unique(ids).tolist())
    return ids, [{"id": id_, "category_id": info["category_id"]} for id_, info in renamed.items() if id_ in left]


def run(dataset: str, predictions: Sequence[tuple[int | str, np.ndarray, Segments]]) -> dict[str, float]:
    """Hands predictions to the evaluator in a Panoptic FPN's words."""
    evaluator = PanopticEvaluator(dataset)
    metadata = MetadataCatalog.get(dataset)
    things, stuff = metadata.thing_dataset_id_to_contiguous_id, metadata.stuff_dataset_id_to_contiguous_id
    for image_id, ids, infos in predictions:
        said = [
            {"id": s["id"], "isthing": (thing := s["category_id"] in things)}
            | {"category_id": (things if thing else stuff)[s["category_id"]]}
            for s in infos
        ]
        evaluator.process([{"image_id": image_id}], [{"panoptic_seg": (torch.from_numpy(ids), said)}])
    return evaluator.evaluate()["panoptic_seg"]


def test_ground_truth_against_itself_is_100(dataset: str, truths: list[tuple[int, np.ndarray, Segments]]) -> None:
    found = run(dataset, [(i, ids, [s for s in infos if not s["iscrowd"]]) for i, ids, infos in truths])
    assert [found[name] for name in ("PQ", "SQ", "RQ", "PQ_th", "PQ_st")] == [100] * 5


PANOPTICAPI = {
    "PQ": 41.65240656530014,
    "SQ": 47.500190694832426,
    "RQ": 50.810744810744815,
    "PQ_th": 33.156056266931024,
    "SQ_th": 34.84026723605743,
    "RQ_th": 41.018315018315015,
    "PQ_st": 50.14875686366924,
    "SQ_st": 60.16011415360742,
    "RQ_st": 60.6031746031746,
}
"""What `pq_compute` of panopticapi (the copy that is published as panopticapi-lite 0.2.0) says of `perturbed` with the
image's id as the seed."""


def test_perturbed_predictions_have_panopticapis_figures(
    dataset: str, truths: list[tuple[int, np.ndarray, Segments]]
) -> None:
    found = run(dataset, [(i, *perturbed(ids, infos, seed=i)) for i, ids, infos in truths])
    assert {name: found[name] for name in PANOPTICAPI} == pytest.approx(PANOPTICAPI, abs=1e-9)


def test_perturbed_predictions_agree_with_the_obvious_reference(
    dataset: str, truths: list[tuple[int, np.ndarray, Segments]], coco_panoptic_mini: Path
) -> None:
    chosen = [(i, *perturbed(ids, infos, seed=i + 1)) for i, ids, infos in truths[:4]]
    total = SegmentCounts()
    for (_, true, infos), (_, ids, said) in zip(truths, chosen, strict=False):
        total.add(obvious(true, infos, ids, said))
    content = json.loads((coco_panoptic_mini / "annotations/panoptic_val2017.json").read_text())
    assert run(dataset, chosen) == pytest.approx(panoptic_metrics(total, content["categories"]), nan_ok=True)


def test_ids_of_images_and_categories_do_not_matter(
    dataset: str, truths: list[tuple[int, np.ndarray, Segments]], coco_panoptic_mini: Path, tmp_path: Path
) -> None:
    shutil.copytree(coco_panoptic_mini, tmp_path / "mini")
    file = tmp_path / "mini/annotations/panoptic_val2017.json"
    content = json.loads(file.read_text())
    for record in content["images"]:
        record["id"] = f"no {record['id']}"
    for category in content["categories"]:
        category["id"] = 2**64 - category["id"]
    for record in content["annotations"]:
        record["image_id"] = f"no {record['image_id']}"
        for segment in record["segments_info"]:
            segment["category_id"] = 2**64 - segment["category_id"]
    file.write_text(json.dumps(content))
    renamed = register_coco(f"{file}:{tmp_path / 'mini/val2017'}")
    predictions = [(i, *perturbed(ids, infos, seed=i)) for i, ids, infos in truths[:6]]
    other = [
        (f"no {i}", ids, [info | {"category_id": 2**64 - info["category_id"]} for info in infos])
        for i, ids, infos in predictions
    ]
    assert run(renamed, other) == pytest.approx(run(dataset, predictions), nan_ok=True)


def test_a_data_set_without_panoptic_labels_is_refused(coco_tiny: Path) -> None:
    with pytest.raises(ValueError, match="no panoptic annotations"):
        PanopticEvaluator(register_coco(f"{coco_tiny}:val2017"))


def test_the_data_set_is_loaded_by_its_registration(dataset: str) -> None:
    assert len(DatasetCatalog.get(dataset)) == 20
