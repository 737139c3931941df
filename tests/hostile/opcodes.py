"""Pickles written opcode by opcode, and the containers they come in."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

LEGACY_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_LEGACY_HEAD = (LEGACY_MAGIC, pickle.dumps(1001, protocol=2), pickle.dumps({"little_endian": True}, protocol=2))


def value(content: object) -> bytes:
    """Opcodes that push a plain value."""
    return pickle.dumps(content, protocol=2)[2:-1]


def name(module: str, function: str) -> bytes:
    """Opcodes that push what is found under a name."""
    return f"c{module}\n{function}\n".encode()


def call(module: str, function: str, *arguments: object) -> bytes:
    """Opcodes that call a function by its name with plain values; bytes are opcodes already."""
    pushed = b"".join(one if isinstance(one, bytes) else value(one) for one in arguments)
    return name(module, function) + b"(" + pushed + b"tR"


def state(opcodes: bytes) -> bytes:
    """A pickled dictionary whose one value is what the opcodes push."""
    return b"\x80\x02}" + value("w") + opcodes + b"s."


def tensor(
    storage: str = "0",
    count: object = 6,
    *,
    offset: object = 0,
    size: object = (2, 3),
    stride: object = (3, 1),
    kind: str = "FloatStorage",
    rest: Sequence[object] = (False, {}),
) -> bytes:
    """Opcodes that push a tensor as `torch.save` writes it."""
    identity = b"(" + value("storage") + name("torch", kind) + value(storage) + value("cpu") + value(count) + b"tQ"
    return call("torch._utils", "_rebuild_tensor_v2", identity, offset, size, stride, *rest)


@dataclass(frozen=True)
class Member:
    """A member of a zip archive, and where its own header lies; `None` is what the directory says."""

    name: str
    data: bytes
    local_name: str | None = None
    local_size: int | None = None
    directory_size: int | None = None
    method: int = 0
    local_method: int | None = None
    flags: int = 0
    local_flags: int | None = None
    behind: bytes = b""
    extra: bytes = b""
    crc: int | None = None
    moved: int = 0


def zipped(
    members: Sequence[Member],
    *,
    front: bytes = b"",
    between: bytes = b"",
    inner: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    start: int | None = None,
    wide: tuple[int, int, int] | None = None,
) -> bytes:
    """A zip archive with as many lies as wanted.

    Args:
        members: in their order.
        front: bytes in front of all.
        between: bytes in front of the directory.
        inner: bytes between the directory and the end's record.
        comment: of the archive.
        count: of entries, as the end's record says.
        start: of the directory, as the end's record says.
        wide: count, length and start of the directory as a zip64 record says; zeros stand for what is true.
    """
    body, directory = front, b""
    for one in members:
        crc = zlib.crc32(one.data) if one.crc is None else one.crc
        size = len(one.data) if one.directory_size is None else one.directory_size
        own_name = (one.name if one.local_name is None else one.local_name).encode()
        own_size = size if one.local_size is None else one.local_size
        own_method = one.method if one.local_method is None else one.local_method
        own_flags = one.flags if one.local_flags is None else one.local_flags
        header = len(body) + one.moved
        sizes = (crc, own_size, own_size, len(own_name), 0)
        body += struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, own_flags, own_method, 0, 0, *sizes) + own_name
        body += one.data + one.behind
        entry = (
            20,
            20,
            one.flags,
            one.method,
            0,
            0,
            crc,
            size,
            size,
            len(one.name.encode()),
            len(one.extra),
            0,
            0,
            0,
            0,
        )
        directory += struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *entry, header) + one.name.encode() + one.extra
    body += between
    at = len(body)
    body += directory + inner
    if wide is not None:
        record = len(body)
        told = [given or true for given, true in zip(wide, (len(members), len(directory), at), strict=True)]
        body += struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, told[0], *told)
        body += struct.pack("<4sIQI", b"PK\x06\x07", 0, record, 1)
    told_count, told_start = len(members) if count is None else count, at if start is None else start
    numbers = (told_count, told_count, len(directory), told_start, len(comment))
    return body + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, *numbers) + comment


NUMBERS = struct.pack("<6f", *range(6))


def torch_members(pickled: bytes, storages: Mapping[str, bytes] | None = None) -> list[Member]:
    """The members of an archive of `torch.save`."""
    held = {"0": NUMBERS} if storages is None else storages
    data = [Member(f"x/data/{key}", content) for key, content in held.items()]
    return [Member("x/data.pkl", pickled), Member("x/byteorder", b"little"), *data, Member("x/version", b"3\n")]


def torch_zip(pickled: bytes, storages: Mapping[str, bytes] | None = None) -> bytes:
    """A pickle inside of an archive of `torch.save`."""
    return zipped(torch_members(pickled, storages))


def torch_legacy(pickled: bytes, storages: Mapping[str, bytes] | None = None, *, names: bytes | None = None) -> bytes:
    """A pickle inside of PyTorch's earlier format; storages are of floats."""
    held = {} if storages is None else storages
    listed = pickle.dumps(list(held), protocol=2) if names is None else names
    numbers = b"".join(struct.pack("<q", len(content) // 4) + content for content in held.values())
    return b"".join(_LEGACY_HEAD) + pickled + listed + numbers


def saved(content: object, *, legacy: bool = False) -> bytes:
    """What `torch.save` writes."""
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()
