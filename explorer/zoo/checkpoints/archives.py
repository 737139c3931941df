"""The zip archives that `torch.save` writes: one way to read them, or none.

A zip archive can be written so that two programs find different files in it: by a second directory, by data in front or
behind, by names that differ in case, by headers that contradict the directory. Only an archive without any of these is
read: its members lie one behind the other from the first byte, stored as they are, and one directory ends the file.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explorer.zoo.checkpoints.tensors import FormatError

_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_DESCRIPTOR = b"PK\x07\x08"
_DESCRIPTOR_SIZES = (16, 24)  # with sizes of 32 and of 64 bits
_DESCRIBED, _UTF_8 = 1 << 3, 1 << 11  # flags of an entry
_IN_EXTRA, _IN_EXTRA_16 = 0xFFFFFFFF, 0xFFFF  # the number stands in a zip64 record
_ZIP64 = 1


@dataclass(frozen=True)
class _Entry:
    """What the directory says of one member."""

    name: bytes
    flags: int
    crc: int
    size: int
    header: int


def torch_members(content: mmap.mmap) -> dict[str, slice]:
    """Finds the members of an archive of `torch.save`.

    Args:
        content: the whole file.

    Returns:
        Where each member lies in `content`, by its name without the archive's folder: `data.pkl`, `data/0`, ….

    Raises:
        FormatError: the archive could be read in another way too, is damaged, or is none of PyTorch's.
    """
    try:
        start, entries = _directory(content)
        members = dict(_members(content, start, entries))
    except (struct.error, UnicodeDecodeError) as error:
        raise FormatError(f"is damaged (a header of the zip archive: {error})") from None
    if "data.pkl" not in members:
        raise FormatError("is a zip archive, but none that torch.save writes")
    return members


def _directory(content: mmap.mmap) -> tuple[int, list[_Entry]]:
    """Reads the directory that ends the file; returns where it starts, and its entries."""
    end = len(content) - _END.size
    signature, disk, first_disk, here, count, length, start, comment = _unpack(_END, content, end)
    if signature != b"PK\x05\x06":
        raise FormatError("is damaged, or has data after its end")
    if comment or disk or first_disk or here != count:
        raise FormatError("is a zip archive with a comment or of several parts, as torch.save never writes")
    if content[max(end - _LOCATOR_64.size, 0) : end].startswith(b"PK\x06\x07"):
        end, wide = _end_64(content, end - _LOCATOR_64.size)
        narrow = (count, length, start)
        if any(n not in (w, limit) for n, w, limit in zip(narrow, wide, (_IN_EXTRA_16, *[_IN_EXTRA] * 2), strict=True)):
            raise FormatError("has two directories, or one that contradicts itself")
        count, length, start = wide
    if start + length != end:
        raise FormatError("has two directories, or data in front of it or between its parts")
    entries, at = [], start
    for _ in range(count):
        entry, at = _entry(content, at, end)
        entries.append(entry)
    if at != end:
        raise FormatError("has a directory of another length than it says")
    return start, entries


def _end_64(content: mmap.mmap, locator: int) -> tuple[int, tuple[int, int, int]]:
    """Returns where the wide end record lies, and the directory's count of entries, its length and its start."""
    _, disk, at, disks = _unpack(_LOCATOR_64, content, locator)
    signature, size, _, _, this_disk, first_disk, here, count, length, start = _unpack(_END_64, content, at)
    if (signature, size, at + _END_64.size) != (b"PK\x06\x06", _END_64.size - 12, locator):
        raise FormatError("has two directories, or data between its parts")
    if disk or disks > 1 or this_disk or first_disk or here != count:
        raise FormatError("is a zip archive of several parts, as torch.save never writes")
    return at, (count, length, start)


def _entry(content: mmap.mmap, at: int, end: int) -> tuple[_Entry, int]:
    fields = _unpack(_ENTRY, content, at)
    signature, flags, method, crc = fields[0], fields[3], fields[4], fields[7]
    packed, size, name_length, extra_length, comment_length = fields[8:13]
    disk, header = fields[13], fields[16]
    at += _ENTRY.size
    name, extra = content[at : at + name_length], content[at + name_length : at + name_length + extra_length]
    at += name_length + extra_length
    if signature != b"PK\x01\x02" or at > end:
        raise FormatError("has a directory of another length than it says")
    if method:
        raise FormatError("is compressed, as torch.save never does: it may be a zip bomb")
    size, packed, header = _widened((size, packed, header), extra)
    if comment_length or disk or flags & ~(_DESCRIBED | _UTF_8) or packed != size:
        raise FormatError("has a member that torch.save never writes")
    return _Entry(name, flags, crc, size, header), at


def _widened(numbers: tuple[int, ...], extra: bytes) -> Iterator[int]:
    """Takes what does not fit 32 bits from the zip64 field among an entry's extra fields."""
    wide = b""
    while extra:
        kind, length = struct.unpack_from("<2H", extra)
        wide += extra[4 : 4 + length] if kind == _ZIP64 else b""
        extra = extra[4 + length :]
    for number in numbers:
        if number == _IN_EXTRA:
            (number,), wide = struct.unpack_from("<Q", wide), wide[8:]
        yield number
    if wide:
        raise FormatError("has a member of two sizes, or in two places")


def _members(content: mmap.mmap, directory: int, entries: list[_Entry]) -> Iterator[tuple[str, slice]]:
    """Follows the members from the first byte to the directory; each must be what its entry says, and alone."""
    at, root, known = 0, None, set()
    for entry, following in zip(entries, [*(e.header for e in entries[1:]), directory], strict=True):
        if entry.header != at:
            raise FormatError("has data in front of it, between its members, or two members in one place")
        data = _data_start(content, entry)
        at = data + entry.size
        if at > following:
            raise FormatError("has members that overlap, or declares more data than it holds: it may be a zip bomb")
        if entry.flags & _DESCRIBED and following - at in _DESCRIPTOR_SIZES and content[at : at + 4] == _DESCRIPTOR:
            at = following
        folder, _, name = entry.name.decode().partition("/")
        if root not in (None, folder) or not name or not entry.name.decode().isprintable():
            raise FormatError("is a zip archive, but none that torch.save writes")
        if name.casefold() in known:
            raise FormatError(f"has two members of one name: {name[:80]}")
        if name == "data.pkl" and zlib.crc32(content[data : data + entry.size]) != entry.crc:
            raise FormatError("is damaged (the checksum of data.pkl)")
        root = folder
        known.add(name.casefold())
        yield name, slice(data, data + entry.size)
    if at != directory:
        raise FormatError("has data between its members and its directory")


def _data_start(content: mmap.mmap, entry: _Entry) -> int:
    """Returns where a member's data start, after a header that must agree with the directory."""
    fields = _unpack(_LOCAL, content, entry.header)
    signature, flags, method, packed, size = fields[0], fields[2], fields[3], fields[7], fields[8]
    name = entry.header + _LOCAL.size
    extra = name + int(fields[9])
    says = (signature, flags, method, content[name:extra])
    allowed = {entry.size, _IN_EXTRA} | ({0} if entry.flags & _DESCRIBED else set())
    if says != (b"PK\x03\x04", entry.flags, 0, entry.name) or not {packed, size} <= allowed:
        raise FormatError("has a member whose own header contradicts the directory")
    return extra + int(fields[10])


def _unpack(form: struct.Struct, content: mmap.mmap, at: int) -> tuple[Any, ...]:
    return form.unpack(content[at : at + form.size]) if at >= 0 else form.unpack(b"")
