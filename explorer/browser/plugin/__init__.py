"""FiftyOne's way in: names the operators and the panel, which live in the package."""

from __future__ import annotations

from typing import Any

from explorer.browser.operators import OPERATORS
from explorer.browser.panel import BackboneDiff


def register(p: Any) -> None:
    """Registers everything with FiftyOne."""
    for operator in (*OPERATORS, BackboneDiff):
        p.register(operator)
