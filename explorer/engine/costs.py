"""What a model costs apart from time: parameters, multiplications, memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from explorer.engine.detector import Detector, load_or_random
from explorer.engine.modes import NotHereError, Stage, as_input, make_runner, scene

_MULTIPLYING = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_PROCESS = "import sys; from explorer.engine.costs import run_alone; run_alone(sys.argv[1])"


@dataclass(frozen=True)
class Size:
    """How large a model is.

    Attributes:
        parameters_m: of the stage, in millions, frozen norms' constants left out.
        gmac: multiplications of convolutions and fully connected layers, in thousands of millions, for all images.
    """

    parameters_m: float
    gmac: float


def measure_size(detector: Detector, inputs: list[dict[str, Any]], stage: Stage) -> Size:
    """Counts a model's parameters and the multiplications of one call."""
    model: Any = detector.model
    part = model.backbone if stage == "backbone" else model
    counted = 0

    def count(layer: Any, _: object, out: torch.Tensor) -> None:
        nonlocal counted
        cells = out.numel() if not isinstance(layer, nn.ConvTranspose2d) else 0
        if isinstance(layer, nn.Linear):
            counted += cells * layer.in_features
        elif isinstance(layer, nn.ConvTranspose2d):
            steps = layer.stride[0] * layer.stride[1]
            counted += out.numel() // steps * layer.in_channels * layer.weight[0, 0].numel() // layer.groups
        else:
            counted += cells * layer.in_channels // layer.groups * layer.weight[0, 0].numel()

    handles = [layer.register_forward_hook(count) for layer in part.modules() if isinstance(layer, _MULTIPLYING)]
    try:
        with torch.no_grad():
            if stage == "backbone":
                model.backbone(model.preprocess_image(inputs).tensor)
            else:
                model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return Size(sum(parameter.numel() for parameter in part.parameters()) / 1e6, counted / 1e9)


def peak_memory_mb(model: str, mode: str, size: tuple[int, int], stage: Stage, batch: int = 1) -> float | None:
    """Runs one mode in a process of its own, with random weights, and returns the largest memory that it took.

    Libraries and weights are counted, and what was needed to get ready. None where the process fails.
    """
    call = {"model": model, "mode": mode, "size": size, "stage": stage, "batch": batch}
    call["threads"] = torch.get_num_threads()
    command = [sys.executable, "-W", "ignore", "-c", _PROCESS, json.dumps(call)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def run_alone(call: str) -> None:
    """What that process does: three runs, then the peak on standard output."""
    asked: dict[str, Any] = json.loads(call)
    torch.set_num_threads(asked["threads"])
    detector, _ = load_or_random(asked["model"], random=True)
    inputs = [as_input(scene(tuple(asked["size"])), detector)] * asked["batch"]
    try:
        runner = make_runner(detector, asked["mode"], inputs, cast("Stage", asked["stage"]))
    except NotHereError:
        sys.exit(1)
    for _ in range(3):
        runner.run()
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")
