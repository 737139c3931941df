"""Where commands put what they have to say: lines on the terminal, and the `--json` option for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from explorer.text import on_terminal
from explorer.writing import as_json, write_json

JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Also write the result as JSON; - writes to standard output."),
]


def say(*parts: str | tuple[str, str], err: bool = False) -> None:
    """Prints a line, which a terminal wraps and nothing else does; text from files in it is shown as it is.

    Args:
        parts: each a text, or a text and rich's style for it, such as `("V-39", "bold")`.
        err: to standard error.
    """
    from rich.console import Console

    Console(stderr=err).print(on_terminal(*parts), soft_wrap=True)


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Prints labels and what there is to say of each, one below the other."""
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, on_terminal(text))
    Console().print(table, highlight=False)


def write_output(content: object, destination: str) -> None:
    """Writes what `--json` asks for: indented JSON to a file, whole or not at all, or to standard output for `-`."""
    place = Path(destination)
    if destination == "-":
        sys.stdout.write(as_json(content, indent=2))
    elif place.exists() and not place.is_file():  # /dev/stderr, a pipe
        place.write_text(as_json(content, indent=2), encoding="utf-8")
    else:
        write_json(content, place, indent=2)
