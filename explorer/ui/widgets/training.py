"""Training, watched: a bar, a sentence and the loss as it falls, while the cell runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import ipywidgets as widgets
from IPython.display import display

from explorer.ui.actions.progress import Stopped
from explorer.ui.widgets.figure import FigureView
from explorer.ui.widgets.panel import Panel

if TYPE_CHECKING:
    import plotly.graph_objects as go


class TrainingView(Panel):
    """Draws the loss of a training run; its `step` is the `on_step` of `explorer.train`.

        with ex.TrainingView("V-19") as view:
            ex.train("aerial/faster_rcnn_V_19_slim_dw", "aerial:train", out="output/v19", on_step=view.step)

    To stop a run, interrupt the kernel; `resume=True` continues from the last checkpoint.
    """

    def __init__(self, name: str, *, every: int = 2, stop_after: int | None = None) -> None:
        """Prepares an empty figure.

        Args:
            name: what to call the run.
            every: iterations between two looks.
            stop_after: end the run after this many iterations, as a kernel that dies would.
        """
        self._name, self._every, self._stop_after = name, every, stop_after
        self.rows: list[dict[str, float]] = []
        self._bar = widgets.IntProgress(0, min=0, max=1, layout=widgets.Layout(width="320px"))
        self.view = FigureView()
        super().__init__([self._bar], [self.view])

    def __enter__(self) -> Self:
        display(self)  # type: ignore[no-untyped-call]
        self.tell(f"{self._name}: reading the data and the weights …", "busy")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Says how the run ended; that it was stopped as wanted is no error."""
        if error is None:
            self.tell(f"{self._name}: done.")
        else:
            self.tell(str(error) or type(error).__name__, "done" if isinstance(error, Stopped) else "error")
        return isinstance(error, Stopped)

    def step(self, done: int, total: int, scalars: Mapping[str, float]) -> None:
        """Takes note of an iteration.

        Raises:
            Stopped: it is the last one wanted.
        """
        from explorer.engine.training.hooks import facts_line

        self.rows.append({"iteration": done - 1, **scalars})
        self._bar.max, self._bar.value = total, done
        last = done in (total, self._stop_after)
        if last or done % self._every == 0:
            self.tell(f"{self._name}: {done} of {total} iterations, {facts_line(scalars)}", "busy")
            self._draw()
        if done == self._stop_after and done < total:
            raise Stopped(f"Stopped after {done} of {total} iterations.")

    def still(self) -> go.Figure | None:
        return self.view.still()

    def _draw(self) -> None:
        from explorer.figures.training import training_curves

        self.view.show(training_curves({self._name: self.rows}, parts=True))
