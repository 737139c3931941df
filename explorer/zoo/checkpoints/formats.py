"""Safetensors and both formats of `torch.save`, each read from one copy of the file by one reader.

Nothing is given to a second parser: what was checked is what the tensors are made of.
"""

from __future__ import annotations

import io
import mmap
from math import prod
from typing import Any

import torch
from torch import Tensor

from explorer.reading import parse_json
from explorer.zoo.checkpoints.archives import torch_members
from explorer.zoo.checkpoints.pickle_machine import Stream
from explorer.zoo.checkpoints.pickles import StorageReader, read_pickle
from explorer.zoo.checkpoints.tensors import FormatError, Storage, is_shape, numbers_at

_LEGACY_HEAD_PICKLES = 3  # magic number, protocol, machine
_LONGEST_HEAD = 1 << 24
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_torch_zip(content: mmap.mmap) -> Any:
    """Reads what `torch.save` writes since PyTorch 1.6; tensors stay in `content`.

    Raises:
        FormatError: it is damaged, could be read in another way too, or holds more than tensors and plain containers.
    """
    members = torch_members(content)
    storages: dict[str, Storage] = {}
    if content[members.get("byteorder", slice(0, 0))] not in (b"", b"little"):
        raise FormatError("was written on a machine with another byte order; save it again on this one")

    def storage(dtype: torch.dtype, name: str, count: int) -> Storage:
        data = members.get(f"data/{name}", slice(0, 0))
        if data.stop - data.start != count * dtype.itemsize:
            raise FormatError(f"declares a storage of {count} numbers that it does not hold")
        if name not in storages:
            storages[name] = Storage(numbers_at(content, dtype, data.start, count))
        if storages[name].numbers.dtype != dtype:
            raise FormatError("holds one storage under two types")
        return storages[name]

    return _whole_pickle(io.BytesIO(content[members["data.pkl"]]), len(content), storage)


def read_torch_legacy(content: mmap.mmap) -> Any:
    """Reads what `torch.save` wrote before PyTorch 1.6: pickles, then the storages' numbers; tensors are copied.

    Raises:
        FormatError: it is damaged, or holds more than tensors and plain containers.
    """
    storages: dict[str, Storage] = {}
    room = len(content)

    def storage(dtype: torch.dtype, name: str, count: int) -> Storage:
        nonlocal room
        if name not in storages:
            room -= count * dtype.itemsize
            if room < 0:
                raise FormatError(f"declares a storage of {count} numbers, more than the file holds")
            storages[name] = Storage(torch.empty(count, dtype=dtype))
        found = storages[name].numbers
        if found.dtype != dtype or len(found) != count:
            raise FormatError("holds one storage under two types")
        return storages[name]

    for _ in range(_LEGACY_HEAD_PICKLES):
        read_pickle(content, len(content))
    stored = read_pickle(content, len(content), storage)
    names = read_pickle(content, len(content))
    if not isinstance(names, list) or sorted(names) != sorted(storages):
        raise FormatError("does not hold the storages that its tensors are in")
    for name in names:
        numbers = storages[name].numbers
        if int.from_bytes(content.read(8), "little") != len(numbers):
            raise FormatError("declares a storage of two lengths")
        raw = numbers.view(torch.uint8)
        raw.copy_(numbers_at(content, torch.uint8, content.tell(), len(raw)))
        content.seek(len(raw), io.SEEK_CUR)
    if content.read(1):
        raise FormatError("has data after its end")
    return stored


def read_pkl(content: mmap.mmap) -> Any:
    """Reads detectron2's `.pkl`: arrays by name.

    Raises:
        FormatError: it is damaged, or holds more than arrays and plain containers.
    """
    return _whole_pickle(content, len(content))


def read_safetensors(content: mmap.mmap) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file; tensors stay in `content`.

    Returns:
        The tensors, and the texts of the file's head, both by name.

    Raises:
        FormatError: it is damaged, names something twice, or holds something else than plain numbers.

    Source:
        The format as https://github.com/huggingface/safetensors describes it; what that library refuses is refused.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= min(len(content), _LONGEST_HEAD):
        raise FormatError(f"is damaged (it declares a head of {start - 8:,} bytes)")
    try:
        head = parse_json(content[8:start].decode())
    except ValueError as error:
        raise FormatError(f"is damaged (its head: {error})") from None
    metadata = head.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise FormatError("is damaged (its metadata do not map names to strings)")
    tensors, at = {}, start
    for begin, end, name, dtype, shape in sorted(_told(name, told) for name, told in head.items()):
        if start + begin != at or end - begin != prod(shape) * _DTYPES[dtype].itemsize:
            raise FormatError(f"is damaged (where {name[:80]} lies, or its shape)")
        tensors[name] = numbers_at(content, _DTYPES[dtype], at, prod(shape)).view(shape)
        at = start + end
    if at != len(content):
        raise FormatError("is damaged (it holds data that belong to no tensor)")
    return tensors, metadata


def _told(name: str, told: Any) -> tuple[int, int, str, str, list[int]]:
    """What the head says of a tensor: its first and last byte, name, type and shape."""
    match told:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end], **rest} if not rest:
            if not is_shape(shape) or not is_shape([begin, end]):
                raise FormatError(f"is damaged (where {name[:80]} lies, or its shape)")
            if dtype not in _DTYPES:
                raise FormatError(f"holds {name[:80]} as something else than a plain tensor ({dtype[:20]})")
            return begin, end, name, dtype, shape
    raise FormatError(f"is damaged (what its head says of {name[:80]})")


def _whole_pickle(stream: Stream, size: int, storages: StorageReader | None = None) -> Any:
    stored = read_pickle(stream, size, storages)
    if stream.read(1):
        raise FormatError("has data after its end")
    return stored
