"""What all widgets share: controls, a line that says what is going on or what went wrong, and the rest below."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import ipywidgets as widgets

from explorer.figures.style import INK
from explorer.text import in_html
from explorer.ui.actions.progress import ProgressBar, Stopped
from explorer.zoo.downloads import DownloadError

if TYPE_CHECKING:
    import plotly.graph_objects as go

WAIT_S = 0.15
"""A control that moves on within this time has not been asked yet."""
WHOLE = {"description_width": "initial"}
"""For descriptions that would be cut."""
_INK = INK.replace(",", ", ")
_STYLE = f"""<style>
.js-plotly-plot .main-svg text[style*="{_INK}"] {{
    fill: var(--jp-content-font-color1, var(--vscode-editor-foreground, {INK})) !important;
}}
</style>"""
"""Words of figures get the notebook's own colour, light where it is dark; no grey reads on both."""
_ERROR = "border-left: 4px solid #d55e00; padding-left: .5em"


class Debounced:
    """Calls an action when nothing has asked for it for a while, as a slider does until it is let go.

    Where no event loop runs, as in a script, it is called at once.
    """

    def __init__(self, action: Callable[[], None], wait_s: float = WAIT_S) -> None:
        self._action, self._wait_s = action, wait_s
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, *_: object) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._action()
            return
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_later(self._wait_s, self._action)


class Panel(widgets.VBox):
    """A widget whose errors appear in it.

    Attributes:
        says: the line; screen readers are told of what it says.
        failed: whether the last work ended with an error.
    """

    def __init__(self, controls: Sequence[widgets.Widget], body: Sequence[widgets.Widget]) -> None:
        self.says = widgets.HTML()
        self.failed = False
        row = widgets.HBox(list(controls), layout=widgets.Layout(flex_flow="row wrap", grid_gap="4px 16px"))
        super().__init__([widgets.HTML(_STYLE, layout=widgets.Layout(height="0")), row, self.says, *body])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: run this cell to use the widget>"

    def still(self) -> go.Figure | None:
        """The figure as it is, for places where no widget runs; None where there is none."""
        return None

    def tell(self, words: str, kind: str = "done") -> None:
        """Says something above the figure."""
        role, style = ("alert", _ERROR) if kind == "error" else ("status", "")
        self.says.value = f'<div role="{role}" style="{style}">{in_html(words)}</div>' if words else ""

    @contextmanager
    def at_work(self, words: str) -> Iterator[ProgressBar]:
        """Says what is being done; what goes wrong is said here and not in the log, and ends the block.

        Yields:
            A callback that says how far the work is.
        """
        self.tell(f"{words} …", "busy")
        self.failed = True
        try:
            yield lambda share, doing: self.tell(f"{doing} … {100 * share:.0f} %", "busy")
        except (ValueError, DownloadError) as reason:
            self.tell(str(reason), "done" if isinstance(reason, Stopped) else "error")
        except Exception as error:  # a trace would go to the server's log, where nobody looks
            self.tell(f"{type(error).__name__}: {error}", "error")
        else:
            self.failed = False
            self.tell("")

    def when_changed(self, controls: Sequence[widgets.Widget], action: Callable[[], None]) -> None:
        """Calls an action when the value of a control has changed and rests."""
        debounced = Debounced(action)
        for control in controls:
            control.observe(debounced, names="value")
