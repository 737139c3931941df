"""Processes that read images for a model: what is said when one of them ends before its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_TORCH_SAYS = "DataLoader worker"
"""How PyTorch's own words begin. It raises them from a signal's handler: in the midst of whatever runs then."""


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
