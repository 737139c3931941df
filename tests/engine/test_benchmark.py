"""Timing in rounds: who runs when, what is kept, on a clock that the test moves."""

from __future__ import annotations

import pytest

from explorer.engine.benchmark import interleaved


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
