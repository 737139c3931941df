"""A progress bar for a cell that takes a while; it goes when the work is done, so that no stored output has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ipywidgets as widgets
from IPython.display import display

from explorer.types import Progress
from explorer.ui.actions.progress import ProgressBar, part_of


@contextmanager
def progress(words: str) -> Iterator[ProgressBar]:
    """Shows a bar below the cell while the block runs.

    Args:
        words: what is going on.

    Yields:
        A function of (share that is done, what is being done).
    """
    bar = widgets.FloatProgress(0, min=0, max=1)
    label = widgets.Label(words)
    box = widgets.HBox([bar, label])

    def tell(share: float, doing: str) -> None:
        bar.value, label.value = share, doing

    display(box)  # type: ignore[no-untyped-call]
    try:
        yield tell
    finally:
        box.close()


@contextmanager
def counting(words: str) -> Iterator[Progress]:
    """The same for the library's functions, which count: yields a function of (done, total)."""
    with progress(words) as tell:
        yield part_of(tell, 0, 1, words)
