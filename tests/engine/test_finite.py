"""A model whose layers give NaN or infinity finds nothing; what it is run for says so, and names the layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.finite import not_finite
from explorer.engine.loading import fast
from explorer.scoring.runs import read_truth

FASTER, STEM = "faster_rcnn_V_39_FPN_3x", "backbone.bottom_up.stem.stem_1/conv"


@pytest.mark.parametrize("layer", [STEM, "roi_heads.box_head.fc1"])
@pytest.mark.parametrize("training", [False, True])
def test_the_first_layer_is_named(layer: str, training: bool, tiny: Callable[..., Detector]) -> None:
    detector = tiny(FASTER)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert not_finite(detector, image) == ""
    weight = dict(detector.model.named_parameters())[f"{layer}.weight"]
    torch.nn.init.constant_(weight, 3e38)
    detector.model.train(training)
    assert f"Its layer {layer} gives infinite or NaN values" in not_finite(detector, image)
    if not training:
        assert f"Its layer {layer} gives" in not_finite(fast(detector, "float32", "torch"), image)
    assert detector.model.training == training
    assert not any(module._forward_hooks for module in detector.model.modules())


def test_an_evaluation_says_it(tiny: Callable[..., Detector], coco_tiny: object) -> None:
    detector = tiny(FASTER)
    torch.nn.init.constant_(dict(detector.model.named_parameters())[f"{STEM}.weight"], 3e38)
    run = evaluate(detector, read_truth(f"{coco_tiny}:val2017"), limit=2)
    assert run.metrics.values["bbox"]["AP"] == 0.0
    (said,) = (note for note in run.metrics.details["notes"] if "detects nothing in any of the 2 images" in note)
    assert f"Its layer {STEM} gives infinite or NaN values" in said
