"""The benchmark: detectors in several modes, timed in interleaved rounds, beside the machine's own ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.engine.detector import Detector
from explorer.engine.devices import gpu_explained
from explorer.engine.speed.costs import Size, measure_size
from explorer.engine.speed.detector_stages import stage_seconds
from explorer.engine.speed.interleaved import interleaved, middle
from explorer.engine.speed.machine import ceiling, hardware_facts
from explorer.engine.speed.modes import NotHereError, Runner, Stage, as_input, make_runner, scene
from explorer.types import Floats, Progress


@dataclass(frozen=True)
class Accuracy:
    """What a model in one mode finds on annotated photos, in percent, with 95 % intervals over the images.

    Attributes:
        data: the photos.
        images: how many.
        ap: box AP by COCO's rules.
        ap_interval: its lower and upper end; NaN where there are too few images.
        ap_small: of small objects; NaN where there is none.
        ap_small_interval: as `ap_interval`.
    """

    data: str
    images: int
    ap: float
    ap_interval: tuple[float, float]
    ap_small: float
    ap_small_interval: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One model in one mode.

    Attributes:
        model: its name.
        stage: `backbone` (with FPN) or `detector`.
        mode: how it was run.
        engine: what ran it, where the mode leaves that open.
        dtype: what it computed in.
        median_s: seconds per call, of all images together; None where it was not measured.
        spread_s: interval of the median.
        p95_s: the time within which 95 % of the calls are done; of few rounds the slowest one's.
        ratio_to_baseline: how many times faster than the baseline, median over rounds; `ratio_low`, `ratio_high` are
            its interval.
        ceiling_fraction: multiplications a second by those of the fastest matrix product in the same number format.
        max_rel_error: largest difference of a map from the plain model's by the map's largest value.
        peak_memory_mb: of a process that does this alone on the CPU, in megabytes (10^6 bytes); None where it was not
            measured, as on a GPU.
        stages_s: seconds by stage, of all images together; empty for a backbone.
        file_mb: size in megabytes (10^6 bytes) of the trunk's file, in modes that read one.
        accuracy: of the same network that was timed; None where there was no data set.
        note: why it was not measured.
    """

    model: str
    stage: str
    mode: str
    engine: str = ""
    dtype: str = ""
    median_s: float | None = None
    spread_s: tuple[float, float] | None = None
    p95_s: float | None = None
    ratio_to_baseline: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    ceiling_fraction: float | None = None
    max_rel_error: float | None = None
    peak_memory_mb: float | None = None
    stages_s: Mapping[str, float] = field(default_factory=dict)
    file_mb: float | None = None
    accuracy: Accuracy | None = None
    note: str = ""


@dataclass(frozen=True)
class Timings:
    """What a benchmark measured, and how.

    Attributes:
        rows: model by model, mode by mode.
        sizes: by model.
        stage: `backbone` (with FPN) or `detector`.
        baseline: the mode that ratios are to.
        size: `(height, width)` of the network's input before padding.
        batch: images per call.
        rounds: how many were kept.
        threads: of the processor.
        ceiling_tflops: fastest matrix products by number format and path.
        hardware: see `explorer.engine.speed.machine.hardware_facts`.
    """

    rows: tuple[Row, ...]
    sizes: Mapping[str, Size]
    stage: Stage
    baseline: str
    size: tuple[int, int]
    batch: int
    rounds: int
    threads: int
    ceiling_tflops: Mapping[str, Mapping[str, float]]
    hardware: Mapping[str, Any]


@gpu_explained()
def benchmark(
    detectors: Sequence[Detector],
    modes: Sequence[str],
    *,
    baseline: str,
    size: tuple[int, int],
    stage: Stage = "detector",
    batch: int = 1,
    rounds: int = 7,
    stages: bool = True,
    calibrate: str | Path | None = None,
    memory: Callable[[str, str], float | None] | None = None,
    accuracy: Callable[[Detector], Accuracy] | None = None,
    progress: Progress | None = None,
) -> Timings:
    """Times detectors in modes, all in the same rounds.

    Args:
        detectors: without fast ways of their own.
        modes: from `explorer.engine.speed.modes.MODES`.
        baseline: the mode that the others are held against, model by model.
        size: `(height, width)` of the network's input before padding.
        stage: `backbone` for backbone and FPN alone.
        batch: images per call.
        rounds: how many, after one that is not kept.
        stages: whether to time the stages of whole detectors too.
        calibrate: photos by which ranges of int8 are set (see `fast`); see `make_runner`.
        memory: gives a model's peak memory in a mode on the CPU, in megabytes; not asked on a GPU.
        accuracy: evaluates a detector; called after all times are taken, once for each model and mode.
        progress: called after each call.

    Raises:
        ValueError: there is no such mode, the baseline is not among the modes or cannot be measured, or a backbone
            without a detector is to be timed as one.
    """
    if baseline not in modes:
        raise ValueError(f"The baseline {baseline!r} is not among the modes: {', '.join(modes)}.")
    if accuracy and stage == "backbone":
        raise ValueError("AP is of whole detectors: time them with stage detector to measure it.")
    if stage == "detector" and (bare := next((one for one in detectors if not one.finds_objects), None)):
        raise ValueError(f"{bare.name} is a backbone without a detector: time it with --stage backbone.")
    image, device = scene(size), detectors[0].device
    runners: dict[tuple[str, str], Runner] = {}
    notes: dict[tuple[str, str], str] = {}
    for detector in detectors:
        for mode in dict.fromkeys(modes):
            try:
                inputs = [as_input(image, detector)] * batch
                runners[detector.name, mode] = make_runner(detector, mode, inputs, stage, calibrate)
            except NotHereError as error:
                notes[detector.name, mode] = str(error)
    if absent := [key for key in notes if key[1] == baseline]:
        raise ValueError(f"The baseline {baseline!r} cannot be measured here: {notes[absent[0]]}.")
    limits = {dtype: ceiling(dtype, device) for dtype in {runner.dtype for runner in runners.values()}}
    seconds = interleaved({"\n".join(key): one.run for key, one in runners.items()}, rounds=rounds, progress=progress)
    sizes = {one.name: measure_size(one, [as_input(image, one)] * batch, stage) for one in detectors}
    rows = []
    for name, mode in ((one.name, mode) for one in detectors for mode in dict.fromkeys(modes)):
        if (name, mode) in notes:
            rows.append(Row(name, stage, mode, note=notes[name, mode]))
            continue
        runner, own = runners[name, mode], seconds[f"{name}\n{mode}"]
        limit = max(limits[runner.dtype].values())
        fraction = 2e9 * sizes[name].gmac / float(np.median(own)) / limit
        row = _row(name, stage, mode, runner, own, seconds[f"{name}\n{baseline}"])
        wanted = stages and stage == "detector" and runner.detector is not None
        spent = stage_seconds(runner.detector, image, batch=batch) if wanted and runner.detector else {}
        peak = memory(name, mode) if memory and device.type == "cpu" else None
        scored = accuracy(runner.detector) if accuracy and runner.detector else None
        rows.append(replace(row, ceiling_fraction=fraction, stages_s=spent, peak_memory_mb=peak, accuracy=scored))
    tera = {_short(dtype): {path: rate / 1e12 for path, rate in rates.items()} for dtype, rates in limits.items()}
    facts = hardware_facts(device)
    return Timings(tuple(rows), sizes, stage, baseline, size, batch, rounds, torch.get_num_threads(), tera, facts)


def _row(
    name: str,
    stage: Stage,
    mode: str,
    runner: Runner,
    seconds: Floats,
    baseline: Floats,
) -> Row:
    own, ratio = middle(seconds), middle(baseline / seconds)
    return Row(
        name,
        stage,
        mode,
        runner.engine,
        _short(runner.dtype),
        own.value,
        (own.low, own.high),
        float(np.percentile(seconds, 95)),
        ratio.value,
        ratio.low,
        ratio.high,
        max_rel_error=runner.max_rel_error,
        file_mb=runner.file_mb,
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
