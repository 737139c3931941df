"""Zip archives that two readers take for different files, that lie about themselves, or that are something else."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import torch

from tests.hostile.attacks import Attack, cut
from tests.hostile.opcodes import NUMBERS, Member, call, saved, state, tensor, torch_members, torch_zip, zipped

_SOUND = state(tensor())
_HOSTILE = state(call("os", "system", "touch RAN"))
_MEMBERS = torch_members(_SOUND)
_PICKLE, _ORDER, _DATA, _VERSION = _MEMBERS
_GOOD = zipped(_MEMBERS)
_EVIL = torch_zip(_HOSTILE)
_CONTRADICTS, _TWICE = "contradicts the directory", "has two members of one name"
_IN_FRONT, _GAP, _DIRECTORIES = "data in front of it, between", "data between its members", "two directories"


def _with(*members: Member, instead_of: Member = _PICKLE) -> bytes:
    return zipped([one for own in _MEMBERS for one in (members if own is instead_of else (own,))])


def _compressed(method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for one in [*_MEMBERS, Member("x/data/1", bytes(3_000_000))]:
            archive.writestr(one.name, one.data)
    return stream.getvalue()


def _twins(hostile: bytes) -> bytes:
    """Two archives of one layout: Python's zipfile finds the second one's pickle, PyTorch's reader the first one's."""
    missing = len(hostile) - len(_SOUND)
    spare = b"K\x010" * (missing % 2) + b"N0" * ((missing - 3 * (missing % 2)) // 2)  # pushed and popped again
    sound = _SOUND[:2] + spare + _SOUND[2:]
    assert len(sound) == len(hostile)
    return torch_zip(hostile) + torch_zip(sound)


_SEEN_BY_TORCH = {
    "a call": state(call("os", "system", "touch RAN;" * 40)),
    "tuples nested as a key": b"\x80\x02})" + b"\x85" * 600_000 + b"K\x01s.",
    "a bytearray of 48 GB": state(call("__builtin__", "bytearray", 48_000_000_000)) + bytes(200),
    "a storage of 4 TB": state(tensor(count=10**12)) + bytes(20),
}
_STRUCTURE = {
    "one archive behind another": (_EVIL + _GOOD, _DIRECTORIES),
    "one archive behind another, with offsets that count from the start": (zipped(_MEMBERS, front=_EVIL), _IN_FRONT),
    **{f"{what} seen by PyTorch alone": (_twins(hostile), _DIRECTORIES) for what, hostile in _SEEN_BY_TORCH.items()},
    "tuples nested as a key in DATA.PKL": (
        _with(Member("x/DATA.PKL", _SEEN_BY_TORCH["tuples nested as a key"]), _PICKLE),
        _TWICE,
    ),
    "an archive in front of the directory": (zipped(_MEMBERS, between=_EVIL), "between its members and its directory"),
    "an archive behind the directory": (zipped(_MEMBERS, inner=_EVIL), _DIRECTORIES),
    "an archive as the comment": (zipped(_MEMBERS, comment=_EVIL), _DIRECTORIES),
    "an archive behind the end": (_GOOD + _EVIL[:-22] + bytes(22), "after its end"),
    "a comment": (zipped(_MEMBERS, comment=b"PK\x05\x06" + bytes(18)), _DIRECTORIES),
    "an archive as a member's descriptor": (
        _with(replace(_PICKLE, flags=8, behind=_EVIL)),
        "data in front of it, between",
    ),
    "DATA.PKL beside data.pkl": (_with(Member("x/DATA.PKL", _HOSTILE), _PICKLE), _TWICE),
    "data.pkl twice": (_with(Member("x/data.pkl", _HOSTILE), _PICKLE), _TWICE),
    "a storage twice": (_with(_DATA, _DATA, instead_of=_DATA), _TWICE),
    "two folders with a data.pkl each": (_with(_PICKLE, Member("y/data.pkl", _HOSTILE)), "none that torch.save writes"),
    "no folder": (_with(Member("data.pkl", _SOUND)), "none that torch.save writes"),
    "an absolute name": (_with(_PICKLE, Member("/etc/passwd", b"x")), "none that torch.save writes"),
    "a name with a zero byte": (_with(_PICKLE, Member("x/data.pkl\0y", _HOSTILE)), "none that torch.save writes"),
    "a folder as a member": (_with(_PICKLE, Member("x/", b"")), "none that torch.save writes"),
    "no data.pkl": (_with(), "none that torch.save writes"),
    "another name in the member's header": (_with(replace(_PICKLE, local_name="x/date.pkl")), _CONTRADICTS),
    "a shorter member in its header": (_with(replace(_PICKLE, local_size=7)), _CONTRADICTS),
    "another method in the member's header": (_with(replace(_PICKLE, local_method=8)), _CONTRADICTS),
    "other flags in the member's header": (_with(replace(_PICKLE, local_flags=8)), _CONTRADICTS),
    "an encrypted member": (_with(replace(_PICKLE, flags=1)), "member that torch.save never writes"),
    "a member by an unknown method": (_with(replace(_PICKLE, method=99)), "compressed"),
    "a gap behind a member": (_with(replace(_PICKLE, behind=b"gap")), _IN_FRONT),
    "a gap in front": (zipped(_MEMBERS, front=b"PK\x03\x04"), _IN_FRONT),
    "a member that starts elsewhere": (_with(replace(_DATA, moved=1), instead_of=_DATA), "in front of it|overlap"),
    "a member longer than the file": (_with(replace(_DATA, directory_size=10**9), instead_of=_DATA), "overlap"),
    "a member of another checksum": (_with(replace(_PICKLE, crc=1)), "checksum of data.pkl"),
    "a storage that is not there": (_with(instead_of=_DATA), "storage of 6 numbers that it does not hold"),
    "a storage that is longer": (
        _with(replace(_DATA, data=NUMBERS * 2), instead_of=_DATA),
        "storage of 6 numbers that",
    ),
    "a storage that is shorter": (
        _with(replace(_DATA, data=NUMBERS[4:]), instead_of=_DATA),
        "storage of 6 numbers that",
    ),
    "another byte order": (_with(replace(_ORDER, data=b"big"), instead_of=_ORDER), "another byte order"),
    "data behind the pickle": (_with(replace(_PICKLE, data=_SOUND + _HOSTILE)), "after its end"),
    "fewer entries than there are": (zipped(_MEMBERS, count=3), "another length"),
    "more entries than there are": (zipped(_MEMBERS, count=5), "another length|damaged"),
    "a directory that starts elsewhere": (zipped(_MEMBERS, start=7), _DIRECTORIES),
    "a wide record of another directory": (zipped(_MEMBERS, wide=(0, 0, 7)), "contradicts itself"),
    "a wide record with more entries": (zipped(_MEMBERS, wide=(9, 0, 0)), "contradicts itself"),
    "a wide record for 2^60 entries": (zipped(_MEMBERS, count=0xFFFF, wide=(2**60, 0, 0)), "another length|damaged"),
    "a wide field that is cut off": (_with(replace(_PICKLE, directory_size=0xFFFFFFFF)), "damaged"),
    "a wide field of 2^63 bytes": (
        _with(replace(_PICKLE, directory_size=0xFFFFFFFF, extra=struct.pack("<2H2Q", 1, 16, 2**63, 2**63))),
        "more data than it holds|contradicts",
    ),
    "a wide field that is not needed": (
        _with(replace(_DATA, extra=struct.pack("<2H2Q", 1, 16, 12, 12)), instead_of=_DATA),
        "of two sizes",
    ),
    "two wide fields": (
        _with(replace(_PICKLE, directory_size=0xFFFFFFFF, extra=struct.pack("<2H2Q", 1, 16, 24, 24) * 2)),
        "of two sizes",
    ),
    "deflate": (_compressed(zipfile.ZIP_DEFLATED), "is compressed"),
    "bzip2": (_compressed(zipfile.ZIP_BZIP2), "is compressed"),
    "lzma": (_compressed(zipfile.ZIP_LZMA), "is compressed"),
}

_ELSE = {
    "an empty file": (b"", "is empty"),
    "one byte": (b"P", "is neither"),
    "a signature alone": (b"PK\x03\x04", "is damaged"),
    "an archive's end alone": (b"PK\x05\x06" + bytes(18), "is neither"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "is neither"),
    "a web page": (b"<!DOCTYPE html><title>Sign in</title>", "is a web page"),
    "an executable": (b"\x7fELF\x02\x01\x01" + bytes(64), "is neither"),
    "a script": (b"#!/bin/sh\ntouch RAN\n", "is neither"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(64), "is neither"),
    "zeros": (bytes(4096), "is neither"),
    "a pickle called .safetensors": (_HOSTILE, r"asks for os\.system"),
}


def attacks() -> Iterator[Attack]:
    for title, (content, says) in _STRUCTURE.items():
        yield Attack(f"{title}, a .pth", "checkpoint", {"x.pth": content}, says)
    for title, (content, says) in _ELSE.items():
        for name in ("x.pth", "x.safetensors"):
            yield Attack(f"{title} called {name}", "checkpoint", {name: content}, says)
    yield Attack("a tar archive", "checkpoint", {"x.pth": _tar()}, "is neither")
    yield Attack("an archive of code", "checkpoint", {"x.pth": _scripted()}, "is compressed|asks for|torch.save")
    yield Attack("a link to itself", "checkpoint", {"x.pth": "x.pth"}, "no such file")
    yield Attack("a link to a device", "checkpoint", {"x.pth": "/dev/zero"}, "no such file")
    yield Attack("a link to a folder", "checkpoint", {"x.pth": "/etc"}, "no such file")
    for title, content in cut(".pth", saved({"model": {"w": torch.arange(6.0), "b": torch.zeros(2, 3)}})):
        yield Attack(title, "checkpoint", {"x.pth": content}, "is empty|is damaged")


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../RAN"), io.BytesIO())
    return stream.getvalue()


def _scripted() -> bytes:
    return zipped([Member("x/code/__torch__.py", b"def f(): ..."), Member("x/data.pkl", state(call("__torch__", "F")))])
