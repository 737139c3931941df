"""Compares the fast method for effective receptive fields with the direct one: times and sides for V-39 with FPN.

    OMP_NUM_THREADS=2 python tools/receptive_field_speed.py    # two minutes on two cores

The direct method backpropagates from the middle unit of every stage and level for each of 16 inputs. Its time is linear
in the number of inputs, so it is measured on two inputs and multiplied by eight, before and after the fast method.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import torch

from explorer.config import load_config
from explorer.engine.building import make_detector
from explorer.receptive_field.effective import EffectiveField, effective_fields, random_inputs
from explorer.report.fields import NARROWER_THAN, layer_names

MODEL, INPUTS, PART, SIZE = "faster_rcnn_V_39_FPN_3x", 16, 2, (512, 512)

Measured = dict[str, EffectiveField]


def timed(measure: Callable[[], Measured]) -> tuple[Measured, float, float]:
    """Runs once; returns the fields, seconds that passed and seconds of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    fields = measure()
    return fields, time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Measures plain, quick, quick, plain, and prints seconds, their ratio and the quick sides as JSON."""
    torch.manual_seed(0)
    model: Any = make_detector(load_config(MODEL), MODEL, device="cpu").model
    backbone = model.backbone
    layers = list(layer_names(backbone).values())
    effective_fields(backbone, layers[:1], random_inputs(1, SIZE))  # what the first pass of a process costs
    part, whole = (random_inputs(number, SIZE, batch=1) for number in (PART, INPUTS))
    ways = {
        "plain": lambda: effective_fields(backbone, layers, part),
        "quick": lambda: effective_fields(backbone, layers, whole, narrower_than=NARROWER_THAN),
    }
    runs = [(way, *timed(ways[way])) for way in ("plain", "quick", "quick", "plain")]
    factor = {"plain": INPUTS / PART, "quick": 1.0}
    seconds = {
        way: {
            "wall_s": [round(wall * factor[way], 2) for own, _, wall, _ in runs if own == way],
            "processor_s": [round(spent * factor[way], 2) for own, _, _, spent in runs if own == way],
        }
        for way in ways
    }
    ratio = {kind: round(sum(seconds["plain"][kind]) / sum(seconds["quick"][kind]), 2) for kind in seconds["plain"]}
    fields = next(fields for way, fields, _, _ in runs if way == "quick")
    sides = {layer: [round(field.side_px(), 1), field.inputs, field.units] for layer, field in fields.items()}
    print(json.dumps({"seconds": seconds, "ratio": ratio, "side_px, inputs, units": sides}, indent=1))


if __name__ == "__main__":
    main()
