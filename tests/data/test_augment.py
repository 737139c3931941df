"""Crops around objects hold one, lie inside the image, and show it at every scale; views and cameras keep the boxes."""

from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T

from explorer.data.augment import CropAroundObject, OtherCamera, RandomTranspose
from explorer.engine.training.stream import local_seed

IMAGE = np.zeros((120, 200, 3), np.uint8)


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 4.0, 4.0), (196.0, 116.0, 200.0, 120.0), (90.0, 50.0, 110.0, 61.0), (0.0, 0.0, 200.0, 120.0)]
)
def test_a_crop_holds_the_centre_of_an_object(box: tuple[float, ...]) -> None:
    crop = CropAroundObject("absolute", (40, 60))
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    corners = set()
    for turn in range(60):
        with local_seed(turn):
            cut = crop.get_transform(IMAGE, np.array([box]))
        assert (cut.h, cut.w) == (40, 60)
        assert 0 <= cut.x0 <= min(x, 140)
        assert 0 <= cut.y0 <= min(y, 80)
        assert x < cut.x0 + 60
        assert y < cut.y0 + 40
        corners.add((cut.x0, cut.y0))
    assert len(corners) > 2


def test_without_objects_a_crop_lies_anywhere() -> None:
    crop = CropAroundObject("absolute", (40, 60))
    with local_seed(0):
        cut = crop.get_transform(IMAGE, np.zeros((0, 4)))
    assert isinstance(cut, T.CropTransform)


def test_zoomed_crops_are_drawn_evenly_on_a_logarithmic_scale_and_fit_into_the_image() -> None:
    crop = CropAroundObject("absolute", (40, 60), zoom=(0.5, 4.0))
    box = np.array([(90.0, 50.0, 110.0, 61.0)])
    heights = []
    for turn in range(300):
        with local_seed(turn):
            cut = crop.get_transform(IMAGE, box)
        assert cut.x0 + cut.w <= 200
        assert cut.y0 + cut.h <= 120
        assert abs(cut.w - 1.5 * cut.h) < 1.5
        heights.append(cut.h)
    assert min(heights) in range(10, 12)
    assert max(heights) in range(76, 81)
    assert abs(np.mean(np.log(heights)) - np.log(40 / np.sqrt(0.5 * 4))) < 0.1


def test_balanced_crops_show_a_rare_class_as_often_as_a_common_one() -> None:
    crop = CropAroundObject("absolute", (20, 20), balanced=True)
    boxes = np.array([(10.0, 50.0, 20.0, 60.0)] * 9 + [(170.0, 50.0, 180.0, 60.0)])
    classes = np.array([0] * 9 + [2])
    rare = 0
    for turn in range(200):
        with local_seed(turn):
            rare += crop.get_transform(IMAGE, boxes, classes).x0 > 100
    assert 70 < rare < 130


def test_a_share_of_the_crops_lies_anywhere() -> None:
    crop = CropAroundObject("absolute", (20, 20), anywhere=0.4)
    box = np.array([(190.0, 110.0, 200.0, 120.0)])
    without = 0
    for turn in range(300):
        with local_seed(turn):
            cut = crop.get_transform(IMAGE, box)
        without += cut.x0 + 20 < 190 or cut.y0 + 20 < 110
    assert 90 < without < 150


def test_a_transposed_image_and_its_boxes_go_together() -> None:
    image = np.zeros((30, 50, 3), np.uint8)
    image[5:10, 20:40] = 255
    seen = set()
    for turn in range(20):
        with local_seed(turn):
            given = T.AugInput(image, boxes=np.array([(20.0, 5.0, 40.0, 10.0)]))
            RandomTranspose()(given)
        x1, y1, x2, y2 = given.boxes[0].astype(int)
        assert (given.image[y1:y2, x1:x2] == 255).all()
        assert given.image.sum() == 255 * 3 * 100
        seen.add(given.image.shape)
    assert seen == {(30, 50, 3), (50, 30, 3)}


def test_another_camera_changes_pixels_and_nothing_else() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    changed = 0
    for turn in range(40):
        with local_seed(turn):
            given = T.AugInput(image.copy(), boxes=np.array([(20.0, 5.0, 40.0, 10.0)]))
            OtherCamera(0.5)(given)
        assert given.image.dtype == np.uint8
        assert given.image.shape == image.shape
        assert given.boxes.tolist() == [[20, 5, 40, 10]]
        changed += not np.array_equal(given.image, image)
    assert 10 < changed < 30


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match=r"ANYWHERE is 1.5: give a share between 0 and 1"):
        CropAroundObject("absolute", (40, 60), anywhere=1.5)
    with pytest.raises(ValueError, match=r"ZOOM is \[2.0, 1.0\]"):
        CropAroundObject("absolute", (40, 60), zoom=(2.0, 1.0))
    with pytest.raises(ValueError, match="OTHER_CAMERA is 2"):
        OtherCamera(2)
