"""Tables for widgets and cells: words in, HTML out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from explorer.text import NAME_LENGTH, in_html

_CELL = 'style="padding: 1px 14px 1px 0; text-align: left"'


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lays words out as a table of HTML."""
    columns = "".join(f'<th scope="col" {_CELL}>{in_html(word, NAME_LENGTH)}</th>' for word in head)
    lines = "".join(
        "<tr>" + "".join(f"<td {_CELL}>{in_html(cell, NAME_LENGTH)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table>"
