"""Safetensors files whose heads lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

import torch
from safetensors.torch import save

from tests.hostile.attacks import Attack, cut

_NUMBERS = struct.pack("<2f", 1, 2)
_ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
_PLACE = "where w lies, or its shape"


def built(head: object, data: bytes = _NUMBERS, *, length: int | None = None) -> bytes:
    """A safetensors file; a head that is text or bytes is taken as it is."""
    text = head if isinstance(head, bytes) else (head if isinstance(head, str) else json.dumps(head)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _changed(**fields: object) -> bytes:
    return built({"w": _ONE | fields})


_HEADS = {
    "a head of 4 GB": (built({"w": _ONE}, length=2**32), "declares a head of 4,294,967,296 bytes"),
    "a head of 2^63 bytes": (built({"w": _ONE}, length=2**63), "declares a head"),
    "a head of 100 MB": (built({"w": _ONE}, length=10**8), "declares a head"),
    "a head of no bytes": (built({"w": _ONE}, length=0)[:8] + b"{}" + _NUMBERS, "declares a head of 0"),
    "a head that ends early": (built({"w": _ONE}, length=9), "is damaged"),
    "a head that is a list": (built('{"w": [1]}'), "what its head says of w"),
    "a head of text": (built('{"w": "x"}'), "what its head says of w"),
    "a head with a trailing comma": (built('{"w": 1,}'), "is damaged"),
    "a head in another encoding": (built('{"w": 1}'.encode("utf-16-le")), "is damaged"),
    "a head that is no text": (built(b'{"\xff": 1}'), "is damaged"),
    "a head 100,000 levels deep": (built('{"w":' * 100_000 + "1" + "}" * 100_000), "is damaged"),
    "a tensor twice": (built('{"w": %s, "w": %s}' % ((json.dumps(_ONE),) * 2)), "twice, and programs disagree"),
    "a tensor twice, once in escapes": (
        built('{"w": %s, "\\u0077": %s}' % ((json.dumps(_ONE),) * 2)),
        "twice, and programs",
    ),
    "a shape twice": (
        built('{"w": {"dtype": "F32", "shape": [2], "shape": [1], "data_offsets": [0, 8]}}'),
        "twice, and programs disagree",
    ),
    "metadata twice": (
        built('{"__metadata__": {"a": "b"}, "__metadata__": {}}'),
        "twice, and programs",
    ),
    "metadata that are numbers": (built({"__metadata__": {"a": 1}, "w": _ONE}), "metadata do not map"),
    "metadata that are a list": (built({"__metadata__": ["a"], "w": _ONE}), "metadata do not map"),
    "a field more": (_changed(code="import os"), "what its head says of w"),
    "a field less": (built({"w": {"dtype": "F32", "shape": [2]}}), "what its head says of w"),
    "three offsets": (_changed(data_offsets=[0, 4, 8]), "what its head says of w"),
    "offsets that are fractions": (_changed(data_offsets=[0.0, 8.0]), _PLACE),
    "offsets that are flags": (_changed(data_offsets=[False, True]), _PLACE),
    "offsets that are not a number": (built('{"w": {"dtype": "F32", "shape": [2], "data_offsets": [NaN, 8]}}'), _PLACE),
    "negative offsets": (_changed(data_offsets=[-8, 0]), _PLACE),
    "offsets outside": (_changed(data_offsets=[0, 10**12]), _PLACE),
    "offsets of 10^5000": (
        built('{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1%s]}}' % ("0" * 5000)),
        "damaged",
    ),
    "offsets the wrong way round": (_changed(data_offsets=[8, 0]), _PLACE),
    "offsets into the head": (_changed(data_offsets=[2**64 - 8, 0]), _PLACE),
    "overlapping tensors": (built({"w": _ONE, "x": _ONE}), "where x lies, or its shape"),
    "tensors that overlap by half": (
        built({"w": _ONE, "x": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, _NUMBERS * 2),
        "where x lies, or its shape",
    ),
    "a gap in front": (built({"w": _ONE | {"data_offsets": [8, 16]}}, _NUMBERS * 2), _PLACE),
    "data of no tensor": (built({"w": _ONE}, _NUMBERS + b"PK\x03\x04"), "belong to no tensor"),
    "data that are not there": (built({"w": _ONE}, b""), "more than it holds"),
    "a shape of 10^12": (_changed(shape=[10**12]), _PLACE),
    "a shape whose product wraps around": (_changed(shape=[2**32, 2**32, 2]), _PLACE),
    "an empty shape whose product wraps around": (_changed(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), _PLACE),
    "a negative shape": (_changed(shape=[-2]), _PLACE),
    "a shape of 100 dimensions": (_changed(shape=[2, *[1] * 99]), _PLACE),
    "a shape that is text": (_changed(shape="2"), "what its head says of w"),
    "a type of another width": (_changed(dtype="F64"), _PLACE),
    "an unknown type": (_changed(dtype="F4_X"), "something else than a plain tensor"),
    "complex numbers": (_changed(dtype="C64", shape=[1]), "something else than a plain tensor"),
    "no tensors": (built({}, b""), "holds no tensors"),
    "a name with terminal codes": (built({"w\x1b[2J": _ONE}), "cannot be printed"),
    "scales without their bytes": (built({"w.byte_scale": _ONE}), "scales of w that do not belong"),
}


def attacks() -> Iterator[Attack]:
    for title, (content, says) in _HEADS.items():
        yield Attack(f"{title} of a .safetensors", "checkpoint", {"x.safetensors": content}, says)
    for title, beside, says in _continued():
        head = {"__metadata__": {"continued_in": beside}, "v": _ONE}
        files: dict[str, bytes | str] = {"x.safetensors": built(head), "y.safetensors": built({"v": _ONE})}
        yield Attack(title, "checkpoint", files | {"z.safetensors": "/dev/zero"}, says)
    whole = save({"w": torch.arange(6.0), "b": torch.zeros(2, 3)})
    for title, content in cut(".safetensors", whole):
        yield Attack(
            title, "checkpoint", {"x.safetensors": content}, "is empty|is damaged|is neither|more than it holds"
        )


def _continued() -> Iterator[tuple[str, str, str]]:
    yield "a file that goes on in itself", "x.safetensors", "which is not beside it"
    yield "a file that goes on elsewhere", "/etc/passwd", "goes on in passwd, which is not beside it"
    yield (
        "a file that goes on above",
        "../../secret.safetensors",
        "goes on in secret.safetensors, which is not beside it",
    )
    yield "a file that goes on in a device", "z.safetensors", "which is not beside it"
    yield "a file whose rest has the same tensor", "y.safetensors", "both hold v"
