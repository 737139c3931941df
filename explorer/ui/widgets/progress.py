"""A progress bar for a cell that takes a while; it goes when the work is done, so that no stored output has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ipywidgets as widgets
from IPython.display import display

from explorer.ui.actions.progress import part_of


class Bar(widgets.HBox):
    """A bar with words beside it; calling it with (done, total) moves it."""

    def __init__(self, words: str) -> None:
        self._words = words
        self.bar = widgets.FloatProgress(0, min=0, max=1)
        self.label = widgets.Label(words)
        super().__init__([self.bar, self.label])

    def __call__(self, done: int, total: int) -> None:
        """Moves the bar to `done` of `total`, as the `progress` of the library's functions."""
        part_of(self.steps, 0, 1, self._words)(done, total)

    def steps(self, share: float, doing: str) -> None:
        """Moves the bar to a share in [0, 1] and says what is being done, as the `progress` of `examine`."""
        self.bar.value, self.label.value = share, doing


@contextmanager
def progress_bar(words: str) -> Iterator[Bar]:
    """Shows a progress bar below the cell while the block runs.

        with ex.progress_bar("evaluating") as bar:
            ex.evaluate("demo/V-19", "aerial", progress=bar)

    Args:
        words: what is being done, shown beside the bar.

    Yields:
        The bar, for the argument `progress` of any function; `bar.steps` for that of `examine`.
    """
    bar = Bar(words)
    display(bar)  # type: ignore[no-untyped-call]
    try:
        yield bar
    finally:
        bar.close()
