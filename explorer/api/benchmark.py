"""Models timed against each other on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Model, as_detector, as_truth
from explorer.api.result import Result
from explorer.data.coco import has_instances, register_coco
from explorer.engine.detector import Detector
from explorer.engine.devices import cpu_behind
from explorer.engine.speed.benchmark import Timings
from explorer.engine.speed.benchmark import benchmark as measure
from explorer.engine.speed.costs import peak_memory_mb
from explorer.report.speed import accuracy_on, speed_document, speed_tables
from explorer.report.tables import Grid
from explorer.scoring.alike import data_facts
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.engine.speed.modes import Stage


@dataclass(frozen=True, eq=False, repr=False)
class BenchmarkReport(Result):
    """Times of one or more models, each in one or more modes, measured in the same rounds.

    Attributes:
        found: the times and the settings of the measurement.
        given: the argument from which each model was loaded, by its name in `found`.
        origins: where each model comes from, by its name in `found`, as `Detector.origin` says it.
        data: the data set of AP and its hash; empty without one.
    """

    found: Timings
    given: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        found, (height, width) = self.found, self.found.size
        return f"{found.hardware['device']}, {found.threads} threads, {height}×{width} px, {found.rounds} rounds"

    def tables(self) -> list[Grid]:
        """Returns the time of each model and mode, AP where there was data, and the times of detectors' stages."""
        return speed_tables(self.found)

    def sentences(self) -> list[str]:
        """Returns what was not measured, and why."""
        return [f"{row.model}, {row.mode}: not measured, {row.note}" for row in self.found.rows if row.note]

    def figure(self) -> go.Figure:
        """Draws AP against the median time of each model and mode, with intervals; the times alone without data."""
        from explorer.figures.speed import measured_accuracy, median_times

        return (measured_accuracy if any(row.accuracy for row in self.found.rows) else median_times)(self.found)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer benchmark --json`."""
        return plain({**speed_document(self.found), "models": self.origins, **self.data})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per model and mode: the median of its times, its interval, its ratio to the baseline, AP."""
        nested = ("spread_s", "stages_s", "accuracy")
        return [
            {name: value for name, value in vars(row).items() if name not in nested}
            | dict(zip(("low_s", "high_s"), row.spread_s or (None, None), strict=True))
            | ({"ap": row.accuracy.ap, "ap_small": row.accuracy.ap_small} if row.accuracy else {})
            for row in self.found.rows
        ]


def benchmark(
    *models: Model,
    modes: Sequence[str] = ("eager", "fast-fp32"),
    baseline: str | None = None,
    size: tuple[int, int] = (800, 1088),
    stage: Stage = "detector",
    batch: int = 1,
    rounds: int = 7,
    calibrate: str | Path | None = None,
    data: str | None = None,
    limit: int | None = None,
    memory: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
    scored: Progress | None = None,
) -> BenchmarkReport:
    """Times models in several modes, in interleaved rounds, relative to the fastest matrix product of this machine.

    Args:
        models: each a `Detector` without a fast path, or an argument of `load_detector`; `backbone:V-99-eSE` with
            `stage="backbone"`.
        modes: `eager`; `fast-fp32`, `fast-bf16` and `fast-int8`, what `predict` and `evaluate` take; those of
            `explorer.engine.speed.modes.MODES`.
        baseline: the baseline mode of the ratios; None for the first mode.
        size: `(height, width)` of the network's input in pixels.
        stage: `detector`, or `backbone` for backbone and FPN alone.
        batch: images per call.
        rounds: number of timed rounds.
        calibrate: photos that set the ranges of int8 (see `fast`); None for the ranges that are cached for the model,
            or ranges from aerial scenes, which are only suitable for timing.
        data: `PATH[:SPLIT]` of a data set or a registered name, on which AP is measured in each mode that is timed.
        limit: measure AP only on the first `limit` images.
        memory: on a CPU, also measure the peak memory of models that are not loaded yet, each in a separate process.
        device: device of models that are not loaded yet; if the GPU of `auto` fails, everything is repeated on the CPU.
        progress: called after each timed call with the number of calls done and the total.
        scored: called after each image of `data` with the number of images done and the total.

    Raises:
        ValueError: no model is given, a mode or data set does not exist, the data set has no objects, or the baseline
            cannot be measured.
        DownloadError: a model's weights cannot be downloaded.
    """
    if not models:
        raise ValueError('There is no model to time: benchmark("demo/V-19", "demo/MobileNetV2").')
    if data and stage == "detector" and has_instances(name := register_coco(data)):  # before anything is timed
        as_truth(name, limit).check_has_objects(data)
    names: dict[str, str] = {}
    origins: dict[str, Mapping[str, Any]] = {}

    def memory_of(name: str, mode: str) -> float | None:
        return peak_memory_mb(names[name], mode, size, stage, batch) if name in names else None

    def timed(place: str) -> Timings:
        loaded = _named_apart(models, [_loaded(model, place) for model in models])
        given = zip(models, loaded, strict=True)
        origins.update({own.name: own.origin for own in loaded})
        names.update({own.name: str(model) for model, own in given if not isinstance(model, Detector)})
        return measure(
            loaded,
            modes,
            baseline=baseline or modes[0],
            size=size,
            stage=stage,
            batch=batch,
            rounds=rounds,
            calibrate=calibrate,
            memory=memory_of if memory else None,
            accuracy=accuracy_on(data, limit, scored) if data else None,
            progress=progress,
        )

    return BenchmarkReport(cpu_behind(device, timed), names, origins, data_facts(data) if data else {})


def _loaded(model: Model, device: str) -> Detector:
    if isinstance(model, Detector):
        return replace(model, fast=None)
    return as_detector(model, device=device, exact=True, bare=True)


def _named_apart(models: Sequence[Model], loaded: Sequence[Detector]) -> list[Detector]:
    """Calls detectors that share a name, such as those of two runs' folders, as they were given, or numbers them."""
    number = Counter(one.name for one in loaded)
    told = [
        replace(one, name=_as_given(model, one, place)) if number[one.name] > 1 else one
        for place, (model, one) in enumerate(zip(models, loaded, strict=True), start=1)
    ]
    number = Counter(one.name for one in told)
    return [
        replace(one, name=f"{one.name} #{place}") if number[one.name] > 1 else one
        for place, one in enumerate(told, start=1)
    ]


def _as_given(model: Model, loaded: Detector, place: int) -> str:
    if isinstance(model, Detector):
        return f"{loaded.name} #{place}"
    return f"{model} ({loaded.caveat})" if loaded.caveat else str(model)
