"""The one way to read what came with a file as text: ordinary files only, and JSON that means one thing.

The rule for all JSON from outside (annotations, results, records of runs, heads of checkpoints, …):

* Its text is UTF-8, or UTF-16 or UTF-32, with a byte order mark or without; a file has at most `LARGEST_BYTES`.
* Lists and objects lie in each other at most `DEEPEST` levels deep.
* An object has no key twice: programs disagree on which of the values counts.
* Whole numbers keep all their digits, of which there are at most 4,300. `NaN` and `Infinity` are read as Python writes
  them, and 1e999 as infinite; whoever uses a number says whether it may be.
"""

from __future__ import annotations

import json
import os
import re
import stat
from errno import EINVAL, EISDIR
from pathlib import Path
from typing import Any, BinaryIO

import orjson

LARGEST_BYTES = 1 << 30
"""Of a file that is read whole; a gigabyte is twice what COCO's own annotations have."""
DEEPEST = 254
"""As deep as orjson writes."""

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG, _LONG_BELOW_ZERO = 20 * b"0", b"-" + 19 * b"0"
_NO_DIGIT = re.compile(rb"[^0]")
_COLONS = (rb"\u003a", rb"\u003A")


def open_file(path: Path) -> BinaryIO:
    """Opens a file for reading; devices and pipes, which may never end, are refused without waiting for them.

    Raises:
        OSError: there is none, it is no ordinary file, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a NUL, or half a character
        raise OSError(EINVAL, "No file can have such a name") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        folder = stat.S_ISDIR(mode)
        raise OSError(EISDIR, os.strerror(EISDIR)) if folder else OSError(EINVAL, "Is a device or a pipe, not a file")
    return open(handle, "rb")  # noqa: PTH123 - what is open already


def read_bytes(path: Path) -> bytes:
    """Reads a whole file.

    Raises:
        ValueError: it cannot be opened, or has more than a gigabyte.
    """
    try:
        with open_file(path) as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error})") from error
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"{path} has more than {LARGEST_BYTES:,} bytes: split it")
    return content


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        ValueError: it cannot be opened, is larger than a gigabyte, or is no JSON by the rule of this module.
    """
    content = read_bytes(path)
    try:
        return parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def parse_json(text: bytes | str) -> Any:
    """Reads JSON; a text has been decoded already.

    Raises:
        ValueError: it is no JSON by the rule of this module.
    """
    try:
        return parse_quickly(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    except ValueError:
        return _read_thoroughly(text)


def parse_quickly(text: bytes) -> Any:
    """Reads JSON in UTF-8 that is as most is, in less than twice the time of orjson, which sees no key twice.

    Written anew, the values have as many colons as their text: those behind keys, and those in strings. Each value that
    a later one of its key replaced took at least one with it.

    Raises:
        ValueError: it is no JSON, or out of the ordinary, which `parse_json` tells.
    """
    value = orjson.loads(text)
    if _has_long_integers(text) or any(escaped in text for escaped in _COLONS):
        raise ValueError("digits are lost, or colons hidden")
    try:
        colons = orjson.dumps(value).count(b":")
    except TypeError as error:
        raise ValueError("it is too deep") from error
    if colons != text.count(b":"):
        raise ValueError("an object has a key twice")
    return value


def _has_long_integers(text: bytes) -> bool:
    """Tells whether there may be a whole number beyond 64 bits, which orjson would round; digits of fractions may be.

    Source: 2⁶⁴ has 20 digits, and −2⁶³, the lowest that orjson keeps, has 19.
    """
    digits = text.translate(_DIGITS)
    if _LONG_BELOW_ZERO in digits:
        return True
    at = digits.find(_LONG)
    while at >= 0 and digits[at - 1 : at] == b".":
        end = _NO_DIGIT.search(digits, at)
        at = digits.find(_LONG, end.start()) if end else -1
    return at >= 0


def _read_thoroughly(text: bytes | str) -> Any:
    try:
        decoded = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        value = json.loads(decoded, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not valid {error.encoding} ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise ValueError(str(error).partition(";")[0]) from error  # behind it: how programmers allow more digits
    if _is_deep(value):
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"an object has the key {json.dumps(twice[:60])} twice, and programs disagree on which counts")
    return found


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        lists = [own for own in level if isinstance(own, list)]
        lists += [list(own.values()) for own in level if isinstance(own, dict)]
        if not lists:
            return False
        level = [own for values in lists for own in values if isinstance(own, list | dict)]
    return True
