"""Tensors over the bytes of a checkpoint: places and shapes are checked before memory is asked for."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

_MOST_DIMENSIONS, _MOST_BITS = 32, 63  # of NumPy 1, which wrote most of the oldest files


class FormatError(ValueError):
    """A checkpoint is damaged or hostile; the message goes on from "it": `is damaged`, `holds …`."""


@dataclass(frozen=True)
class Storage:
    """Numbers one behind the other, which tensors of a file share.

    Attributes:
        numbers: one-dimensional.
    """

    numbers: Tensor


def is_shape(value: Any) -> bool:
    """Whether a value from a file is a shape that an array can have, also where it has no numbers."""
    return (
        isinstance(value, (list, tuple))
        and len(value) <= _MOST_DIMENSIONS
        and all(type(n) is int and n >= 0 and n.bit_length() <= _MOST_BITS for n in value)
        and prod(n for n in value if n).bit_length() <= _MOST_BITS
    )


def numbers_at(content: mmap.mmap, dtype: torch.dtype, start: int, count: int) -> Tensor:
    """Returns `count` numbers that lie in `content` from byte `start` on, without a copy where they are aligned.

    Raises:
        FormatError: they reach beyond the content.
    """
    if not 0 <= start <= start + count * dtype.itemsize <= len(content):
        raise FormatError(f"declares {count:,} numbers, more than it holds")
    if not count:  # frombuffer refuses
        return torch.empty(0, dtype=dtype)
    if start % dtype.itemsize:
        return torch.frombuffer(bytearray(content[start : start + count * dtype.itemsize]), dtype=dtype)
    return torch.frombuffer(content, dtype=dtype, count=count, offset=start)


def strided(storage: Storage, offset: Any, size: Any, stride: Any) -> Tensor:
    """Returns a tensor over a storage, as PyTorch's pickles describe it.

    Args:
        storage: of the file.
        offset: of the first number, in numbers.
        size: the tensor's shape.
        stride: numbers from one element to the next, by dimension.

    Raises:
        FormatError: it is no tensor, reaches beyond its storage, or has more numbers than that.
    """
    if not (is_shape(size) and isinstance(stride, (list, tuple)) and len(stride) == len(size)):
        raise FormatError("holds a tensor of a shape that tensors cannot have")
    if not all(type(n) is int and n >= 0 and n.bit_length() <= _MOST_BITS for n in (offset, *stride)):
        raise FormatError("holds a tensor whose place is not in whole numbers")
    held, count = len(storage.numbers), prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else -1
    if last >= held or count > held:
        raise FormatError(f"holds a tensor of shape {tuple(size)} that reaches beyond its storage of {held:,} numbers")
    return storage.numbers.as_strided(size, stride, offset) if count else storage.numbers.new_empty(size)
