"""What the results of `explorer` have in common: they show themselves, and go to pandas and to plain data."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from explorer.report.tables import Grid
from explorer.text import in_html, legible

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

_WIDTH = 120  # characters of a printed table


class Result(ABC):
    """A result that a notebook shows as its tables, its sentences and its figure, and `print` as its tables."""

    @property
    @abstractmethod
    def title(self) -> str:
        """A one-line title; names of models and files are not escaped in it."""

    @abstractmethod
    def tables(self) -> Sequence[Grid]:
        """Returns the tables."""

    @abstractmethod
    def figure(self) -> go.Figure:
        """Draws the result with Plotly."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Returns the result as JSON-compatible data: dictionaries, lists, numbers and strings."""

    @abstractmethod
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Returns the rows of `to_pandas`, each with the same keys."""

    def sentences(self) -> Sequence[str]:
        """Returns notes that are needed to read the tables."""
        return ()

    def to_pandas(self) -> pd.DataFrame:
        """Returns `rows` as a pandas data frame.

        Raises:
            ModuleNotFoundError: pandas is not installed; the message says how to install it.
        """
        return data_frame(self.rows())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {legible(self.title)}>"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, force_jupyter=False)
        with console.capture() as printed:
            for table in self.tables():
                console.print(table.on_terminal(), "")
        return "\n".join([legible(self.title), printed.get().rstrip(), *map(legible, self.sentences())])

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{in_html(self.title)}</b></p>", *(table._repr_html_() for table in self.tables())]
        return "".join([*parts, *(f"<p>{in_html(sentence)}</p>" for sentence in self.sentences())])

    def _ipython_display_(self) -> None:
        """Shows the tables and, below them, the figure, as Plotly shows figures wherever the notebook is open."""
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()))  # type: ignore[no-untyped-call]
        display(self.figure())  # type: ignore[no-untyped-call]


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Makes a pandas data frame of rows.

    Args:
        rows: one mapping from column to value each.
        columns: their names, where there may be no row.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    return optional("pandas", "to_pandas").DataFrame(list(rows), columns=columns)


def optional(module: str, what: str) -> Any:
    """Imports a package that the library does not depend on.

    Args:
        module: its name.
        what: what needs it.

    Raises:
        ModuleNotFoundError: it is not installed; the message says what needs it and how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModuleNotFoundError(
            f"{what} needs {module}, which is not installed. Install it with: pip install {module}", name=module
        ) from error
