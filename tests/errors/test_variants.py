"""Ways of using a detector: each does what it says, and leaves the detector as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from explorer.data.aerial import render_scene
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.engine.windows import Slices
from explorer.errors import variants
from explorer.types import Detections


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "200"])


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return render_scene(3, size=(200, 280)).image


def equal(a: Detections, b: Detections) -> bool:
    return np.array_equal(a.boxes_xyxy, b.boxes_xyxy) and np.array_equal(a.scores, b.scores)


def test_as_it_is_is_the_detector(demo: Detector, scene: np.ndarray) -> None:
    plain = demo.detect(scene).detections
    found, seconds = variants.as_is(demo).timed(scene)
    assert equal(found, plain)
    assert seconds > 0


def test_a_larger_input_is_the_detector_on_a_larger_input(demo: Detector, scene: np.ndarray) -> None:
    large = load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "300"])
    assert equal(variants.larger_input(demo).detect(scene), large.detect(scene).detections)
    own = replace(demo, model_input=replace(demo.model_input, min_size=0))
    twice = replace(demo, model_input=replace(demo.model_input, min_size=400))
    assert equal(variants.larger_input(own, 2).detect(scene), twice.detect(scene).detections)
    with pytest.raises(ValueError, match="cannot be enlarged 0 times"):
        variants.larger_input(demo, 0)


def test_more_boxes_are_those_of_a_config_that_asks_for_them(demo: Detector, scene: np.ndarray) -> None:
    keys = ["MODEL.RPN.PRE_NMS_TOPK_TEST", "2000", "MODEL.RPN.POST_NMS_TOPK_TEST", "2000"]
    keys += ["TEST.DETECTIONS_PER_IMAGE", "300", "INPUT.MIN_SIZE_TEST", "200"]
    asked = load_detector("demo/V-19-slim-dw", device="cpu", overrides=keys)
    before = demo.detect(scene).detections
    assert equal(variants.more_boxes(demo).detect(scene), asked.detect(scene).detections)
    assert equal(demo.detect(scene).detections, before)


def test_limits_come_back_after_an_error(demo: Detector) -> None:
    head = demo.model.roi_heads.box_predictor  # type: ignore[union-attr]
    known = head.test_topk_per_image
    with pytest.raises(ValueError, match="expected"):
        variants.more_boxes(demo).detect(np.zeros((3, 3), dtype=np.uint8))
    assert head.test_topk_per_image == known


def test_flips_find_the_same_in_a_mirror_image(demo: Detector, scene: np.ndarray) -> None:
    way = variants.flipped(demo)
    straight, mirrored = way.detect(scene), way.detect(np.ascontiguousarray(scene[:, ::-1]))
    assert len(straight) == len(mirrored) > 0
    x1, y1, x2, y2 = mirrored.boxes_xyxy.T
    back = np.stack([scene.shape[1] - x2, y1, scene.shape[1] - x1, y2], axis=1)
    np.testing.assert_allclose(back[:3], straight.boxes_xyxy[:3], atol=1)


def test_slices_look_at_parts_and_at_the_whole(demo: Detector, scene: np.ndarray) -> None:
    found = variants.sliced(demo).detect(scene)
    assert equal(found, replace(demo, cut=Slices(2)).detect(scene).detections)
    assert found.image_size == (200, 280)
    with pytest.raises(ValueError, match="give 2 or more"):
        variants.sliced(demo, 1)


def test_dense_detectors_have_no_proposals_to_raise(tiny: Callable[..., Detector]) -> None:
    for config in ("retinanet_V_39_FPN_3x", "centermask_V_39_eSE_FPN_ms_3x"):
        for make in (variants.more_boxes, variants.flipped):
            with pytest.raises(ValueError, match="without region proposals"):
                make(tiny(config))


def test_slices_of_masks_scored_apart_are_boxes_alone(tiny_centermask: Detector, scene: np.ndarray) -> None:
    assert tiny_centermask.detect(scene).detections.mask_scores is not None
    found = variants.sliced(tiny_centermask).detect(scene)
    assert len(found) > 0
    assert found.masks is found.mask_scores is None
