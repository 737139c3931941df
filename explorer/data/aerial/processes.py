"""Several processes that draw: none is left behind, and none runs anything of the calling script."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

import cv2

_BATCH = 8


def in_batches(
    render: Callable[[range], list[dict[str, Any]]], images: int, workers: int | None
) -> Generator[list[dict[str, Any]]]:
    """Yields the records of consecutive batches, made in this process or in several.

    Args:
        render: draws the scenes of these numbers and returns their records; picklable.
        images: how many scenes.
        workers: number of processes; None takes one per processor core, at most 8.

    Raises:
        RuntimeError: one of the processes was killed.
    """
    ranges = [range(start, min(start + _BATCH, images)) for start in range(0, images, _BATCH)]
    count = min(workers or min(len(os.sched_getaffinity(0)), 8), len(ranges))
    if count == 1:
        yield from map(render, ranges)
        return
    # Spawned, because forking a process that runs threads (torch, OpenCV) may lock up. No executor of the standard
    # library: where a process is killed while others are started, it may wait for ever.
    context = multiprocessing.get_context("spawn")
    drawers: list[tuple[Connection, Any]] = []
    resource_tracker.ensure_running()  # its start lets interruptions through again
    try:
        with _on_its_own():
            for place in range(count):
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_draw, args=(render, ranges[place::count], sender), daemon=True)
                process.start()
                sender.close()  # here, so that its end in the process is the only one
                drawers.append((receiver, process))
        for place in range(len(ranges)):
            yield _received(drawers[place % count][0])
    finally:
        for receiver, process in drawers:
            receiver.close()
            process.kill()
            process.join()


def _received(receiver: Connection) -> list[dict[str, Any]]:
    """The next batch of one process, in its order."""
    try:
        batch = receiver.recv()
    except (EOFError, OSError):
        raise RuntimeError(
            "a process that drew scenes was killed, possibly because memory ran out: try again with fewer workers"
        ) from None
    if isinstance(batch, Exception):
        raise batch
    records: list[dict[str, Any]] = batch
    return records


def _draw(render: Callable[[range], list[dict[str, Any]]], ranges: list[range], sender: Connection) -> None:
    """In a process of its own: sends the records of each range, or the error that ended it."""
    _begin_drawing()
    try:
        for one in ranges:
            sender.send(render(one))
    except Exception as error:
        sender.send(error)


@contextmanager
def _on_its_own() -> Iterator[None]:
    """Around what starts processes: they import no calling script, and leave an interruption to this process.

    A signal waits until all are started: one that begins while this process ends reads half of what it is to do.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])  # which they inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sys.modules["__main__"] = script


def _begin_drawing() -> None:
    """In a process that draws: one thread, and an end when the process that started it ends, however that does."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
