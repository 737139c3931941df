"""Pickles of checkpoints: NumPy arrays, tensors of PyTorch and plain containers; no code is ever run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.types import Array
from explorer.zoo.checkpoints.pickle_machine import Machine, PickleError, StandIn, Stream, check_keys
from explorer.zoo.checkpoints.tensors import Storage, is_shape, strided

__all__ = ["PickleError", "StorageReader", "read_pickle"]

StorageReader = Callable[[torch.dtype, str, int], Storage]
"""Gives the storage of a name, with so many numbers of a type."""


class _Array(StandIn):
    """Stands for a NumPy array: created empty, filled by its state."""

    def __init__(self) -> None:
        self.value: Array = np.zeros(0)

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = _as_array(raw, dtype, shape, "F" if fortran else "C")


class _DType(StandIn):
    """Stands for a NumPy dtype of plain numbers."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in _DTYPE_CODES:
            raise PickleError(f"holds an array of type {str(code)[:20]!r}; only plain numbers are read")
        self.value = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Opaque(StandIn):
    """Stands for what checkpoints hold besides tensors and is of no use here: shapes, devices, settings, logs."""

    def __init__(self, *_: Any) -> None: ...


class _AttributeDict(dict[Any, Any]):
    """Stands for dictionaries with attributes: it begins empty, and what is set is checked."""

    def __init__(self, *_: Any) -> None:
        super().__init__()


_DTYPE_CODES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


def _as_array(raw: Any, dtype: _DType, shape: Any, order: str) -> Array:
    if isinstance(raw, str):  # Python 2 wrote bytes as text
        raw = raw.encode("latin-1")
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    if not isinstance(raw, (bytes, bytearray)):
        raise PickleError("holds an array that is not plain numbers")
    if not is_shape(sizes):
        raise PickleError("declares an array of more dimensions, or longer ones, than arrays have")
    expected = prod(sizes) * dtype.value.itemsize
    if len(raw) != expected:
        raise PickleError(f"declares an array of shape {tuple(sizes)}, {expected:,} bytes, but holds {len(raw):,}")
    array = np.frombuffer(raw, dtype.value).reshape(sizes, order="F" if order == "F" else "C")
    return array.astype(dtype.value.newbyteorder("="), copy=True)


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _Array:
        raise PickleError("holds an array of an unknown class")
    return _Array()


def _scalar(dtype: _DType, raw: Any) -> Any:
    return _as_array(raw, dtype, (), "C")[()]


def _from_buffer(raw: Any, dtype: _DType, shape: Any, order: str) -> _Array:
    array = _Array()
    array.value = _as_array(raw, dtype, shape, order)
    return array


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise PickleError(f"encodes bytes as {str(encoding)[:20]!r}")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""  # how protocols 0 to 2 spell it


def _ordered(items: Any = ()) -> dict[Any, Any]:
    return dict(check_keys(items.items() if isinstance(items, dict) else items))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise PickleError("holds a tensor without a storage")
    metadata = rest[2] if len(rest) > 2 else None
    if metadata is not None and metadata != {}:  # its numbers are to be conjugated or negated
        raise PickleError("holds a tensor that is not plain numbers")
    return strided(storage, offset, size, stride)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise PickleError("holds a parameter that is not a tensor")
    return tensor


_STORAGES = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Byte": torch.uint8,
    "Char": torch.int8,
    "Short": torch.int16,
    "Int": torch.int32,
    "Long": torch.int64,
    "Bool": torch.bool,
}
NAMES: Mapping[str, Any] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    **{
        f"{module}.{name}": stand_in
        for module in ("numpy.core", "numpy._core")
        for name, stand_in in (
            ("multiarray._reconstruct", _reconstruct),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    **{f"torch.{where}{kind}Storage": dtype for where in ("", "cuda.") for kind, dtype in _STORAGES.items()},
    "torch.storage.UntypedStorage": torch.uint8,
    **{str(dtype): dtype for dtype in _STORAGES.values()},
    **dict.fromkeys(
        (
            "torch.Size",
            "torch.device",
            "argparse.Namespace",
            "pathlib.PosixPath",
            "mmengine.logging.history_buffer.HistoryBuffer",
        ),
        _Opaque,
    ),
    **dict.fromkeys(
        (
            "lightning.fabric.utilities.data.AttributeDict",
            "lightning.pytorch.utilities.parsing.AttributeDict",
            "lightning_fabric.utilities.data.AttributeDict",
            "pytorch_lightning.utilities.parsing.AttributeDict",
        ),
        _AttributeDict,
    ),
}
"""What a checkpoint may name, in the spelling of NumPy 1 and 2 and of PyTorch, and what is used instead.

Beside NumPy's and PyTorch's own, those of what Lightning and MMEngine store beside tensors, which stay empty or become
plain dictionaries. PyTorch's `weights_only=True` admits other names, whose `bytearray` may be of any length.
"""


def read_pickle(stream: Stream, size: int, storages: StorageReader | None = None) -> Any:
    """Reads a pickle of arrays, tensors and plain containers; arrays come as `np.ndarray`.

    Args:
        stream: left behind the pickle's last byte.
        size: bytes of the file; nothing that is made is larger.
        storages: where PyTorch keeps numbers outside of the pickle; None refuses tensors.

    Raises:
        PickleError: it is damaged or names anything else.
    """

    def storage(identity: Any) -> Storage:
        match identity:
            case ("storage", torch.dtype() as dtype, str(name), _, int(count), *view) if view in ([], [None]):
                pass
            case _:
                raise PickleError("refers to data outside of itself, as no tensor does")
        if storages is None:
            raise PickleError("holds tensors of PyTorch outside of PyTorch's formats")
        if not 0 <= count <= size:
            raise PickleError(f"declares a storage of {count} numbers, more than the file holds")
        return storages(dtype, name, count)

    return _unwrap(Machine(NAMES, storage, size).run(stream))


def _unwrap(value: Any, depth: int = 0) -> Any:
    """Replaces the stand-ins in dictionaries; arrays elsewhere are no weights and stay behind."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict) and depth < 4:
        return {key: _unwrap(item, depth + 1) for key, item in value.items()}
    return value
