"""What one attack is, and all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

Kind = Literal["checkpoint", "config", "image", "data set", "results", "video", "archive"]


@dataclass(frozen=True)
class Attack:
    """Files from outside that are to be refused.

    Attributes:
        name: of the attack.
        kind: what the file is handed in as.
        files: content by file name. A text is the target of a symbolic link, None makes a pipe.
        says: regular expression that the one line of refusal matches.
        handed: which is handed in: the first where it is empty, `.` for the folder of all.
    """

    name: str
    kind: Kind
    files: Mapping[str, bytes | str | None]
    says: str
    handed: str = ""


@cache
def corpus() -> list[Attack]:
    """All attacks; their names differ."""
    from tests.hostile import archives, calls, configs, images, pickles, safetensors
    from tests.hostile import coco, datasets, results, videos, zips  # isort: skip

    sources = (calls, pickles, archives, safetensors, configs, images, coco, datasets, results, videos, zips)
    return [attack for source in sources for attack in source.attacks()]


def cut(name: str, content: bytes, *, times: int = 16) -> Iterator[tuple[str, bytes]]:
    """A file cut short at so many places, evenly spread."""
    for part in range(times):
        yield f"{name} cut at {part} of {times}", content[: len(content) * part // times]
