"""Whether a model that finds nothing computes numbers at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from detectron2.evaluation.evaluator import inference_context
from torch import nn

from explorer.engine.detector import Detector
from explorer.features.hooks import tensors_in
from explorer.types import Pixels


def not_finite(detector: Detector, image_bgr: Pixels) -> str:
    """Says which layer of a detector is the first to give infinite or NaN values; empty where none does.

    detectron2 drops boxes and scores that are not finite, so that such a model finds nothing and says nothing.

    Args:
        detector: is looked at as it is run and, since compiled parts hide their layers, as the plain model.
        image_bgr: `(height, width, 3)` uint8, on which it found nothing.
    """
    ways = ((detector.runner, detector.reads), (detector.model, detector.model_input))
    for layer in (_first_not_finite(network, [prepare(image_bgr)]) for network, prepare in ways):
        if layer:
            return (
                f"Its layer {layer} gives infinite or NaN values, from which no object can follow: its weights are "
                "damaged, or the number format overflows (--exact)."
            )
    return ""


def _first_not_finite(network: nn.Module, inputs: Sequence[Mapping[str, Any]]) -> str:
    broken: list[str] = []

    def watch(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        if not broken and any(not torch.isfinite(tensor).all() for _, tensor in tensors_in(output)):
            broken.append(name)

    with ExitStack() as hooks, torch.no_grad(), inference_context(network):
        for name, module in network.named_modules():
            hooks.callback(module.register_forward_hook(partial(watch, name)).remove)
        network(inputs)
    return "".join(broken)
