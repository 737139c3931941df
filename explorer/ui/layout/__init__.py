"""The page in a browser, a module a tab: what people see and touch. What it does stands in `explorer.ui.actions`."""

from explorer.ui.layout.page import build, serve

__all__ = ["build", "serve"]
