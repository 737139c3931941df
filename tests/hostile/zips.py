"""Zip archives of data sets that lead out, swell, hide, or hold something else."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterator

from tests.hostile.attacks import Attack, cut
from tests.hostile.coco import PICTURE
from tests.hostile.opcodes import Member, zipped

_OUT, _NO_ZIP = "leads out of its folder", "not a readable zip archive"


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, mode: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr, member.compress_type = mode << 16, method
            archive.writestr(member, content)
    return stream.getvalue()


_SOUND = packed({"a.png": PICTURE, "b.txt": b"0 .5 .5 .1 .1\n"})
_NAMES = {
    "../x.txt": _OUT,
    "a/../../x.txt": _OUT,
    "/x.txt": _OUT,
    "//x.txt": _OUT,
    "..\\x.txt": _OUT,
    "C:/x.txt": _OUT,
    "a\\b.txt": _OUT,
    "./../x.txt": _OUT,
    "a\nb.txt": "too long or cannot",
    "\u202etxt.a.txt": "too long or cannot",
    "x" * 250 + ".txt": "too long or cannot",
    "a.py": "only annotations and images",
    ".bashrc": "only annotations and images",
    "a.zip": "only annotations and images",
    "a.png.exe": "only annotations",
    "run.sh": "only annotations",
    "a.pth": "only annotations",
    "a.pkl": "only annotations",
    "a.npz": "only annotations",
}
_MODES = {"a link": stat.S_IFLNK, "a device": stat.S_IFCHR, "a pipe": stat.S_IFIFO, "a socket": stat.S_IFSOCK}


def _bomb() -> bytes:
    """Three files of 10 MB in 30 kB."""
    return packed({f"{number}.txt": bytes(10_000_000) for number in range(3)})


def _lying(size: int) -> bytes:
    """Says another size of a file than it has."""
    content = packed({"a.txt": bytes(100_000)})
    return content.replace(struct.pack("<I", 100_000), struct.pack("<I", size))


def _overlapping() -> bytes:
    """Entries of one directory that stand for the same bytes."""
    one = packed({"0.txt": bytes(1_000_000)})
    at = one.index(b"PK\1\2")
    entry, body = one[at : one.index(b"PK\5\6")], one[:at]
    entries = b"".join(entry.replace(b"0.txt", b"%d.txt" % n) for n in range(1, 10))
    end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 10, 10, len(entry) + len(entries), at, 0)
    return body + entry + entries + end


def attacks() -> Iterator[Attack]:
    for name, says in _NAMES.items():
        yield Attack(f"an archive with {name!r:.40}", "archive", {"x.zip": packed({name: b"x"})}, says)
    for title, mode in _MODES.items():
        yield Attack(
            f"an archive with {title}",
            "archive",
            {"x.zip": packed({"a.txt": b"/etc/passwd"}, mode=mode)},
            "a link or no file",
        )
    for title, content in cut("an archive", _SOUND, times=12):
        yield Attack(title, "archive", {"x.zip": content}, _NO_ZIP)
    made = {
        "a bomb": (_bomb(), "larger than is allowed"),
        "a size of 4 GB": (_lying(2**32 - 2), _NO_ZIP),
        "a size of 7 bytes": (_lying(7), _NO_ZIP),
        "overlapping entries": (_overlapping(), _NO_ZIP),
        "a zero byte in a name": (zipped([Member("a.txt\0.png", b"x")]), _OUT),
        "names that differ in case": (packed({"a.txt": b"1", "A.TXT": b"2"}), "two files"),
        "a file in a file": (packed({"a.txt": b"1", "a.txt/b.txt": b"2"}), _NO_ZIP),
        "an encrypted file": (zipped([Member("a.txt", b"x" * 40, flags=1)]), "encrypted"),
        "bzip2": (packed({"a.txt": b"x"}, zipfile.ZIP_BZIP2), "compressed by an unsupported method"),
        "lzma": (packed({"a.txt": b"x"}, zipfile.ZIP_LZMA), "compressed by an unsupported method"),
        "an unknown method": (zipped([Member("a.txt", b"x", method=99)]), "compressed by an unsupported method"),
        "noise as deflate": (zipped([Member("a.txt", b"\xff" * 40, method=8)]), _NO_ZIP),
        "an empty name": (zipped([Member("", b"x")]), "only annotations and images"),
        "another checksum": (zipped([Member("a.txt", b"x", crc=1)]), _NO_ZIP),
        "20,001 files": (packed({f"{n}.txt": b"" for n in range(20_001)}, zipfile.ZIP_STORED), "at most 20,000"),
        "a tar archive": (b"x" * 257 + b"ustar" + bytes(600), _NO_ZIP),
        "a script": (b"#!/bin/sh\ntouch RAN\n", _NO_ZIP),
    }
    for title, (content, says) in made.items():
        yield Attack(f"{title}, an archive of a data set", "archive", {"x.zip": content}, says)
