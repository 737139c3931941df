"""A test at another scale than the training's is said, and a training tests at the scale of its crops."""

from __future__ import annotations

import pytest

from explorer.config import load_config
from explorer.engine.config_facts import config_facts
from explorer.engine.scales import TILE_FROM, follow_photographs, scales
from explorer.engine.windows import Tiles

DRONE, SCENE = (1080, 1920), (480, 640)


def found(config: str, sizes: list[tuple[int, int]], *overrides: str, cut: Tiles | None = None):  # type: ignore[no-untyped-def]
    cfg = load_config(config, overrides)
    return scales(cfg, config_facts(cfg).model_input, cut, sizes)


def test_shrunk_photographs_are_named_with_both_scales() -> None:
    seen = found("aerial/faster_rcnn_V_19_slim_dw", [DRONE, DRONE, SCENE])
    assert (seen.low, seen.high, seen.test) == (224 / 256, 288 / 256, pytest.approx(450 / 1080))
    assert seen.note().startswith(
        "Photographs are scaled by 0.88 to 1.1 in training and by 0.42 in testing: objects appear 2.1 times "
        "as small as in training"
    )
    assert found("aerial/faster_rcnn_V_19_slim_dw", [SCENE]).note() == ""
    assert found("aerial/faster_rcnn_V_19_slim_dw", [DRONE], "INPUT.MIN_SIZE_TEST", "0").note() == ""


def test_tiles_bring_the_scale_back() -> None:
    assert found("aerial/faster_rcnn_V_19_slim_dw", [DRONE], cut=Tiles(480)).test == 1
    assert found("aerial/faster_rcnn_V_19_slim_dw", [DRONE], cut=Tiles(480)).note() == ""


def test_photographs_are_tested_at_a_multiple_of_their_own_size() -> None:
    own = ("INPUT.MIN_SIZE_TEST", "0", "INPUT.ZOOM_TEST")
    assert found("aerial-real/faster_rcnn_V_19_slim_dw", [DRONE], *own, "1.5").test == 1.5
    assert found("aerial/faster_rcnn_V_19_slim_dw", [DRONE], *own, "2.0", cut=Tiles(480)).test == 2
    assert config_facts(load_config("aerial/faster_rcnn_V_19", [*own, "1.3"])).model_input.size_for(10, 21) == (13, 27)
    with pytest.raises(ValueError, match="ZOOM_TEST is 0: give a positive factor"):
        config_facts(load_config("aerial/faster_rcnn_V_19", [*own, "0.0"]))


def test_enlarged_photographs_are_named_too() -> None:
    assert "objects appear 4.0 times as large" in found("aerial/faster_rcnn_V_19_slim_dw", [(107, 107)]).note()


def test_zoomed_crops_are_trained_at_many_scales() -> None:
    seen = found("aerial-real/faster_rcnn_V_19_slim_dw", [DRONE])
    assert (seen.low, seen.high, seen.test) == (0.5, 4.0, 1.5)


@pytest.mark.parametrize("config", ["faster_rcnn_V_39_FPN_3x", "bccd/faster_rcnn_V_19_slim_dw"])
def test_nothing_is_said_where_the_config_does_not_tell(config: str) -> None:
    assert found(config, [DRONE]) is None


def test_a_training_tests_photographs_at_the_scale_of_its_crops() -> None:
    cfg = load_config("aerial/faster_rcnn_V_19_slim_dw")
    follow_photographs(cfg, [SCENE])
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.TILES.SIZE) == (480, 0)
    follow_photographs(cfg, [DRONE])
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.TILES.SIZE) == (0, TILE_FROM)
    facts = config_facts(cfg)
    assert facts.model_input.size_for(*DRONE) == DRONE
    assert facts.cut == Tiles(TILE_FROM)
