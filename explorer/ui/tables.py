"""Tables of results, the same on the page and in notebooks: words in, HTML out, which wraps on narrow pages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from explorer.text import NAME_LENGTH, in_html

_WHOLE = re.compile(r"\[[^\[\]]{,40}\]|\d %")
_PARTS = re.compile(r"(\w[/_])(?=\w)")
_CELL = 'style="padding: 1px 14px 1px 0; text-align: left; vertical-align: top"'


def html_table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    bold: Collection[int] = (),
    most: int = NAME_LENGTH,
) -> str:
    """Lays words out as a table of HTML.

    Args:
        head: one word per column.
        rows: cells.
        caption: stands above the table, and is its name for screen readers.
        bold: places of the rows to stress.
        most: letters of a cell; longer ones are cut in their middle.
    """
    above = f"<caption>{in_html(caption, 3 * NAME_LENGTH)}</caption>" if caption else ""
    columns = "".join(f'<th scope="col" {_CELL}>{_wrapped(word, 2 * NAME_LENGTH)}</th>' for word in head)
    lines = []
    for place, row in enumerate(rows):
        words = (_wrapped(cell, most) for cell in row)
        shown = (f"<b>{word}</b>" if place in bold else word for word in words)
        lines.append(f"<tr>{''.join(f'<td {_CELL}>{word}</td>' for word in shown)}</tr>")
    return f"<table>{above}<thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _wrapped(word: object, most: int) -> str:
    """Words that wrap within names, whose parts are long, and not within intervals and percentages."""
    whole = _WHOLE.sub(lambda found: found[0].replace(" ", "&nbsp;"), in_html(word, most))
    return _PARTS.sub(r"\1<wbr>", whole)
