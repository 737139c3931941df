"""The config chooses how training images are changed."""

from __future__ import annotations

from detectron2.data import transforms as T

from explorer.config import get_cfg
from explorer.data.augment import CropAroundObject, OtherCamera, RandomTranspose
from explorer.data.mapper import CocoMapper


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
    cfg.INPUT.RANDOM_TRANSPOSE, cfg.INPUT.OTHER_CAMERA, cfg.INPUT.CROP.ZOOM = True, 0.5, [0.5, 2.0]
    cfg.INPUT.CROP.ANYWHERE = 0.2
    changed = CocoMapper(cfg, is_train=True).augmentations.augs
    assert list(map(type, changed))[-2:] == [RandomTranspose, OtherCamera]
    assert {(step.zoom, step.anywhere) for step in changed if isinstance(step, CropAroundObject)} == {((0.5, 2.0), 0.2)}
