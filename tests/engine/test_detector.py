"""Detectors: what goes in, what comes out, and that it is what detectron2's own predictor says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig
from pycocotools import mask as mask_api

from explorer.config import config_path, load_config
from explorer.engine.building import make_detector
from explorer.engine.config_facts import ModelInput
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector, report_from
from explorer.engine.prediction import to_panoptic
from explorer.zoo.checkpoints import save_safetensors

BuildTiny = Callable[..., Detector]


def test_detections_are_in_the_frame_of_the_original_image(tiny_mask_rcnn: Detector, noise: np.ndarray) -> None:
    found = tiny_mask_rcnn.detect(noise).detections
    assert len(found) > 0
    assert found.image_size == (48, 80)
    assert found.boxes_xyxy.dtype == np.float32
    assert found.boxes_xyxy.min() >= 0
    assert (found.boxes_xyxy.max(axis=0) <= [80, 48, 80, 48]).all()
    assert (np.diff(found.scores) <= 0).all()
    assert found.masks is not None
    assert [mask["size"] for mask in found.masks] == [[48, 80]] * len(found)
    assert mask_api.decode(found.masks[0]).shape == (48, 80)
    assert found.class_names[0] == "person"


def test_every_stage_is_timed(tiny_mask_rcnn: Detector, noise: np.ndarray) -> None:
    timing = tiny_mask_rcnn.detect(noise).timing
    assert list(timing.stages_s) == ["preprocess", "model", "postprocess"]
    assert all(seconds > 0 for seconds in timing.stages_s.values())


@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_input_is_that_of_detectron2s_default_predictor(order: str, noise: np.ndarray) -> None:
    from detectron2.data import transforms

    given = ModelInput(64, 100, order)(noise)
    image = noise if order == "BGR" else noise[:, :, ::-1]
    expected = transforms.ResizeShortestEdge([64, 64], 100).get_transform(image).apply_image(image)
    assert given["image"].dtype == torch.float32
    np.testing.assert_array_equal(given["image"].numpy(), expected.astype(np.float32).transpose(2, 0, 1))
    assert (given["height"], given["width"]) == (48, 80)


def test_rgb_models_see_red_first() -> None:
    blue = np.zeros((4, 4, 3), np.uint8)
    blue[:, :, 0] = 255
    assert ModelInput(4, 4, "BGR")(blue)["image"][:, 0, 0].tolist() == [255, 0, 0]
    assert ModelInput(4, 4, "RGB")(blue)["image"][:, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_extreme_shapes_pass(tiny_mask_rcnn: Detector, shape: tuple[int, int]) -> None:
    assert tiny_mask_rcnn.detect(np.zeros((*shape, 3), np.uint8)).detections.image_size == shape


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_refused(tiny_mask_rcnn: Detector, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected \\(height, width, 3\\) uint8"):
        tiny_mask_rcnn.detect(image)


def test_panoptic_models_name_their_segments(tiny_panoptic_fpn: Detector, noise: np.ndarray) -> None:
    detector = dataclasses.replace(tiny_panoptic_fpn)
    detector.model.combine_stuff_area_thresh = 1  # the picture is smaller than the smallest segment otherwise
    panoptic = detector.detect(noise).panoptic
    assert panoptic is not None
    assert panoptic.segment_ids.shape == (48, 80)
    assert panoptic.segment_ids.dtype == np.int32
    assert {segment["id"] for segment in panoptic.segments} == set(np.unique(panoptic.segment_ids)) - {0}
    assert {segment["category"] for segment in panoptic.segments} <= {
        *detector.class_names,
        *detector.stuff_class_names,
    }


def test_things_have_a_score_and_stuff_has_none() -> None:
    ids = torch.tensor([[1, 2]], dtype=torch.int32)
    segments = [
        {"id": 1, "isthing": True, "category_id": 1, "score": 0.5, "instance_id": 0},
        {"id": 2, "isthing": False, "category_id": 1, "area": 1},
    ]
    panoptic = to_panoptic(ids, segments, ("car", "bus"), ("things", "grass"))
    assert list(panoptic.segments) == [
        {"id": 1, "category": "bus", "is_thing": True, "score": 0.5},
        {"id": 2, "category": "grass", "is_thing": False},
    ]


@pytest.mark.parametrize("config", ["retinanet_V_39_FPN_3x", "faster_rcnn_Mv2_FPNLite_3x"])
def test_other_detectors_have_no_masks(tiny: BuildTiny, config: str, noise: np.ndarray) -> None:
    prediction = tiny(config).detect(noise)
    assert prediction.detections.masks is None
    assert prediction.panoptic is None


def test_a_lazy_config_makes_a_detector(noise: np.ndarray) -> None:
    cfg = LazyConfig.load(str(config_path("fcos_V_39_FPN_3x")))
    cfg.model.backbone.bottom_up.spec = "V-19-slim-dw-eSE"
    detector = make_detector(cfg, "fcos", device="cpu")
    assert detector.model_input == ModelInput(800, 1333, "BGR")
    assert len(detector.class_names) == 80
    small = dataclasses.replace(detector, model_input=ModelInput(64, 128, "BGR"))
    assert small.detect(noise).detections.image_size == (48, 80)


def test_weights_are_loaded(tiny: BuildTiny, tmp_path: Path, noise: np.ndarray) -> None:
    config = tmp_path / "small.yaml"
    source = tiny("faster_rcnn_V_39_FPN_3x")
    config.write_text(source.cfg.dump(), encoding="utf-8")
    weights = tmp_path / "weights.safetensors"
    save_safetensors(source.model.state_dict(), weights, half=False)
    expected = source.detect(noise).detections

    given = load_detector(str(config), weights=weights, device="cpu", exact=True)
    assert given.name == "small"
    assert given.weights == weights
    np.testing.assert_array_equal(given.detect(noise).detections.boxes_xyxy, expected.boxes_xyxy)

    overridden = load_detector(str(config), overrides=["MODEL.WEIGHTS", str(weights)], device="cpu", exact=True)
    np.testing.assert_array_equal(overridden.detect(noise).detections.scores, expected.scores)


@pytest.mark.parametrize("config", ["faster_rcnn_V_39_FPN_3x", "retinanet_V_39_FPN_3x", "panoptic_fpn_V_39_FPN_3x"])
def test_the_lowest_score_is_that_of_the_caller(
    config: str, tiny: BuildTiny, tmp_path: Path, noise: np.ndarray
) -> None:
    keys = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0", "MODEL.RETINANET.SCORE_THRESH_TEST", "1.0"]
    path = tmp_path / "strict.yaml"
    path.write_text(tiny(config, *keys).cfg.dump(), encoding="utf-8")
    torch.manual_seed(0)
    assert len(load_detector(path, device="cpu").detect(noise).detections) == 0
    torch.manual_seed(0)
    assert len(load_detector(path, device="cpu", lowest_score=0.0).detect(noise).detections) > 0


def test_the_lowest_score_of_a_lazy_config_is_that_of_the_caller() -> None:
    fast = ["model.backbone.bottom_up.spec=V-19-slim-dw-eSE"]
    detector = load_detector("fcos_V_39_FPN_3x", overrides=fast, device="cpu", lowest_score=0.05)
    assert detector.model.test_score_thresh == 0.05


def test_a_model_without_a_score_threshold_says_so() -> None:
    with pytest.raises(ValueError, match="Linear has no score threshold"):
        report_from(torch.nn.Linear(1, 1), 0.5)


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        load_detector("faster_rcnn_V_39_FPN_3x", overrides=["MODEL.WEIGHTS", "nowhere.pth"], device="cpu")


def test_the_config_is_left_as_it_was() -> None:
    cfg = load_config("faster_rcnn_V_19_slim_dw_FPNLite_3x")
    before = cfg.dump()
    make_detector(cfg, "small", device="cpu")
    assert cfg.dump() == before
