"""Checkpoint files read as data: safetensors, PyTorch's `.pth` and detectron2's `.pkl`, told apart by content."""

from __future__ import annotations

import io
import mmap
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from explorer.zoo.downloads import sha256_of
from explorer.zoo.pickles import inspect_torch_pickle, read_pickle
from explorer.zoo.registry import BYTE_SCALE, CONTINUED, CONTINUED_SHA256

_ZIP_START = b"PK\x03\x04"
_TORCH_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled magic number of PyTorch before 1.6
_LEGACY_HEAD_PICKLES = 3  # magic number, protocol, machine; then the object, then the storages' keys
_CONTAINERS = ("model", "state_dict", "model_state", "model_state_dict", "blobs", "model_ema", "state_dict_ema")
_WRAPPERS = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile
_MAX_NESTING = 4


class CheckpointError(ValueError):
    """A checkpoint is damaged, hostile, or does not fit the model."""


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Reads a checkpoint's tensors on the CPU, with their stored types; nothing in the file is ever run.

    Containers (`model`, `state_dict`, Caffe2's `blobs`, …) are opened; optimiser states, counters and momenta
    stay behind, and so do the prefixes of wrappers (`module.`). Tensors of `.pth` and `.safetensors` files are
    mapped from the file where possible: copy them before the file may change.

    Raises:
        CheckpointError: the file is missing, of no known kind, damaged, or tries anything but holding numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file.")
    try:
        content = _reader(path)(path)
        tensors = _tensors(content)
    except Exception as error:  # a hostile file may fail in any way, and all of them mean the same to the caller
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"{path.name} is no checkpoint that can be used: it {reason[0] if reason else 'is damaged'}. "
            "Nothing was loaded."
        ) from None
    return tensors


def _reader(path: Path) -> Callable[[Path], Any]:
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(_ZIP_START):
        return _read_torch_zip
    if start.startswith(_TORCH_LEGACY_START):
        return _read_torch_legacy
    if start[8:9] == b"{":
        return _read_safetensors
    if start.startswith(b"\x80") or path.suffix == ".pkl":
        return _read_pkl
    if start.lstrip().startswith(b"<"):
        raise CheckpointError("is a web page: its link asks for a login or has moved")
    if not start:
        raise CheckpointError("is empty")
    raise CheckpointError("is neither safetensors, nor PyTorch's .pth, nor detectron2's .pkl")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
        if rest := said.get(CONTINUED):
            beside = path.with_name(Path(rest).name)
            if beside == path or not beside.is_file():
                raise CheckpointError(f"goes on in {Path(rest).name[:80]}, which is not beside it")
            if said.get(CONTINUED_SHA256, sha256_of(beside)) != sha256_of(beside):
                raise CheckpointError(f"goes on in {beside.name[:80]}, but the file of that name is another one")
            stored |= load_file(beside)
    except SafetensorError as error:
        raise CheckpointError(f"is damaged ({error})") from None
    return _opened(stored)


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


def _read_torch_zip(path: Path) -> Any:
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            pickles = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise CheckpointError("is compressed, as torch.save never does: it may be a zip bomb")
            if sum(member.file_size for member in members) > size:
                raise CheckpointError("declares more data than it holds: it may be a zip bomb")
            if len(pickles) != 1:
                raise CheckpointError("is a zip archive, but none that torch.save writes")
            with archive.open(pickles[0]) as stream:
                inspect_torch_pickle(io.BytesIO(stream.read()), size)
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"is damaged ({error})") from None
    return _torch_load(path, mapped=True)


def _read_torch_legacy(path: Path) -> Any:
    with _mapped(path) as stream:
        for _ in range(_LEGACY_HEAD_PICKLES + 2):
            inspect_torch_pickle(stream, path.stat().st_size)
    return _torch_load(path, mapped=False)


def _torch_load(path: Path, *, mapped: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        raise CheckpointError(f"is damaged ({type(error).__name__} while PyTorch read it)") from error


def _read_pkl(path: Path) -> Any:
    with _mapped(path) as stream:
        return read_pickle(stream)


def _mapped(path: Path) -> IO[bytes]:
    """The file as a stream whose `read(n)` allocates no more than there is."""
    with path.open("rb") as file:
        stream: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return stream  # type: ignore[no-any-return]


def _tensors(content: Any, depth: int = 0) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"holds a {type(content).__name__} where tensors by name were expected")
    for key in _CONTAINERS:
        if isinstance(content.get(key), Mapping) and depth < _MAX_NESTING:
            return _tensors(content[key], depth + 1)
    tensors = {
        name: _as_tensor(name, value)
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, (Tensor, np.ndarray)) and not name.endswith("_momentum")
    }
    if not tensors:
        raise CheckpointError("holds no tensors")
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors


def _as_tensor(name: str, value: Tensor | np.ndarray[Any, Any]) -> Tensor:
    tensor = torch.from_numpy(np.asarray(value, order="C")) if isinstance(value, np.ndarray) else value.detach()
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
        raise CheckpointError(f"holds {name[:80]} as something else than a plain tensor")
    return tensor
