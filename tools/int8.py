"""What int8 would gain and cost: a trunk quantised by NNCF, run by OpenVINO beside its float32 and bfloat16.

NNCF is no dependency of the project; `pip install nncf` before measuring this group.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.config import load_config
from explorer.data.aerial import make_aerial, render_scene
from explorer.engine.detector import Detector, make_detector
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.fast.folding import fold_norms
from explorer.engine.fast.model import FastModel, relative_error
from explorer.engine.fast.networks import Network, openvino_model, openvino_network
from explorer.engine.fast.trunk import Trunk
from explorer.engine.loading import load_detector
from explorer.engine.speed.interleaved import interleaved, middle
from explorer.engine.speed.modes import as_input, scene

ROUNDS, CALIBRATION = 9, 30
MODES = ("float32", "bfloat16", "int8")


def int8_group(main: str, size: tuple[int, int], demo: str) -> dict[str, Any]:
    """Measures a large model with random weights, and a trained small one with what int8 costs it.

    Raises:
        ImportError: NNCF is not installed.
    """
    torch.manual_seed(0)
    random = make_detector(load_config(main), main, device="cpu")
    trained = load_detector(demo, device="cpu", exact=True)
    return {
        f"{main}, {size[0]}×{size[1]}": measured(random, size, networks(random, 6)),
        f"{demo}, 480×640": measured(trained, (480, 640), own := networks(trained, CALIBRATION))
        | {"AP": precision(trained, own)},
    }


def networks(detector: Detector, images: int) -> dict[str, Network]:
    """The trunk in each number format; what int8 leaves is computed in bfloat16, which is faster than in float32."""
    import nncf

    pictures = [np.ascontiguousarray(render_scene(99, index=index, split="train").image) for index in range(images)]
    samples = [preprocessed(detector, picture).numpy() for picture in pictures]
    data = nncf.Dataset(samples)
    quantised = nncf.quantize(converted(detector), data, subset_size=images, preset=nncf.QuantizationPreset.MIXED)
    return {
        "float32": openvino_network(converted(detector), torch.float32),
        "bfloat16": openvino_network(converted(detector), torch.bfloat16),
        "int8": openvino_network(quantised, torch.bfloat16),
    }


def converted(detector: Detector) -> Any:
    """The trunk as an OpenVINO model, norms folded."""
    trunk = Trunk(detector.model)
    fold_norms(trunk)
    return openvino_model(trunk, trunk.sample())


def preprocessed(detector: Detector, picture: Any) -> torch.Tensor:
    """A picture as the trunk takes it."""
    model: Any = detector.model
    images: torch.Tensor = model.preprocess_image([as_input(picture, detector)]).tensor
    return images


def measured(detector: Detector, size: tuple[int, int], ways: dict[str, Network]) -> dict[str, Any]:
    """Times of the trunk in each format, by bfloat16's, and the largest difference of a map from float32's."""
    image = preprocessed(detector, scene(size))
    wanted = tuple(one.clone() for one in ways["float32"](image))
    errors = {mode: relative_error(ways[mode](image), wanted) for mode in MODES[1:]}
    seconds = interleaved({mode: partial(run, image) for mode, run in ways.items()}, rounds=ROUNDS)
    ratios = {mode: middle(seconds["bfloat16"] / own) for mode, own in seconds.items()}
    return {
        "median_s": {mode: middle(own).value for mode, own in seconds.items()},
        "by_bfloat16": {mode: [ratio.value, ratio.low, ratio.high] for mode, ratio in ratios.items()},
        "error": errors,
    }


def precision(detector: Detector, ways: dict[str, Network]) -> dict[str, float]:
    """Box AP on 300 aerial scenes in each format."""
    with tempfile.TemporaryDirectory() as folder:
        make_aerial(Path(folder), images=300, seed=1)
        detectors = {
            mode: replace(detector, fast=FastModel(detector.model, "float32", "openvino", run))
            for mode, run in ways.items()
        }
        return {mode: evaluate(one, folder).metrics.values["bbox"]["AP"] for mode, one in detectors.items()}
