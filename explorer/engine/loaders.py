"""Processes that read images for a model: what is said when one of them ends before its time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

_TORCH_SAYS = "DataLoader worker"
"""How PyTorch's own words begin. It raises them from a signal's handler: in the midst of whatever runs then."""


def leave_in_silence(_: int) -> None:
    """What a loader's process begins with (`worker_init_fn`): it says nothing if the one that it reads for ends first.

    The thread by which multiprocessing hands images over would else print how its connection was reset.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, ConnectionError | EOFError) or threading.current_thread() is threading.main_thread():
            before(kind, error, trace)

    sys.excepthook = hook


@contextmanager
def loaders_explained() -> Iterator[None]:
    """Around work that several processes read images for.

    Raises:
        ChildProcessError: one of them was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(_TORCH_SAYS):
            raise
        raise ChildProcessError(
            "a process that read images was killed, possibly because memory ran out: try again with fewer processes "
            "(DATALOADER.NUM_WORKERS)"
        ) from error
