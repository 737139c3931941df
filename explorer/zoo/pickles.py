"""Pickles of checkpoints: NumPy arrays and plain containers read, PyTorch's inspected; no code is ever run."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from explorer.zoo.pickle_machine import Machine, PickleError, StandIn, check_keys

__all__ = ["PickleError", "inspect_torch_pickle", "read_pickle"]


class _Array(StandIn):
    """Stands for a NumPy array: created empty, filled by its state."""

    def __init__(self) -> None:
        self.value: npt.NDArray[Any] = np.zeros(0)

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


_MOST_DIMENSIONS, _MOST_BITS = 32, 63  # of NumPy 1, which wrote most of these files
_DTYPE_CODES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


def _as_array(raw: Any, dtype: _DType, shape: Any, order: str) -> npt.NDArray[Any]:
    if isinstance(raw, str):  # Python 2 wrote bytes as text
        raw = raw.encode("latin-1")
    sizes = tuple(shape[: _MOST_DIMENSIONS + 1]) if isinstance(shape, (tuple, list)) else (shape,)
    if not isinstance(raw, (bytes, bytearray)) or not all(isinstance(n, int) and n >= 0 for n in sizes):
        raise PickleError("holds an array that is not plain numbers")
    if len(sizes) > _MOST_DIMENSIONS or any(n.bit_length() > _MOST_BITS for n in sizes):  # their product takes minutes
        raise PickleError("declares an array of more dimensions, or longer ones, than arrays have")
    expected = prod(sizes) * dtype.value.itemsize
    if len(raw) != expected:
        raise PickleError(f"declares an array of shape {sizes}, {expected:,} bytes, but holds {len(raw):,}")
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


NUMPY_NAMES: Mapping[str, Any] = {
    "collections.OrderedDict": _ordered,
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
}
"""What detectron2's `.pkl` files may name, in the spelling of NumPy 1 and 2, and what is called instead."""


class _Opaque(StandIn):
    """Stands for a tensor or storage of PyTorch, which only PyTorch will build."""

    def __init__(self, *_: Any) -> None: ...


# fmt: off
_TORCH_DTYPES = (
    "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool",
)
_TORCH_STORAGES = ("Float", "Half", "BFloat16", "Double", "Byte", "Char", "Short", "Int", "Long", "Bool")
# fmt: on
TORCH_NAMES: Mapping[str, Any] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "_codecs.encode": _encode,
    **{f"torch._utils._rebuild_{kind}": _Opaque for kind in ("tensor", "tensor_v2", "parameter")},
    **{f"torch.{where}{kind}Storage": _Opaque for where in ("", "cuda.") for kind in _TORCH_STORAGES},
    **{f"torch.{name}": _Opaque for name in ("Size", "device", *_TORCH_DTYPES)},
    "torch.storage.UntypedStorage": _Opaque,
}
"""What a checkpoint of PyTorch may name: fewer names than `weights_only=True` admits."""


def read_pickle(stream: IO[bytes]) -> Any:
    """Reads a pickle of NumPy arrays and plain containers; arrays come as `np.ndarray`.

    Raises:
        PickleError: it is damaged or names anything else.
    """
    return _unwrap(Machine(NUMPY_NAMES).run(stream))


def inspect_torch_pickle(stream: IO[bytes], file_size: int) -> None:
    """Checks one pickle of a PyTorch file without building anything, before PyTorch reads it.

    PyTorch's own `weights_only=True` keeps code from running, but a declared storage of any size is allocated,
    `bytearray` may be called with any length, and deeply nested keys overflow the stack.

    Raises:
        PickleError: it is damaged, names anything else than tensors and plain containers, or declares a storage
            larger than the file.
    """

    def storage(identity: Any) -> _Opaque:
        _, _, _, _, length, *_ = identity
        if not isinstance(length, int) or not 0 <= length <= file_size:
            raise PickleError(f"declares a storage of {length} numbers, more than the file holds")
        return _Opaque()

    Machine(TORCH_NAMES, storage).run(stream)


def _unwrap(value: Any, depth: int = 0) -> Any:
    """Replaces the stand-ins in dictionaries; arrays elsewhere are no weights and stay behind."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict) and depth < 4:
        return {key: _unwrap(item, depth + 1) for key, item in value.items()}
    return value
