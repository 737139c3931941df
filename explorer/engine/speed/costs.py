"""What a model costs apart from time: parameters, multiplications, memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from explorer.engine.detector import Detector
from explorer.engine.loading import load_or_random
from explorer.engine.speed.modes import NotHereError, Stage, as_input, make_runner, scene
from explorer.engine.speed.multiplications import FlopCounterMode

_PROCESS = "import sys; from explorer.engine.speed.costs import run_alone; run_alone(sys.argv[1])"


@dataclass(frozen=True)
class Size:
    """How large a model is.

    Attributes:
        parameters_m: of the stage, in millions, frozen norms' constants left out.
        gmac: multiplications of convolutions and matrix products, in thousands of millions, for all images.
    """

    parameters_m: float
    gmac: float


def measure_size(detector: Detector, inputs: list[dict[str, Any]], stage: Stage) -> Size:
    """Counts a model's parameters and, as torch counts them, the multiplications of one call."""
    model: Any = detector.model
    part = model.backbone if stage == "backbone" else model
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if stage == "backbone":
            model.backbone(model.preprocess_image(inputs).tensor)
        else:
            model(inputs)
    parameters = sum(parameter.numel() for parameter in part.parameters())
    return Size(parameters / 1e6, counter.get_total_flops() / 2e9)  # a multiplication comes with an addition


def peak_memory_mb(model: str, mode: str, size: tuple[int, int], stage: Stage, batch: int = 1) -> float | None:
    """Runs one mode in a process of its own, with random weights, and returns the largest memory that it took.

    It runs on the CPU. Libraries and weights are counted, and what was needed to get ready; in megabytes (10^6 bytes).
    None where the process fails.
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
    detector = load_or_random(asked["model"], random=True)
    inputs = [as_input(scene(tuple(asked["size"])), detector)] * asked["batch"]
    try:
        runner = make_runner(detector, asked["mode"], inputs, cast("Stage", asked["stage"]))
    except NotHereError:
        sys.exit(1)
    for _ in range(3):
        runner.run()
    sys.stdout.write(f"{own_peak_mb()}\n")


def own_peak_mb() -> float:
    """The largest memory that this process has taken, in megabytes (10^6 bytes).

    Linux counts in `getrusage` what the parent held when it started the process; `/proc` does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        kibibytes = next(int(own.split()[1]) for own in status.read_text().splitlines() if own.startswith("VmHWM"))
        return kibibytes * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS, in units of 1024 of them elsewhere
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6
