r"""Words that came with a file, shown as they are: one function per output.

Class names, file names, paths, the names of runs and models, and errors that quote them are other people's text, and
every output takes some characters for orders of its own: rich reads `[red]`, a browser `<img …>`, Plotly `<b>` and
`%{x}`, Markdown `*`. Whatever goes there passes the output's function here. All of them show what would be invisible,
move the cursor or turn its surroundings around as an escape such as `\x1b` or `\u202e`; all else stays as it is.
"""

from __future__ import annotations

import html
import json
import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

NAME_LENGTH = 60
"""Longest name, in characters, for which tables, legends and labels have room."""

_JOINERS = "\u200c\u200d"  # belong to words of Persian and Hindi and to emoji, and hide in ASCII
_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls: line breaks, ESC, which begins a terminal's commands
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings, overrides, isolates
    "\xad\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"  # no width
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # halves of characters, as Python reads file names that are not UTF-8
    "\U000e0000-\U000e007f"  # tags, a hidden alphabet
    f"]|(?<![^\x00-\x7f])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f])"
)
_COLOURS = re.compile(r"(?<=:\n)\x1b\[36m|\x1b\[0m\Z")  # of the tables that detectron2 logs
_MARKDOWN = re.compile(
    r"[\\`*_\[\]<>&|~$@]"  # anywhere
    r"|:(?=//)|(?<=www)\."  # addresses, which become links by themselves
    r"|^[-+#=]"  # where a line begins: lists, headings
)


def legible(text: object, most: int | None = None) -> str:
    """Returns text on one line in which every character can be seen.

    Enough by itself for outputs that read no markup: cells and choices of Gradio and ipywidgets, pictures, logs.

    Args:
        text: any; other things are shown as `str` does.
        most: the number of characters to which it is shortened, with … in its middle; None leaves it long.
    """
    shown = _HIDDEN.sub(_escaped, str(text))
    if most is None or len(shown) <= most:
        return shown
    tail = (most - 1) // 3
    return f"{shown[: most - 1 - tail]}…{shown[len(shown) - tail :]}"


def legible_lines(text: object) -> str:
    """The same for messages of several lines; those after the first are indented, so that no name can forge one."""
    return "\n  ".join(map(legible, str(text).split("\n")))


def on_terminal(*parts: str | tuple[str, str], most: int | None = None) -> Text:
    """Returns text for rich, which reads no markup in it and adds no colour.

    Args:
        parts: each a text, or a text and its style, such as `("V-39", "bold")`.
        most: as for `legible`, of each part.
    """
    from rich.text import Text

    styled = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((legible(text, most), style) for text, style in styled))


def in_html(text: object, most: int | None = None) -> str:
    """Returns text for HTML, between tags or in an attribute in double quotes; Gradio's toasts are HTML too."""
    return html.escape(legible(text, most), quote=False).replace('"', "&quot;")


def in_plotly(text: object, most: int | None = None) -> str:
    """Returns text for Plotly's titles, legends, labels and hover texts.

    They know some of HTML's tags and its entities, templates (`%{…}`), and formulas between `$` where MathJax is at
    hand. In a template's own place (`text`, `customdata`) escape it as well: what is put in is read for tags.
    """
    return html.escape(legible(text, most), quote=False).replace("{", "&#123;").replace("$", "&#36;")


def in_markdown(text: object, most: int | None = None) -> str:
    """Returns text for Markdown within a line, of Gradio and FiftyOne: no emphasis, link, code, formula or HTML."""
    return _MARKDOWN.sub(r"\\\g<0>", legible(text, most))


def in_json(dumped: str) -> str:
    """Returns JSON of the same meaning in which every character of its strings can be seen, and be written as UTF-8.

    Args:
        dumped: what `json.dumps` made; line breaks between its values stay.
    """
    return _HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], dumped)


def logger_of(module: str) -> logging.Logger:
    """Returns a module's logger, whose records are legible wherever they go: the terminal, `log.txt`."""
    logger = logging.getLogger(module)
    logger.addFilter(_legible_record)
    return logger


def _legible_record(record: logging.LogRecord) -> bool:
    said = _COLOURS.sub("", record.getMessage())
    record.msg, record.args = legible_lines(said), ()
    return True


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
