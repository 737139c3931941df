"""The story of one miss drawn: every box in its place, the view around the object and inside the photo."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.autopsy.explain import Explanation
from explorer.autopsy.family import DecidingBox
from explorer.autopsy.findings import Finding
from explorer.figures.explain import explained


def story(x1: float, y1: float, x2: float, y2: float) -> Explanation:
    boxes = (
        DecidingBox("object", "car, 10 × 10 px", (x1, y1, x2, y2)),
        DecidingBox("proposal", "proposal, IoU 0.60", (x1 - 2, y1, x2, y2)),
        DecidingBox("proposal", "proposal, IoU 0.40", (x1 - 4, y1, x2, y2)),
    )
    finding = object.__new__(Finding)  # the figure shows boxes, not the finding
    return Explanation("A", np.zeros((200, 300, 3), np.uint8), finding, boxes, ())


def test_each_box_is_drawn_and_each_kind_named_once() -> None:
    figure = explained(story(100, 100, 110, 110))
    assert [trace.name for trace in figure.data] == ["object", "proposal", "proposal"]
    assert [trace.showlegend for trace in figure.data] == [True, True, False]
    assert figure.data[2].x == (96, 110, 110, 96, 96)
    assert figure.data[1].text[0] == "proposal, IoU 0.60"
    assert figure.data[0].line.width > figure.data[1].line.width


@pytest.mark.parametrize("corner", [(0, 0), (140, 90), (290, 190)])
def test_the_view_holds_the_object_and_nothing_beyond_the_photo(corner: tuple[int, int]) -> None:
    x, y = corner
    layout = explained(story(x, y, x + 10, y + 10)).layout
    left, right = layout.xaxis.range
    bottom, top = layout.yaxis.range
    assert (right - left, bottom - top) == (64, 64)
    assert 0 <= left <= x
    assert x + 10 <= right <= 300
    assert 0 <= top <= y
    assert y + 10 <= bottom <= 200


def test_an_object_as_large_as_the_photo_is_seen_whole() -> None:
    left, right = explained(story(0, 0, 300, 200)).layout.xaxis.range
    assert left <= 0
    assert right >= 300
