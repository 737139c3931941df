"""Pictures that are cut off, lie about their size, swell, or are something else."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.hostile.attacks import Attack, cut

_DAMAGED, _NONE = "damaged or cut off|is not a |cannot be read|0 bytes", "is not a "


def encoded(kind: str, mode: str = "RGB") -> bytes:
    """A sound picture of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(stream, kind)
    return stream.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


_ZEROS = _chunk(b"IDAT", zlib.compress(bytes(1000)))
_SWOLLEN = zlib.compress(bytes(80_000_000))
_MADE = {
    "a PNG of 60,000 x 60,000": (_png(60_000, 60_000, _ZEROS), "million pixels|decompression bomb"),
    "a PNG of 2^31 x 2^31": (_png(2**31 - 1, 2**31 - 1, _ZEROS), "million pixels|decompression bomb"),
    "a PNG of 9,000 x 9,000": (_png(9_000, 9_000, _ZEROS), "million pixels"),
    "a PNG of 0 x 10": (_png(0, 10, _ZEROS), _DAMAGED),
    "a PNG that promises more than it holds": (_png(1000, 1000, _ZEROS), _DAMAGED),
    "a PNG without data": (_png(10, 10), _DAMAGED),
    "a PNG of an unknown colour": (_png(10, 10, _ZEROS, colour=5), _DAMAGED),
    "a PNG of an unknown depth": (_png(10, 10, _ZEROS, depth=7), _DAMAGED),
    "a PNG with a text of 80 MB": (_png(10, 10, _chunk(b"zTXt", b"a\0\0" + _SWOLLEN), _ZEROS), _DAMAGED),
    "a PNG with a profile of 80 MB": (_png(100, 100, _chunk(b"iCCP", b"a\0\0" + _SWOLLEN), _ZEROS), _DAMAGED),
    "a PNG with a chunk of 4 GB": (_png(10, 10)[:33] + struct.pack(">I", 2**32 - 1) + b"IDAT", _DAMAGED),
    "a PNG with a wrong checksum": (
        _png(10, 10, _ZEROS).replace(b"IHDR\0", b"IHDR\1"),
        _DAMAGED + "|million pixels|bomb",
    ),
    "a JPEG of 65,500 x 65,500": (
        encoded("JPEG").replace(struct.pack(">2H", 48, 64), struct.pack(">2H", 65_500, 65_500)),
        "million pixels|decompression bomb",
    ),
    "a JPEG's signature alone": (b"\xff\xd8\xff", _DAMAGED),
    "a WebP's signature alone": (b"RIFF\x04\0\0\0WEBP", _DAMAGED),
    "a GIF": (encoded("GIF"), _NONE),
    "a PPM": (encoded("PPM"), _NONE),
    "an ICO": (encoded("ICO"), _NONE),
    "a TGA": (encoded("TGA"), _NONE),
    "a PCX": (encoded("PCX"), _NONE),
    "a JPEG 2000": (encoded("JPEG2000"), _NONE),
    "PostScript that runs": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch RAN) (w) file\n", _NONE),
    "a PDF": (encoded("PDF"), _NONE),
    "an SVG that opens files": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>', _NONE),
    "XML entities": (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', _NONE),
    "a web page": (b"<!DOCTYPE html>", _NONE),
    "a script": (b"#!/bin/sh\ntouch RAN\n", _NONE),
    "nothing": (b"", "0 bytes"),
    "zeros": (bytes(4096), _NONE),
}


def attacks() -> Iterator[Attack]:
    for title, (content, says) in _MADE.items():
        yield Attack(f"{title}, a photo", "image", {"x.jpg": content}, says)
    for kind in ("JPEG", "PNG", "WEBP"):
        whole = encoded(kind)
        for title, content in cut(kind, whole, times=12):
            yield Attack(title, "image", {f"x.{kind.lower()}": content}, _DAMAGED)
    yield Attack("a folder as a photo", "image", {"x.jpg": "/etc"}, "this is a folder")
    yield Attack("a device as a photo", "image", {"x.jpg": "/dev/zero"}, _DAMAGED)
