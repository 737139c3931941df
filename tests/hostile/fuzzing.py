"""Made-up files, for minutes: each round begins with the next seed, so that a failure comes again."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

MINUTES = float(os.environ.get("EXPLORER_FUZZ_MINUTES", "10"))
"""For each reader that is fuzzed; its fuzzers share them."""
_ROUND = settings(
    max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None, report_multiple_bugs=False
)
_WORTHWHILE = [
    b"\0", b"\x01", b"\xff" * 4, b"\xff" * 8, b"PK\x03\x04", b"PK\x05\x06", b"(", b".", b"R", b"Q", b"\x85", b"[", b"{",
    b'"', b"-", b"1e999", b"NaN", b"null", b"9" * 40, b"]", b"<", b"&", b";", b",", b"\n", b"../", b"\xed\xa0\x80",
    b"\\ud800", b"\\u0000", b"0", b"0.5", b"[]", b"{}", b"true", b'""',
]  # fmt: skip


@st.composite
def changes(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file in which some bytes are overwritten, put in, cut out, or moved."""
    content = whole
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        fresh = draw(
            st.one_of(
                st.binary(min_size=1, max_size=4),
                st.sampled_from(_WORTHWHILE),
                st.integers(0, 2**64 - 1).map(lambda n: struct.pack("<Q", n)),
                st.integers(0, max(len(content) - 64, 0)).map(lambda other, now=content: now[other : other + 64]),
            )
        )
        gone = draw(st.sampled_from([len(fresh), len(fresh), len(fresh), 0, 1, 16]))
        content = content[:at] + fresh + content[at + gone :]
    return content


def fuzz(check: Callable[..., None], share: float, **made: Any) -> int:
    """Calls a check with made-up values for its share of the minutes, and returns how often.

    Args:
        check: raises for what must not be.
        share: of the minutes of the reader.
        made: strategy by the name of the argument.
    """
    times = 0

    def counted(**values: Any) -> None:
        nonlocal times
        times += 1
        check(**values)

    end, rounds = time.monotonic() + 60 * MINUTES * share, 0
    while rounds == 0 or time.monotonic() < end:
        seed(rounds)(_ROUND(given(**made)(counted)))()
        rounds += 1
    return times
