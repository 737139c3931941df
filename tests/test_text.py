"""Text from files in every kind of output, read back by that output's own parser: rich, HTML, CommonMark, JSON."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

import explorer
from explorer.text import (
    in_html,
    in_json,
    in_markdown,
    in_plotly,
    legible,
    legible_lines,
    logger_of,
    on_terminal,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
BLANK = "\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters and marks that show nothing
HOSTILE = "car [red]x[/] <img src=x onerror=alert(1)> &amp; **b** `c` $d$ %{y} \x1b[31m\r\n\u202egpj\u200b\udcff"


@example(HOSTILE)
@given(ANY_TEXT)
def test_nothing_invisible_is_left_and_the_rest_is_as_it_was(text: str) -> None:
    shown = legible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u200b\ufeff")
    shown.encode()
    plain = [c for c in text if c.isprintable() and c not in BLANK]
    assert [c for c in plain if c in shown] == plain
    if text.isascii() and text.isprintable():
        assert shown == text


def test_words_of_every_script_stay_as_they_are() -> None:
    for word in ("car [parked]", "Straße", "نیم\u200cفاصله", "क्\u200dष", "👩\u200d🚒", "日本語 100 %", "שלום"):
        assert legible(word) == word
    assert legible("ca\u200dr") == r"ca\u200dr"


def test_long_names_are_shortened_where_it_can_be_seen() -> None:
    assert legible("abcdefghij", 10) == "abcdefghij"
    assert legible("abcdefghijk", 10) == "abcdef…ijk"
    assert len(legible("x" * 10_000, 60)) == 60


def test_no_name_can_forge_a_line_of_a_message() -> None:
    assert legible_lines("it is broken:\nDetection works here.\x1b[2J") == (
        "it is broken:\n  Detection works here.\\x1b[2J"
    )


@example(HOSTILE, "bold")
@given(ANY_TEXT, st.sampled_from(["", "bold"]))
def test_rich_shows_it_as_it_is(text: str, style: str) -> None:
    out = StringIO()
    console = Console(file=out, width=1000, color_system=None, force_terminal=False)
    console.print(on_terminal("a", (text, style), "b"), soft_wrap=True)
    assert out.getvalue() == f"a{legible(text)}b\n"


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.data, self.tags = "", list[str]()

    def handle_data(self, data: str) -> None:
        self.data += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.data += "".join(value or "" for _, value in attrs)


def read_html(page: str) -> tuple[str, list[str]]:
    reader = Words()
    reader.feed(page)
    reader.close()
    return reader.data, reader.tags


@example(HOSTILE)
@given(ANY_TEXT)
def test_html_and_plotly_show_it_as_it_is(text: str) -> None:
    assert read_html(f"<p>{in_html(text)}</p>") == (legible(text), ["p"])
    assert read_html(f'<p title="{in_html(text)}">') == (legible(text), ["p"])
    assert read_html(f"<p>{in_plotly(text)}</p>") == (legible(text), ["p"])
    assert not set("{$") & set(in_plotly(text))


@example(HOSTILE)
@given(ANY_TEXT)
def test_markdown_shows_it_as_it_is(text: str) -> None:
    marked = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    words, tags = read_html(marked.render(f"- so **x{in_markdown(text)}x** z"))
    assert words.split() == f"so x{legible(text)}x z".split()
    assert tags == ["ul", "li", "strong"]
    words, _ = read_html(marked.render(f"- {in_markdown(text)}"))
    assert words.split() == legible(text).split() or text.strip()[:1].isdigit()


@example(HOSTILE)
@given(ANY_TEXT)
def test_json_keeps_its_meaning_and_becomes_visible(text: str) -> None:
    for indent in (None, 1):
        dumped = in_json(json.dumps({"a": [text]}, ensure_ascii=False, indent=indent))
        assert json.loads(dumped) == {"a": [text]}
        dumped.encode()
        assert legible(dumped.replace("\n", "")) == dumped.replace("\n", "")


def test_logs_are_legible(caplog: pytest.LogCaptureFixture) -> None:
    logger = logger_of("explorer.tests.of.text")
    with caplog.at_level(logging.INFO, "explorer.tests.of.text"):
        logger.info("%s, %d:\n%s", "\x1b[31mx", 3, "\x1b[36m| table |\x1b[0m")
    assert [record.getMessage() for record in caplog.records] == ["\\x1b[31mx, 3:\n  | table |"]


def test_no_other_module_escapes_by_itself() -> None:
    own = re.compile(r"from html import|import html$|rich\.markup|print\(f[\"']|typer\.echo\(f", re.MULTILINE)
    package = Path(explorer.__file__).parent
    found = [path for path in package.rglob("*.py") if path.name != "text.py" and own.search(path.read_text("utf-8"))]
    assert found == []
