"""JSON from outside is read as Python's own module reads it, or refused where it has two meanings."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer import reading
from explorer.reading import DEEPEST, parse_json, parse_quickly, read_json

LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(':\\"u03aA{,}é', max_size=9)
KEYS = st.text('a:"', max_size=2)


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may be there twice."""


def dumped(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(key)}: {dumped(own)}" for key, own in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumped, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def has_twins(value: Any) -> bool:
    if isinstance(value, Pairs):
        return len({key for key, _ in value}) < len(value) or any(has_twins(own) for _, own in value)
    return isinstance(value, list) and any(map(has_twins, value))


VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(KEYS, inner), max_size=3).map(Pairs),
    max_leaves=12,
)


@given(value=VALUES, escaped=st.booleans())
@settings(max_examples=400, deadline=None)
def test_it_is_read_as_json_reads_it_unless_a_key_is_there_twice(value: Any, escaped: bool) -> None:
    text = dumped(value)
    text = text.replace(":", r"\u003a") if escaped and not isinstance(value, Pairs | list) else text
    if has_twins(value):
        with pytest.raises(ValueError, match="twice, and programs disagree"):
            parse_json(text.encode())
        with pytest.raises(ValueError):  # noqa: PT011 - it need not say why
            parse_quickly(text.encode())
    else:
        assert repr(parse_json(text.encode())) == repr(parse_json(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", [b"[]", b'{"a:": [1.5e300, "\\"::"]}', b"[0.00012345678901234567890, 9223372036854775807]"]
)
def test_ordinary_files_are_read_quickly(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(reading, "_read_thoroughly")
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "Expecting value"),
        (b"[1]x", "Extra data"),
        (b"\xff\xff", "not valid utf-8"),
        (b'"\xed\xa0\x80"', "not valid utf-8"),
        (b"[" * 10**6, f"more than {DEEPEST} levels"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), f"more than {DEEPEST} levels"),
        (b'{"a": ' * 900 + b"NaN" + b"}" * 900, f"more than {DEEPEST} levels"),
        (b"9" * 5000, "4300 digits"),
        (rb'{"bbox": 1, "b\u0062ox": 2}', 'the key "bbox" twice'),
        (rb'{"a": "\u003a", "b": 1, "b": NaN}', 'the key "b" twice'),
        (b'{"' + b"k" * 9999 + b'": 1, "' + b"k" * 9999 + b'": 1}', 'k{60}" twice'),
        ('{"\\u202e": 1, "\u202e": 1}'.encode(), re.escape(r'"\u202e" twice')),
    ],
    ids=lambda value: None if isinstance(value, str) else value[:12],
)
def test_what_is_refused(text: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(ValueError, match=says) as refused:
        read_json(tmp_path / "x.json")
    assert str(refused.value).startswith(f"{tmp_path / 'x.json'} cannot be read as JSON: ")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_encodings_are_told_by_their_first_bytes(encoding: str) -> None:
    assert parse_json('{"é": "雪"}'.encode(encoding)) == {"é": "雪"}


def test_numbers_of_any_size() -> None:
    digits = b"[123456789012345678901234567890, 0.000123456789012345678901, 1e999, -Infinity]"
    assert parse_json(digits) == [
        123456789012345678901234567890,
        0.000123456789012345678901,
        float("inf"),
        -float("inf"),
    ]
    assert parse_json(b"[" * DEEPEST + b"]" * DEEPEST) == json.loads("[" * DEEPEST + "]" * DEEPEST)


@pytest.mark.parametrize("power", [53, 63, 64])
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_whole_numbers_keep_all_digits(power: int, beside: int) -> None:
    for number in (2**power + beside, -(2**power) + beside):
        for value in (number, [number], {"id": number}, [0, number, 1.5]):
            assert repr(parse_json(json.dumps(value).encode())) == repr(value)


def test_files_that_are_not_there_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"nothing.json cannot be read \(No such file or directory\)"):
        read_json(tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="Is a directory"):
        read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    for name in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(ValueError, match="Is a device or a pipe"):
            read_json(name)
    for name in ("\0.json", "\ud800.json"):
        with pytest.raises(ValueError, match="No file can have such a name"):
            read_json(tmp_path / name)
    monkeypatch.setattr(reading, "LARGEST_BYTES", 3)
    (tmp_path / "large.json").write_text("[12]")
    with pytest.raises(ValueError, match="has more than 3 bytes"):
        read_json(tmp_path / "large.json")
