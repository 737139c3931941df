"""Checkpoint files read as data: safetensors, PyTorch's `.pth` and detectron2's `.pkl`, told apart by content."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from explorer.zoo.checkpoints.formats import read_pkl, read_safetensors, read_torch_legacy, read_torch_zip
from explorer.zoo.registry import BYTE_SCALE, CONTINUED, CONTINUED_SHA256

_ZIP_START = b"PK\x03\x04"
_TORCH_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled magic number of PyTorch before 1.6
_CONTAINERS = ("model", "state_dict", "model_state", "model_state_dict", "blobs", "model_ema", "state_dict_ema")
_WRAPPERS = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile
_MAX_NESTING = 4
_LONGEST_REASON = 300


FileFormat = Literal["PyTorch, zip archive", "PyTorch, before 1.6", "safetensors", "pickle"]


class CheckpointError(ValueError):
    """A checkpoint is damaged, hostile, or does not fit the model."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        format: how it is written.
        containers: the keys that were opened to reach the tensors, the outermost first: `("state_dict",)`.
        beside: what else stands in those containers, by key: `optimizer`, `epoch`.
        tensors: by name, on the CPU.
        metadata: texts in the head of a safetensors file.
    """

    format: FileFormat
    containers: tuple[str, ...]
    beside: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Reads a checkpoint's tensors on the CPU, with their stored types; nothing in the file is ever run.

    Containers (`model`, `state_dict`, Caffe2's `blobs`, …) are opened; optimiser states, counters and momenta
    stay behind, and so do the prefixes of wrappers (`module.`). Tensors of `.pth` and `.safetensors` files are
    mapped from the file where possible: copy them before the file may change.

    Raises:
        CheckpointError: the file is missing, of no known kind, damaged, or tries anything but holding numbers.
    """
    tensors = dict(read_parts(path).tensors)
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors


def read_parts(path: str | Path) -> Checkpoint:
    """Reads a checkpoint's tensors as `read_checkpoint` does, with every prefix, and says what stands around them.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    found = _found(path, mapped=True)
    try:
        containers, inside, beside = _containers(found.content)
        return Checkpoint(found.format, containers, beside, _tensors(inside), found.metadata)
    except ValueError as error:
        raise _refusal(path, error) from None


def read_content(path: str | Path, *, mapped: bool = True) -> Any:
    """Reads all that a checkpoint holds: tensors, and for pickles the containers, texts and numbers around them.

    Args:
        path: the file.
        mapped: leave tensors in the file where possible; False reads them, so that the file may change afterwards.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    return _found(path, mapped=mapped).content


@dataclass(frozen=True)
class _Found:
    format: FileFormat
    content: Any
    metadata: Mapping[str, str] = field(default_factory=dict)


def _found(path: str | Path, *, mapped: bool) -> _Found:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file.")
    try:
        return _read(path, mapped)
    except Exception as error:  # a hostile file may fail in any way, and all of them mean the same to the caller
        raise _refusal(path, error) from None


def _refusal(path: str | Path, error: Exception) -> CheckpointError:
    (reason, *_) = str(error).strip().splitlines() or ["is damaged"]
    shown = "".join(letter if letter.isprintable() else "�" for letter in reason[:_LONGEST_REASON])
    return CheckpointError(f"{Path(path).name} is not a usable checkpoint: it {shown}. Nothing was loaded.")


def _read(path: Path, mapped: bool) -> _Found:
    content = _bytes_of(path, mapped)
    start = content[:512]
    if start.startswith(_ZIP_START):
        return _Found("PyTorch, zip archive", read_torch_zip(content))
    if start.startswith(_TORCH_LEGACY_START):
        return _Found("PyTorch, before 1.6", read_torch_legacy(content))
    if start[8:9] == b"{":
        return _Found("safetensors", *_read_safetensors(path, content, mapped))
    if start.startswith(b"\x80") or path.suffix == ".pkl":
        return _Found("pickle", read_pkl(content))
    if start.lstrip().startswith(b"<"):
        raise CheckpointError("is a web page: its link asks for a login or has moved")
    raise CheckpointError("is neither safetensors, nor PyTorch's .pth, nor detectron2's .pkl")


def _bytes_of(path: Path, mapped: bool) -> mmap.mmap:
    """The file's bytes, opened once; what is written to them does not reach the file."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise CheckpointError("is empty")
        if mapped:
            return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
        content = mmap.mmap(-1, size)
        if file.readinto(content) != size:
            raise CheckpointError("changed while it was read")
        return content


def _read_safetensors(path: Path, content: mmap.mmap, mapped: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    stored, said = read_safetensors(content)
    if rest := said.get(CONTINUED):
        beside = path.with_name(Path(rest).name)
        if beside == path or not beside.is_file():
            raise CheckpointError(f"goes on in {Path(rest).name[:80]}, which is not beside it")
        more = _bytes_of(beside, mapped)
        if CONTINUED_SHA256 in said and hashlib.sha256(more).hexdigest() != said[CONTINUED_SHA256]:
            raise CheckpointError(f"goes on in {beside.name[:80]}, but the file of that name is another one")
        further, _ = read_safetensors(more)
        if twice := stored.keys() & further.keys():
            raise CheckpointError(f"and {beside.name[:80]}, in which it goes on, both hold {min(twice)[:80]}")
        stored |= further
    return _opened(stored), said


def _opened(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Multiplies weights that were stored as bytes by the scales stored beside them."""
    scales = {name.removesuffix(BYTE_SCALE): scale for name, scale in stored.items() if name.endswith(BYTE_SCALE)}
    opened = {name: tensor for name, tensor in stored.items() if name.removesuffix(BYTE_SCALE) not in scales}
    for name, scale in scales.items():
        weight = stored.get(name)
        if weight is None or weight.dtype != torch.int8 or scale.shape != weight.shape[:1]:
            raise CheckpointError(f"has scales of {name[:80]} that do not belong to bytes")
        opened[name] = weight.float() * scale.float().view(-1, *[1] * (weight.dim() - 1))
    return opened


def _containers(content: Any) -> tuple[tuple[str, ...], Mapping[Any, Any], tuple[str, ...]]:
    """Opens the containers around the tensors: which those were, what is inside, and what stands beside it."""
    opened: list[str] = []
    beside: list[str] = []
    while True:
        if not isinstance(content, Mapping):
            raise CheckpointError(f"holds a {type(content).__name__} where tensors by name were expected")
        key = next((key for key in _CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if key is None or len(opened) >= _MAX_NESTING:
            return tuple(opened), content, tuple(beside)
        beside += [str(other) for other in content if isinstance(other, str) and other != key and other.isprintable()]
        opened.append(key)
        content = content[key]


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    tensors = {
        name: _as_tensor(name, value)
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, (Tensor, np.ndarray)) and not name.endswith("_momentum")
    }
    if not tensors:
        raise CheckpointError("holds no tensors")
    return tensors


def _as_tensor(name: str, value: Tensor | np.ndarray[Any, Any]) -> Tensor:
    if not name.isprintable():  # it may stand in a report on a terminal
        raise CheckpointError("has a tensor whose name cannot be printed")
    return torch.from_numpy(np.asarray(value, order="C")) if isinstance(value, np.ndarray) else value
