"""The panel "Backbone diff": two runs by object size, and every bar leads to its boxes."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from explorer.browser import actions
from explorer.browser.diff import Diff, diff_of
from explorer.browser.views import PANEL, errors_of, missed, only_found_by
from explorer.errors.taxonomy import ERRORS
from explorer.text import in_markdown

STORE = "vovnet_explorer"


class BackboneDiff(foo.Panel):
    """AP by size with intervals, who finds what, and error types of two runs."""

    @property
    def config(self) -> Any:
        """What FiftyOne calls it."""
        return foo.PanelConfig(
            name=PANEL,
            label="Backbone diff",
            icon="compare_arrows",
            help_markdown="Two runs by object size. **Click a bar** to see its boxes in the grid.",
        )

    def on_load(self, ctx: Any) -> None:
        """Chooses the first two runs."""
        runs = actions.runs_in(ctx.dataset)
        ctx.panel.set_state("runs", runs)
        if len(runs) >= 2:
            ctx.panel.set_state("a", ctx.panel.get_state("a") or runs[0])
            ctx.panel.set_state("b", ctx.panel.get_state("b") or runs[1])
            self._show(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        """Starts over."""
        ctx.panel.set_state("a", None)
        ctx.panel.set_state("b", None)
        self.on_load(ctx)

    def choose_a(self, ctx: Any) -> None:
        """Takes another first run."""
        ctx.panel.set_state("a", ctx.params["value"])
        self._show(ctx)

    def choose_b(self, ctx: Any) -> None:
        """Takes another second run."""
        ctx.panel.set_state("b", ctx.params["value"])
        self._show(ctx)

    def show_missed(self, ctx: Any) -> None:
        """Shows the objects of a size that a run misses: a click on its AP."""
        sizes = ctx.panel.get_state("sizes")
        size = sizes[min(max(round(float(ctx.params["x"])), 0), len(sizes) - 1)]
        ctx.ops.set_view(missed(ctx.dataset, str(ctx.params["trace"]), size))

    def show_found(self, ctx: Any) -> None:
        """Shows the boxes of a bar of "only one finds", by size or by class."""
        a, b = ctx.panel.get_state("a"), ctx.panel.get_state("b")
        if not str(ctx.params.get("trace", "")).endswith(a):
            a, b = b, a
        clicked = ctx.params["x"]
        by_size = ctx.params.get("relative_path", "").endswith("found_by_size")
        size, class_name = (clicked, None) if by_size else (None, clicked)
        ctx.ops.set_view(only_found_by(ctx.dataset, a, b, size, class_name))

    def show_errors(self, ctx: Any) -> None:
        """Shows the boxes of a bar of error types."""
        kind = next(kind for kind in ERRORS if kind.words == ctx.params["x"])
        ctx.ops.set_view(errors_of(ctx.dataset, str(ctx.params["trace"]), kind))

    def show_all(self, ctx: Any) -> None:
        """Shows every image again."""
        ctx.ops.clear_view()

    def render(self, ctx: Any) -> Any:
        """Lays the panel out."""
        panel = types.Object()
        runs = ctx.panel.get_state("runs") or actions.runs_in(ctx.dataset)
        if len(runs) < 2:
            panel.md("Two runs are needed: `explorer browse DATA RUN_A RUN_B`", name="needed")
            return types.Property(panel)
        top = panel.h_stack("top", gap=2, align_y="center")
        top.enum("a", runs, label="Run A", default=ctx.panel.get_state("a"), on_change=self.choose_a)
        top.enum("b", runs, label="Run B", default=ctx.panel.get_state("b"), on_change=self.choose_b)
        top.btn("all", label="All images", on_click=self.show_all)
        if ctx.panel.get_state("failed"):
            panel.md(ctx.panel.get_state("failed"), name="failed_words")
            return types.Property(panel)
        panel.md(ctx.panel.get_state("words") or "", name="words_shown")
        clicks = {
            "ap_by_size": self.show_missed,
            "found_by_size": self.show_found,
            "found_by_class": self.show_found,
            "errors": self.show_errors,
        }
        for name, on_click in clicks.items():
            layout = ctx.panel.get_state(f"{name}_layout") or {}
            panel.plot(name, layout=layout, config={"displayModeBar": False}, on_click=on_click)
        return types.Property(panel, view=types.GridView(padding=1, gap=1))

    def _show(self, ctx: Any) -> None:
        a, b = ctx.panel.get_state("a"), ctx.panel.get_state("b")
        ctx.panel.set_state("failed", "Choose two different runs." if a == b else None)
        if a == b:
            return
        try:
            diff = kept_diff(ctx, a, b)
        except ValueError as error:
            ctx.panel.set_state("failed", f"These runs cannot be compared: {in_markdown(error)}")
            return
        ctx.panel.set_state("words", diff["words"])
        ctx.panel.set_state("sizes", diff["sizes"])
        for name, figure in diff["figures"].items():
            ctx.panel.set_state(f"{name}_layout", figure["layout"])
            ctx.panel.set_data(name, figure["data"])


def kept_diff(ctx: Any, a: str, b: str) -> Diff:
    """Returns the comparison of two runs, from FiftyOne's store where it was made before."""
    from explorer.browser.state import read_state

    state = read_state(ctx.dataset)
    assert state is not None
    runs = [(name, state.runs[name]) for name in (a, b)]
    key = "-".join([*(f"{name}-{own.fingerprint[:16]}-{own.match_by}" for name, own in runs), str(state.rules)])
    store = ctx.store(STORE)
    kept: Diff | None = store.get(key)
    if kept is None:
        kept = diff_of(ctx.dataset, a, b)
        store.set(key, kept)
    return kept
