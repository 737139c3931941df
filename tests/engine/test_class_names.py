"""Names of classes: where they come from, and the ids that go with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from detectron2.data import MetadataCatalog

from explorer.config import load_config
from explorer.engine.class_names import COCO_STUFF, COCO_THINGS, category_ids, stuff_names, thing_names
from explorer.engine.config_facts import ConfigFacts, ModelInput, config_facts

FACTS = ConfigFacts(ModelInput(800, 1333, "BGR"), 3, 0, (), (), (), workers=0)


def test_coco_has_its_80_things_and_53_stuff() -> None:
    assert (len(COCO_THINGS), len(COCO_STUFF)) == (80, 53)
    assert COCO_THINGS["person"] == 1
    assert COCO_THINGS["toothbrush"] == 90


def test_a_config_names_its_classes() -> None:
    assert thing_names(replace(FACTS, class_names=("a", "b", "c"))) == ("a", "b", "c")


def test_the_number_of_names_is_checked() -> None:
    with pytest.raises(ValueError, match="CLASS_NAMES has 2 names, but the model has 3 classes"):
        thing_names(replace(FACTS, class_names=("a", "b")))


def test_a_registered_data_set_names_the_classes() -> None:
    MetadataCatalog.get("three things").thing_classes = ["x", "y", "z"]
    try:
        assert thing_names(replace(FACTS, datasets=("unknown", "three things"))) == ("x", "y", "z")
        assert thing_names(replace(FACTS, datasets=("three things",), classes=2)) == ("class 0", "class 1")
    finally:
        MetadataCatalog.remove("three things")


def test_classes_without_names_are_numbered() -> None:
    assert thing_names(FACTS) == ("class 0", "class 1", "class 2")


def test_coco_is_the_default_for_its_number_of_classes() -> None:
    facts = config_facts(load_config("panoptic_fpn_V_39_FPN_3x", ["DATASETS.TEST", "()", "DATASETS.TRAIN", "()"]))
    assert thing_names(facts) == tuple(COCO_THINGS)
    assert stuff_names(facts) == ("things", *COCO_STUFF)


def test_only_panoptic_models_have_stuff() -> None:
    assert stuff_names(config_facts(load_config("mask_rcnn_V_39_FPN_3x"))) == ()


def test_retinanet_counts_its_own_classes() -> None:
    assert config_facts(load_config("retinanet_V_39_FPN_3x", ["MODEL.RETINANET.NUM_CLASSES", "7"])).classes == 7


def test_category_ids_are_cocos_own_or_count_from_one() -> None:
    assert list(category_ids(tuple(COCO_THINGS)).values()) == list(COCO_THINGS.values())
    assert category_ids(list(COCO_THINGS)[::-1])[0] == 90  # a toothbrush, wherever it stands
    assert category_ids(["car", "bus"]) == {0: 1, 1: 2}
    assert category_ids(["car"] * 80) == {index: index + 1 for index in range(80)}
