"""Renders the Markdown pages of docs/results from the templates beside this file, which contain their text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
_TEMPLATES = Environment(  # noqa: S701 - Markdown, of our own figures
    loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_AS_IT_IS = ("|", "#", "!", "-", "**")
"""Beginnings of blocks that are not wrapped: tables, headings, pictures, lists, totals."""


def rendered(name: str, /, **words: Any) -> str:
    """Fills a template; its paragraphs are wrapped at 120 characters, as what is filled in changes their length.

    Args:
        name: of the template, without `.md.j2`.
        words: what it names.

    Raises:
        UndefinedError: it names something that is not given.
    """
    text = _TEMPLATES.get_template(f"{name}.md.j2").render(words).strip("\n")
    return "\n\n".join(map(_wrapped, filter(None, (block.strip("\n") for block in text.split("\n\n"))))) + "\n"


def _wrapped(block: str) -> str:
    return block if block.startswith(_AS_IT_IS) else fill(block, 120, break_on_hyphens=False)


def as_table(head: Sequence[str], lines: Sequence[Sequence[str]], mark: str = "---:") -> str:
    """Lays cells out in Markdown.

    Args:
        head: of the columns.
        lines: cells by line and column.
        mark: what aligns all columns but the first, which is aligned to the left.
    """
    marks = [" --- ", *[f" {mark} "] * (len(head) - 1)]
    return "\n".join(
        ["| " + " | ".join(head) + " |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in lines)]
    )


def as_numbers(document: Any) -> Any:
    """A document of figures as it was before it was written as JSON, which has no NaN."""
    if isinstance(document, Mapping):
        return {key: as_numbers(value) for key, value in document.items()}
    if isinstance(document, list):
        return [as_numbers(value) for value in document]
    return math.nan if document is None else document
