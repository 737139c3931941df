"""The entries of a COCO results file, some at a time: a file of any length takes no more memory than a short one."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from explorer.data.ids import Id, as_id
from explorer.reading import LARGEST_BYTES, open_file, parse_json, parse_quickly
from explorer.scoring.columns import Truth
from explorer.scoring.foreign.boxes import Box, Looked, results_of
from explorer.scoring.foreign.documents import boxes_in, is_foreign
from explorer.scoring.foreign.reading import boxes_at

BYTES_AT_A_TIME = 2**15
"""So few that their entries stay in the processor's cache, and the garbage collector does not go through them."""
ENTRIES_AT_A_TIME = 2**8
_ENDS_TRIED = 4
_PACKED_BYTES, _PACKED_TIMES = 2**26, 100
_BROKEN = (OSError, EOFError, zlib.error, ValueError, RecursionError)


Block = Sequence[Any]
"""Successive entries, in JSON's types."""


@dataclass(frozen=True, eq=False)
class ResultsFile:
    """An open results file.

    Attributes:
        blocks: its entries, to go through once.
        images: the file name of each image that it lists, by its own id; nothing for a plain list of detections.
        categories: the name of each category that it lists, by its own id.
        sizes: `(height, width)` of each image of which it says that, by its own id.
        has_ids: its image ids are the data's, since it was read by the names of the files.
        looked: the data's ids of images that it names, also of those without a detection.
    """

    blocks: Iterator[Block]
    images: Mapping[Id, str] = field(default_factory=dict)
    categories: Mapping[Id, str] = field(default_factory=dict)
    sizes: Mapping[Id, tuple[int, int]] = field(default_factory=dict)
    has_ids: bool = False
    looked: frozenset[Id] = frozenset()


def open_results(path: Path, name: str | None = None, truth: Truth | None = None) -> ResultsFile:
    """Opens a file of detections, gzipped or not; with the data, also other libraries' files and folders.

    It is a list in COCO's results format, read part by part; an object with such a list as `annotations`, perhaps
    beside `images` and `categories`, as `explorer predict` writes it; or what the page's download holds.

    Args:
        path: the file.
        name: the model whose detections are meant, for the page's download of several.
        truth: the data that they are on, by which `explorer.scoring.foreign` tells images and classes.

    Raises:
        ValueError: the file is not there, no JSON, or neither of these; for a list, when it is gone through.
    """
    if truth is not None and (boxes := boxes_at(path)) is not None:
        return _foreign(boxes, truth, path)
    try:
        with _opened(path) as file:
            is_list = file.read(1024).lstrip()[:1] == b"["
    except _BROKEN as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if is_list:
        blocks = _blocks(path)
        first = next(blocks, ())
        if truth is None or not (first and is_foreign(first[0])):
            return ResultsFile(itertools.chain([first], blocks))
    content = _whole(path)
    if truth is not None and (boxes := boxes_in(content, path.stem, name)) is not None:
        return _foreign(boxes, truth, path)
    if isinstance(content, list):
        return ResultsFile(blocks_of(content))
    if isinstance(content, dict) and isinstance(content.get("models"), dict):
        content = _of_page(content, path, name)
    if not (isinstance(content, dict) and isinstance(content.get("annotations"), list)):
        raise ValueError(
            f"{path} holds a {type(content).__name__}; COCO results are a list of detections, each with image_id, "
            "category_id, bbox [x, y, width, height] and score, or an object with such a list as its annotations"
        )
    names = (_names(content.get("images"), "file_name"), _names(content.get("categories"), "name"))
    return ResultsFile(blocks_of(content["annotations"]), *names, _sizes(content.get("images")))


def _foreign(boxes: Iterator[Box | Looked], truth: Truth, path: Path) -> ResultsFile:
    looked: set[Id] = set()
    try:
        return ResultsFile(
            blocks_of(list(results_of(boxes, truth, path, looked))), has_ids=True, looked=frozenset(looked)
        )
    except ValueError as error:
        words = str(error)
        raise ValueError(words if words.startswith(str(path)) else f"{path}: {words}") from error


def blocks_of(entries: Sequence[Any]) -> Iterator[Block]:
    """Goes through entries that are in memory already."""
    return (entries[at : at + ENTRIES_AT_A_TIME] for at in range(0, len(entries), ENTRIES_AT_A_TIME))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with open_file(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file


def _room(path: Path) -> int:
    """The most bytes that a file of this size may unpack to: detections pack to a tenth, and zeros to a thousandth."""
    return max(_PACKED_BYTES, _PACKED_TIMES * path.stat().st_size)


def _whole(path: Path) -> Any:
    try:
        with _opened(path) as file:
            most = min(_room(path), LARGEST_BYTES)
            text = file.read(most + 1)
        if len(text) > most:
            raise ValueError(f"it holds more than {most:,} bytes")
        return parse_json(text)
    except _BROKEN as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def _blocks(path: Path) -> Iterator[Block]:
    given = 0
    try:
        for block in _decoded(path):
            yield block
            given += len(block)
    except _BROKEN:
        # whatever is out of the ordinary is left to the ordinary reader, which reads it or says what is wrong
        yield from blocks_of(_whole(path)[given:])


def _decoded(path: Path) -> Iterator[Block]:
    """Cuts a list after some entry again and again: what parses with a bracket put behind it was cut there.

    Raises:
        ValueError: for all but a list of what `parse_quickly` reads.
    """
    before, rest, step, room = b"", b"", BYTES_AT_A_TIME, _room(path)
    with _opened(path) as file:
        while more := file.read(step):
            rest, room = rest + more, room - len(more)
            if room < 0 or len(rest) > LARGEST_BYTES:
                raise ValueError("it holds too much")
            step = 2 * len(rest)  # an entry of any length is parsed but a few times
            for end in _last_ends(rest):
                text = before + rest[:end] + b"]"
                try:
                    entries = parse_quickly(text)
                except ValueError:
                    continue
                yield entries[len(before) > 0 :]
                before, rest, step = b"[0", rest[end:], BYTES_AT_A_TIME
                break
    text = before + rest
    yield parse_quickly(text)[len(before) > 0 :]


def _last_ends(text: bytes) -> Iterator[int]:
    """The places behind the last few closing braces."""
    end = len(text)
    for _ in range(_ENDS_TRIED):
        end = text.rfind(b"}", 0, end)
        if end < 0:
            return
        yield end + 1


def _of_page(content: Mapping[str, Any], path: Path, name: str | None) -> dict[str, Any]:
    models = content["models"]
    wanted = name if name in models else next(iter(models), None)
    if wanted is None or (len(models) > 1 and name not in models):
        raise ValueError(
            f"{path} holds the detections of {len(models)} models ({', '.join(models)}): "
            "name the one that is meant (name=), or download them one at a time"
        )
    own = models[wanted] if isinstance(models[wanted], dict) else {}
    return {
        "images": [content.get("image")],
        "categories": own.get("categories"),
        "annotations": own.get("results"),
    }


def _names(records: Any, key: str) -> dict[Id, str]:
    names: dict[Id, str] = {}
    for record in records if isinstance(records, list) else ():
        own = as_id(record.get("id")) if isinstance(record, dict) else None
        if own is not None and isinstance(record.get(key), str):
            names[own] = record[key]
    return names


def _sizes(records: Any) -> dict[Id, tuple[int, int]]:
    sizes: dict[Id, tuple[int, int]] = {}
    for record in records if isinstance(records, list) else ():
        own = as_id(record.get("id")) if isinstance(record, dict) else None
        if own is None:
            continue
        height, width = record.get("height"), record.get("width")
        if type(height) is int and type(width) is int and min(height, width) > 0:
            sizes[own] = (height, width)
    return sizes
