"""Pictures: small objects stay visible, colours mean classes, labels hide nothing."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as mask_api

from explorer.engine.colors import class_color
from explorer.engine.draw import draw_detections, draw_panoptic
from explorer.types import Detections, Panoptic

GREY = np.full((120, 160, 3), 128, np.uint8)


def detections(*boxes: tuple[int, int, int, int], classes: list[int] | None = None, masks: bool = False) -> Detections:
    shapes = []
    for x1, y1, x2, y2 in boxes:
        mask = np.zeros((120, 160), np.uint8, order="F")
        mask[y1:y2, x1:x2] = 1
        shapes.append(mask_api.encode(mask))
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
        np.array(classes or [0] * len(boxes), np.int64),
        ("car", "bus"),
        (120, 160),
        tuple(shapes) if masks else None,
    )


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != GREY).any(axis=2)


def bgr(color: tuple[int, int, int]) -> list[int]:
    return list(color[::-1])


def test_a_frame_leaves_the_pixels_of_a_tiny_object_alone() -> None:
    picture = draw_detections(GREY, detections((50, 60, 60, 70)), labels=False)
    assert not changed(picture)[60:70, 50:60].any()
    assert picture[59, 55].tolist() == bgr(class_color(0))
    assert picture[65, 60].tolist() == bgr(class_color(0))
    assert not changed(picture)[:57].any()


def test_the_image_itself_is_not_drawn_on() -> None:
    image = GREY.copy()
    draw_detections(image, detections((10, 10, 60, 60), masks=True))
    draw_panoptic(image, Panoptic(np.ones((120, 160), np.int32), ({"id": 1, "category": "road", "is_thing": False},)))
    np.testing.assert_array_equal(image, GREY)


def test_nothing_found_changes_nothing() -> None:
    np.testing.assert_array_equal(draw_detections(GREY, detections()), GREY)


def test_masks_are_seen_through() -> None:
    picture = draw_detections(GREY, detections((40, 40, 80, 80), classes=[1], masks=True), labels=False)
    expected = 0.6 * 128 + 0.4 * np.array(bgr(class_color(1)))
    np.testing.assert_allclose(picture[60, 60], expected, atol=1)
    assert picture[40, 60].tolist() == bgr(class_color(1))  # the mask's edge


def test_a_label_stands_above_its_box_and_covers_no_other() -> None:
    alone = draw_detections(GREY, detections((50, 60, 90, 90)))
    assert changed(alone)[45:55, 50:60].any()
    crowded = detections((50, 60, 90, 90), (50, 45, 90, 56), (50, 94, 90, 110))
    picture = draw_detections(GREY, crowded)
    assert not changed(picture)[45:56, 52:88].any()
    assert not changed(picture)[94:110, 52:88].any()


@pytest.mark.parametrize("box", [(0, 0, 160, 120), (0, 0, 10, 8), (150, 110, 160, 120), (158, 0, 160, 120)])
def test_boxes_at_the_border_are_drawn(box: tuple[int, int, int, int]) -> None:
    assert draw_detections(GREY, detections(box)).shape == GREY.shape


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (2000, 5)])
def test_odd_pictures_are_drawn(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    found = Detections(
        np.array([[0, 0, shape[1], shape[0]]], np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.int64),
        ("car",),
        shape,
        None,
    )
    assert draw_detections(image, found).shape == image.shape


def test_segments_are_tinted_by_category() -> None:
    ids = np.zeros((120, 160), np.int32)
    ids[:, :50], ids[:, 50:100], ids[:, 100:150] = 1, 2, 3
    names = {1: "road", 2: "grass", 3: "road"}
    segments = tuple({"id": i, "category": name, "is_thing": False} for i, name in names.items())
    picture = draw_panoptic(GREY, Panoptic(ids, segments))
    assert picture[5, 10].tolist() == picture[5, 110].tolist()
    assert picture[5, 10].tolist() != picture[5, 60].tolist()
    assert not changed(picture)[:, 150:].any()


def test_every_label_is_written_where_that_is_asked_for() -> None:
    crowded = detections((50, 60, 90, 90), (50, 45, 90, 56), (50, 94, 90, 110))
    some, every = (changed(draw_detections(GREY, crowded, every_label=own)) for own in (False, True))
    assert every.sum() > some.sum() + 3 * 100
