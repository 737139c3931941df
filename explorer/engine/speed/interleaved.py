"""Times calls against each other: in rounds, each call once a round, so that a drifting machine hurts all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from explorer.types import Floats, Progress


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    warm_up: int = 1,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Floats]:
    """Times each call once a round; every other round in reverse order, so that none always follows the same one.

    Args:
        calls: what to time, by name; each has to wait for its own work on a GPU.
        rounds: how many are kept, 1 or more.
        warm_up: rounds before, which are not kept.
        progress: called after each call.
        clock: gives seconds.

    Returns:
        Wall-clock seconds by name, `(rounds,)`.

    Raises:
        ValueError: there is nothing to time, or no round.
    """
    if not calls or rounds < 1 or warm_up < 0:
        raise ValueError(f"{len(calls)} calls in {rounds} rounds after {warm_up}: give at least one call and one round")
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names, total = list(calls), (rounds + warm_up) * len(calls)
    for turn in range(rounds + warm_up):
        for place, name in enumerate(names if turn % 2 == 0 else reversed(names)):
            start = clock()
            calls[name]()
            taken = clock() - start
            if turn >= warm_up:
                seconds[name].append(taken)
            if progress:
                progress(turn * len(names) + place + 1, total)
    return {name: np.array(own) for name, own in seconds.items()}


@dataclass(frozen=True)
class Middle:
    """A median and an interval that holds the true one with at least 95 % where there are 6 rounds or more.

    Attributes:
        value: the median.
        low: lower end; of fewer rounds the smallest.
        high: upper end; of fewer rounds the largest.
    """

    value: float
    low: float
    high: float


def middle(values: Floats) -> Middle:
    """Returns the median of `(rounds,)` values with its interval, which assumes nothing of how they spread.

    Source: order statistics; the true median lies outside the k-th smallest and largest of n with probability
    `2 * P(Binomial(n, 1/2) < k)`.
    """
    ordered = np.sort(values)
    count, at = len(ordered), 0
    while 2 * sum(math.comb(count, k) for k in range(at + 2)) / 2**count <= 0.05:
        at += 1
    return Middle(float(np.median(ordered)), float(ordered[at]), float(ordered[-1 - at]))
