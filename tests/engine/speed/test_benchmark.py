"""Timing in rounds: who runs when, what is kept, on a clock that the test moves."""

from __future__ import annotations

import inspect
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from explorer.engine.detector import Detector
from explorer.engine.devices import seconds_now
from explorer.engine.loading import load_or_random
from explorer.engine.speed import benchmark, detector_stages
from explorer.engine.speed.costs import Size, measure_size, own_peak_mb
from explorer.engine.speed.interleaved import Middle, interleaved, middle
from explorer.engine.speed.modes import Runner, as_input, scene

ROOT = Path(__file__).resolve().parents[3]


class Clock:
    """Stands still unless a call moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def call(self, name: str, seconds: float) -> None:
        self.order.append(name)
        self.now += seconds * (10 if len(self.order) <= 2 else 1)  # the first round is slow


def test_each_round_runs_every_call_once_in_alternating_order() -> None:
    clock = Clock()
    told: list[tuple[int, int]] = []
    calls = {"a": lambda: clock.call("a", 1.0), "b": lambda: clock.call("b", 0.25)}
    seconds = interleaved(calls, rounds=3, progress=lambda *done: told.append(done), clock=clock)
    assert "".join(clock.order) == "abbaabba"
    assert {name: own.tolist() for name, own in seconds.items()} == {"a": [1.0] * 3, "b": [0.25] * 3}
    assert told == [(done, 8) for done in range(1, 9)]


def test_the_warm_up_is_kept_if_none_is_wanted() -> None:
    clock = Clock()
    assert interleaved({"a": lambda: clock.call("a", 1.0)}, rounds=1, warm_up=0, clock=clock)["a"].tolist() == [10.0]


def test_nothing_to_time_is_said() -> None:
    with pytest.raises(ValueError, match="at least one call"):
        interleaved({}, rounds=3)
    with pytest.raises(ValueError, match="one round"):
        interleaved({"a": lambda: None}, rounds=0)


def test_the_interval_of_a_median_is_that_of_order_statistics() -> None:
    values = np.arange(1.0, 8.0)
    assert middle(values) == Middle(4.0, 1.0, 7.0), "7 rounds: outside the extremes with probability 2 / 2**7"
    assert middle(np.arange(20.0)[::-1]) == Middle(9.5, 5.0, 14.0), "the sixth from either end, as tables have it"
    assert middle(np.array([2.0])) == Middle(2.0, 2.0, 2.0)


def test_multiplications_are_those_counted_on_the_release() -> None:
    detector = load_or_random("faster_rcnn_V_39_FPN_3x", random=True, device="cpu")
    counted = measure_size(detector, [as_input(scene((256, 384)), detector)], "backbone")
    assert counted.parameters_m == sum(one.numel() for one in detector.model.backbone.parameters()) / 1e6
    share = 256 * 384 / (800 * 1088)
    assert counted.gmac == pytest.approx(171.5 * share, rel=1e-3), "the release: 171.5 GMAC at 800 × 1088"


def test_heads_are_counted_too(tiny: Callable[..., Detector]) -> None:
    detector = tiny("mask_rcnn_V_39_FPN_3x")
    inputs = [as_input(scene((64, 96)), detector)]
    assert measure_size(detector, inputs, "detector").gmac > measure_size(detector, inputs, "backbone").gmac


def test_a_process_is_not_charged_with_its_parents_memory() -> None:
    held = np.ones(300_000_000, dtype=np.uint8)
    code = (
        f"import resource\nimport sys\nfrom pathlib import Path\n{inspect.getsource(own_peak_mb)}\nprint(own_peak_mb())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5 < float(done.stdout.splitlines()[-1]) < own_peak_mb() - held.nbytes / 2e6


@pytest.mark.parametrize(("platform", "mb"), [("darwin", 3.0), ("freebsd", 3072.0)])
def test_peaks_are_megabytes_wherever_they_are_read(monkeypatch: pytest.MonkeyPatch, platform: str, mb: float) -> None:
    usage = SimpleNamespace(ru_maxrss=3_000_000)
    with monkeypatch.context() as patch:  # getrusage(2): bytes on macOS, kilobytes of 1024 bytes elsewhere
        patch.setattr(resource, "getrusage", lambda _: usage)
        patch.setattr(Path, "is_file", lambda _: False)
        patch.setattr(sys, "platform", platform)
        assert own_peak_mb() == mb
        patch.setattr(Path, "is_file", lambda _: True)
        patch.setattr(Path, "read_text", lambda _: "VmPeak:\t9 kB\nVmHWM:\t  250000 kB\n")
        assert own_peak_mb() == 256.0, "10^6 bytes, as files are counted"


def test_stages_are_timed_with_the_device_idle_and_for_all_images(
    tiny: Callable[..., Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    seconds_now(torch.device("cpu"))
    assert not waits
    seconds_now(torch.device("cuda", 0))
    assert waits == [torch.device("cuda", 0)]
    clock, sizes, detector = iter(range(10_000)), list[int](), tiny("faster_rcnn_V_39_FPN_3x")
    monkeypatch.setattr(detector_stages, "seconds_now", lambda device: float(next(clock)))
    handle = detector.model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    try:
        spent = detector_stages.stage_seconds(detector, scene((64, 96)), batch=3, rounds=1)
    finally:
        handle.remove()
    assert sizes == [3, 3]
    assert spent["decode"] == spent["preprocess"] == spent["RPN head"] == 1.0, "no other clock is looked at"


def test_memory_is_not_measured_on_a_gpu_where_the_process_would_use_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_in: dict[str, Any] = {
        "as_input": lambda image, detector: {},
        "make_runner": lambda *given: Runner(lambda: None, "exact", torch.float32, 0.0),
        "ceiling": lambda dtype, device: {"torch.matmul": 1e12},
        "measure_size": lambda *given: Size(1.0, 1.0),
        "hardware_facts": lambda device: {},
    }
    for name, value in stands_in.items():
        monkeypatch.setattr(benchmark, name, value)
    peaks = []
    for device in ("cpu", "cuda"):
        detector: Any = SimpleNamespace(name="model", device=torch.device(device), finds_objects=True)
        found = benchmark.benchmark(
            [detector], ["eager"], baseline="eager", size=(64, 64), rounds=1, memory=lambda *_: 500.0
        )
        peaks.append(found.rows[0].peak_memory_mb)
    assert peaks == [500.0, None]
