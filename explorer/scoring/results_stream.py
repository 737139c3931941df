"""The entries of a COCO results file one by one, so that a file of any length takes no more memory than a short one."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explorer.scoring.results_file import read_results

CHARACTERS_AT_A_TIME = 2**20
_SPACE = re.compile(r"[ \t\n\r]*")


def each_result(path: Path) -> Iterator[Any]:
    """Yields what is in the list of a COCO results file; `columns_of` judges it.

    Raises:
        ValueError: the file is not there, no JSON, or no list.
    """
    given = 0
    try:
        for result in _decoded(path):
            yield result
            given += 1
    except (OSError, ValueError, RecursionError):
        # whatever is out of the ordinary is left to the ordinary reader, which reads it or says what is wrong
        yield from itertools.islice(read_results(path), given, None)


def _decoded(path: Path) -> Iterator[Any]:
    """Decodes entry by entry; raises ValueError for all but a list of JSON values in UTF-8."""
    decode = json.JSONDecoder().raw_decode
    with path.open(encoding="utf-8") as file:
        window = _Window(file)
        if window.next() != "[":
            raise ValueError("no list")
        window.at += 1
        if window.next() != "]":
            yield window.take(decode)
            while window.next() == ",":
                window.at += 1
                yield window.take(decode)
        if window.next() != "]":
            raise ValueError("the list does not end")
        window.at += 1
        if window.next():
            raise ValueError("something comes after the list")


class _Window:
    """The part of a file that is being read.

    Attributes:
        at: the place in it of what comes next.
    """

    def __init__(self, file: Any) -> None:
        self._file, self._text = file, ""
        self.at = 0

    def next(self) -> str:
        """Goes to the next character that is no space, and returns it; nothing at the file's end."""
        while True:
            found = _SPACE.match(self._text, self.at)
            assert found is not None
            self.at = found.end()
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more(CHARACTERS_AT_A_TIME):
                return ""

    def take(self, decode: Any) -> Any:
        """Decodes the value that comes next."""
        self.next()
        step = CHARACTERS_AT_A_TIME
        while True:
            try:
                value, end = decode(self._text, self.at)
                if end < len(self._text) or not self._more(step):  # a number may go on
                    self.at = end
                    return value
            except ValueError:
                if not self._more(step):
                    raise
            step *= 2  # a value of any length is copied but a few times

    def _more(self, step: int) -> bool:
        """Reads on; False at the file's end."""
        read = self._file.read(step)
        self._text, self.at = self._text[self.at :] + read, 0
        return bool(read)
