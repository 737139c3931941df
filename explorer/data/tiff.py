"""What a TIFF file says of its first page, read before any decoder sees it, and which files are not worth the risk.

A TIFF can hold nearly anything. Read are pages that a photograph or an aerial image may be: unsigned samples of 1 to 16
bits, grey, palette, RGB (further bands are left out), CMYK or YCbCr, in the common compressions.

Source: TIFF 6.0 (Adobe, 1992); BigTIFF (AWare Systems, 2007); tag numbers as there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q"}
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability: the decoder follows them
_COMPRESSIONS = {1: "none", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 7: "JPEG", 8: "Deflate", 32773: "PackBits"}
_COMPRESSIONS |= {32946: "Deflate"}
_COLOURS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
_MOST_TAGS = 4096
_MOST_READ = 8  # times the file's length: tags that share their bytes would fill the memory


class TiffError(ValueError):
    """A TIFF that is not read, and why."""


@dataclass(frozen=True)
class Page:
    """The first page as it lies in the file.

    Attributes:
        size: `(height, width)`, not yet turned.
        bits: per sample.
        white_is_zero: grey values count from white.
        alpha: there is a band that says which pixels are transparent.
        orientation: EXIF's number.
        of_several: other pages follow.
    """

    size: tuple[int, int]
    bits: int
    white_is_zero: bool
    alpha: bool
    orientation: int
    of_several: bool


def first_page(stream: BinaryIO, most_pixels: int) -> Page:
    """Judges a TIFF file by its header.

    Args:
        stream: the file, at its start.
        most_pixels: tiles may not be larger, whatever the image's size.

    Raises:
        TiffError: the file is damaged, or its first page is of a kind that is not read; the message says which.
    """
    try:
        tags, following = _tags(stream)
    except (struct.error, OverflowError, OSError) as error:
        raise TiffError("this TIFF's header is damaged or cut off.") from error
    width, height = tags.get(256, (0,))[0], tags.get(257, (0,))[0]
    bits = set(tags.get(258, (1,)))
    compression, colour = tags.get(259, (1,))[0], tags.get(262, (1,))[0]
    samples, planes, formats = tags.get(277, (1,))[0], tags.get(284, (1,))[0], set(tags.get(339, (1,)))
    if not width or not height:
        raise TiffError("this TIFF's header has no image size.")
    if formats != {1} or len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        kind = {2: "signed", 3: "floating-point"}.get(max(formats), "unsigned")
        raise TiffError(f"this TIFF has {kind} samples of {max(bits)} bits; only unsigned 8 and 16 bits are supported.")
    if colour not in _COLOURS:
        raise TiffError(f"this TIFF's colour type is {colour}; supported are {', '.join(_COLOURS.values())}.")
    if compression not in _COMPRESSIONS:
        known = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise TiffError(f"this TIFF's compression is {compression}; supported are {known}.")
    if planes == 2 and samples > 1 and bits == {16}:
        raise TiffError("this TIFF stores its 16-bit bands separately; only interleaved ones are supported.")
    _judge_pieces(tags, width, height, samples if planes == 2 else 1, most_pixels)
    alpha = any(kind in (1, 2) for kind in tags.get(338, ()))
    return Page((height, width), bits.pop(), colour == 0, alpha, tags.get(274, (1,))[0], following != 0)


def judge_directory(stream: BinaryIO) -> None:
    """Judges an EXIF block, which is a TIFF without an image.

    Raises:
        TiffError: reading it would take many times its length.
    """
    _tags(stream)


def _judge_pieces(tags: dict[int, Any], width: int, height: int, planes: int, most_pixels: int) -> None:
    """Makes sure that there are strips or tiles for the whole page; what is missing would be black."""
    if 322 in tags or 323 in tags:
        across, down = tags.get(322, (0,))[0], tags.get(323, (0,))[0]
        if not across or not down or across * down > most_pixels:
            raise TiffError(f"this TIFF has tiles of {across} x {down} pixels.")
        pieces, offsets = -(-width // across) * -(-height // down), tags.get(324, ())
    else:
        rows = tags.get(278, (height,))[0] or height
        pieces, offsets = -(-height // rows), tags.get(273, ())
    if len(offsets) < pieces * planes:
        raise TiffError(f"this TIFF lists {len(offsets)} of the {pieces * planes} pieces of its image.")


def _tags(stream: BinaryIO) -> tuple[dict[int, Any], int]:
    """Reads the whole numbers of the first directory, and where the next one is; 0 for none.

    The directories within it are walked too, for what reading them would take.
    """
    length = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(16)
    order, big = "<" if head[:2] == b"II" else ">", head[2:4] in (b"+\0", b"\0+")
    first = struct.unpack_from(f"{order}{'Q' if big else 'L'}", head, 8 if big else 4)[0]
    budget = _MOST_READ * length
    tags, following, budget = _directory(stream, first, order, big, length, budget)
    for tag in _DIRECTORIES:
        if tag in tags:
            _, _, budget = _directory(stream, tags[tag][0], order, big, length, budget)
    return tags, following


def _directory(
    stream: BinaryIO, start: int, order: str, big: bool, length: int, budget: int
) -> tuple[dict[int, Any], int, int]:
    if not 0 < start < length:
        raise struct.error("a directory beyond the file")
    entry, counter, pointer = ("HHQ8s", "Q", "Q") if big else ("HHL4s", "H", "L")
    stream.seek(start)
    (number,) = _unpack(stream, order + counter)
    if number > _MOST_TAGS:
        raise TiffError(f"this TIFF's header has {number} entries.")
    entries = [_unpack(stream, order + entry) for _ in range(number)]
    end = stream.read(struct.calcsize(order + pointer))
    following = struct.unpack(order + pointer, end)[0] if len(end) == struct.calcsize(order + pointer) else 0
    tags: dict[int, Any] = {}
    for tag, kind, count, inline in entries:
        size = _SIZES.get(kind, 0) * count
        if size > len(inline):
            budget -= min(size, length)
            if budget < 0:
                raise TiffError("this TIFF's header refers to the same bytes again and again.")
        if kind not in _INTEGERS or size > length:
            continue
        if size > len(inline):
            stream.seek(struct.unpack(order + pointer, inline)[0])
            inline = stream.read(size)
        values = struct.unpack(f"{order}{count}{_INTEGERS[kind]}", inline[:size])
        if values and tags.setdefault(tag, values) != values:  # of which libtiff takes the first, Pillow the last
            raise TiffError(f"this TIFF has tag {tag} twice, with other values.")
    return tags, following, budget


def _unpack(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))
