"""The result types every room shares."""

import numpy as np

from explorer.types import Detections, Timing


def detections(sides, masks=None):
    boxes = np.array([[10, 20, 10 + side, 20 + side] for side in sides], dtype=np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.1, len(sides), dtype=np.float32)
    return Detections(boxes, scores, np.zeros(len(sides), np.int64), ("car",), (200, 300), masks)


def test_counts_follow_cocos_area_bounds():
    found = detections([31, 32, 95, 96, 100])  # 32² is the first medium area, 96² the first large one
    assert found.count_by_size() == {"small": 1, "medium": 2, "large": 2}
    assert detections([]).count_by_size() == {"small": 0, "medium": 0, "large": 0}


def test_keep_takes_boxes_scores_and_masks_together():
    found = detections([10, 20, 30], masks=({"counts": b"a"}, {"counts": b"b"}, {"counts": b"c"}))
    kept = found.keep(found.scores < 0.6)
    assert len(kept) == 2
    assert kept.areas_px.tolist() == [400, 900]
    assert [mask["counts"] for mask in kept.masks] == [b"b", b"c"]


def test_total_time_is_the_sum_of_the_stages():
    assert Timing({"preprocess": 0.25, "model": 0.5}).total_s == 0.75
