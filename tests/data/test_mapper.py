"""Crops around objects hold one, lie inside the image, and are drawn from all over."""

from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T

from explorer.config import get_cfg
from explorer.data.mapper import CocoMapper, CropAroundObject
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


def test_the_config_chooses_it() -> None:
    cfg = get_cfg()
    cfg.INPUT.CROP.ENABLED = True
    plain = CocoMapper(cfg, is_train=True).augmentations.augs
    cfg.INPUT.CROP.AROUND_OBJECT = True
    around = CocoMapper(cfg, is_train=True).augmentations.augs
    assert [type(step) for step in around] == [
        CropAroundObject if type(step) is T.RandomCrop else type(step) for step in plain
    ]
    assert CropAroundObject in map(type, around)
