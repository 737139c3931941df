"""Labels on a picture cover neither each other nor other objects, and are left out where there is no room."""

from __future__ import annotations

import numpy as np

from explorer.figures.labels import name_points, place_labels

VIEW = (0.0, 0.0, 200.0, 150.0)


def meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_labels_cover_neither_each_other_nor_other_boxes() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 130, (60, 2))
    boxes = [(x, y, x + 12, y + 9) for x, y in corners.tolist()]
    placed = place_labels(boxes, ["car"] * 60, VIEW, 2.0)
    areas = [(own.x, own.y - 7.5, own.x + 11.6, own.y) for own in placed]
    assert 5 < len(placed) < 60
    for label, area in zip(placed, areas, strict=True):
        assert 0 <= area[0] <= area[2] <= 200
        assert 0 <= area[1] <= area[3] <= 150
        assert not any(meet(area, other) for other in areas if other is not area)
        assert not any(meet(area, box) for place, box in enumerate(boxes) if place != label.index)


def test_what_is_not_seen_gets_no_label() -> None:
    assert [one.index for one in place_labels([(10, 40, 30, 60), (300, 40, 320, 60)], ["a", "b"], VIEW, 1)] == [0]
    assert place_labels([(10, 40, 30, 60)], ["a name that is longer than the picture is wide"], VIEW, 1) == []


def test_names_of_points_cover_neither_points_nor_lines_nor_each_other() -> None:
    points = [(100.0, 100.0), (112.0, 104.0), (100.0, 120.0), (290.0, 20.0)]
    words, frame, line = ["MobileNetV2", "V2-19-Slim-DW", "V2-19", "X-101-FPN"], (0, 0, 300, 200), (100, 60, 102, 120)
    offsets = name_points(points, words, frame, [line], letter_px=7, mark_px=10)
    areas = [
        (x + right, y + down - 15, x + right + 7 * len(text), y + down)
        for (x, y), (right, down), text in zip(points, offsets, words, strict=True)
    ]
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    for place, area in enumerate(areas):
        assert 0 <= area[0] <= area[2] <= 300
        assert not any(meet(area, other) for other in [*areas[:place], *areas[place + 1 :], *marks, line])
