"""The result types every room shares."""

import numpy as np

from explorer.scoring.sizes import COCO_BINS, FINE_BINS
from explorer.types import SIZES, Detections, Timing, size_names


def detections(sides, masks=None):
    boxes = np.array([[10, 20, 10 + side, 20 + side] for side in sides], dtype=np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.1, len(sides), dtype=np.float32)
    return Detections(boxes, scores, np.zeros(len(sides), np.int64), ("car",), (200, 300), masks)


def test_counts_follow_cocos_area_bounds():
    found = detections([31, 32, 95, 96, 100])  # 32² is the first medium area, 96² the first large one
    assert found.count_by_size() == {"small": 1, "medium": 2, "large": 2}
    assert detections([]).count_by_size() == {"small": 0, "medium": 0, "large": 0}


def test_every_area_has_one_name_wherever_it_is_counted():
    areas = np.array([0.0, 1, 32**2 - 0.5, 32**2, 32**2 + 0.5, 96**2 - 1, 96**2, 1e6, 1e12])
    names = size_names(areas)
    assert names == ["small"] * 3 + ["medium"] * 3 + ["large"] * 3
    for size in COCO_BINS[1:]:
        assert size.names(areas).tolist() == [name == size.name for name in names]
    assert tuple(size.name for size in COCO_BINS[1:]) == SIZES
    assert COCO_BINS[0].names(areas).all()
    np.testing.assert_array_equal(sum(size.names(areas).astype(int) for size in FINE_BINS), 1)
    on_the_edge = [size.name for size in COCO_BINS[1:] if size.holds(np.array([32.0**2]))[0]]
    assert on_the_edge == ["small", "medium"]  # in figures, by COCO


def test_keep_takes_boxes_scores_and_masks_together():
    found = detections([10, 20, 30], masks=({"counts": b"a"}, {"counts": b"b"}, {"counts": b"c"}))
    kept = found.keep(found.scores < 0.6)
    assert len(kept) == 2
    assert kept.areas_px.tolist() == [400, 900]
    assert [mask["counts"] for mask in kept.masks] == [b"b", b"c"]


def test_total_time_is_the_sum_of_the_stages():
    assert Timing({"preprocess": 0.25, "model": 0.5}).total_s == 0.75
