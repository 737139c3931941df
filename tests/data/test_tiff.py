"""TIFF files: the pixels of another library's files, and what is refused before a decoder sees it."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explorer.data.images import ImageError, read_image, read_size, reading_note

tifffile = pytest.importorskip("tifffile")
RNG = np.random.default_rng(5)
WIDE = RNG.integers(0, 65536, (20, 33, 3), dtype=np.uint16)
NARROW = (WIDE >> 8).astype(np.uint8)


def written(pixels: np.ndarray, **options: Any) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def changed(content: bytes, tag: int, *, kind: int = 4, count: int = 1, value: int) -> bytes:
    """The same little-endian file with another value of one of its tags."""
    start = struct.unpack_from("<L", content, 4)[0]
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", content, start)[0], 12):
        if struct.unpack_from("<H", content, entry)[0] == tag:
            return content[:entry] + struct.pack("<HHLL", tag, kind, count, value) + content[entry + 12 :]
    raise AssertionError(f"there is no tag {tag}")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib"},
        {"tile": (16, 16)},
        {"rowsperstrip": 3},
        {"planarconfig": "contig", "compression": "zlib", "tile": (16, 16), "byteorder": ">"},
    ],
    ids=str,
)
def test_pixels_are_those_that_another_library_wrote(options: dict[str, Any]) -> None:
    content = written(NARROW, photometric="rgb", **options)
    assert np.array_equal(read_image(content), NARROW[:, :, ::-1])
    assert read_size(content) == (20, 33)
    grey = written(NARROW[:, :, 0], photometric="minisblack", **{**options, "planarconfig": None})
    assert np.array_equal(read_image(grey), np.repeat(NARROW[:, :, :1], 3, axis=2))
    wide = written(WIDE[:, :, 0], photometric="minisblack", **{**options, "planarconfig": None})
    assert np.array_equal(read_image(wide)[:, :, 0], (WIDE[:, :, 0].astype(int) + 128) // 257)
    assert reading_note(wide) == "16 bits scaled to 8"
    colour = read_image(written(WIDE, photometric="rgb", **options))[:, :, ::-1].astype(int)
    assert abs(colour - (WIDE.astype(int) + 128) // 257).max() <= 1


def test_bands_stored_apart_and_bands_beyond_the_third() -> None:
    apart = written(np.moveaxis(NARROW, 2, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(apart), NARROW[:, :, ::-1])
    with pytest.raises(ImageError, match=r"stores its 16-bit bands separately.*Convert it"):
        read_image(written(np.moveaxis(WIDE, 2, 0), photometric="rgb", planarconfig="separate"))
    infrared = np.concatenate([NARROW, NARROW[:, :, :1]], axis=2)
    content = written(infrared, photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(read_image(content), NARROW[:, :, ::-1])
    assert not np.array_equal(read_image(written(infrared, photometric="rgb", extrasamples=["unassalpha"])), NARROW)


@pytest.mark.parametrize("pixels", [NARROW[:, :, 0], WIDE[:, :, 0]], ids=["8 bits", "16 bits"])
def test_white_is_zero_is_turned_around(pixels: np.ndarray) -> None:
    black, white = (written(pixels, photometric=kind) for kind in ("minisblack", "miniswhite"))
    assert abs(read_image(white).astype(int) - (255 - read_image(black).astype(int))).max() <= 1


def test_the_first_of_several_pages_is_read_and_said() -> None:
    content = written(np.stack([NARROW[:, :, 0], NARROW[:, :, 1]]), photometric="minisblack")
    assert np.array_equal(read_image(content)[:, :, 0], NARROW[:, :, 0])
    assert reading_note(content) == "the first of several pages"
    assert reading_note(written(NARROW, photometric="rgb")) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone_once_also_of_compressed_files(orientation: int) -> None:
    upright = read_image(written(NARROW, photometric="rgb", extratags=[(274, 3, 1, 1, True)]))
    for compression in (None, "zlib"):
        tags = [(274, 3, 1, orientation, True)]
        content = written(NARROW, photometric="rgb", compression=compression, extratags=tags)
        pixels = read_image(content)
        assert read_size(content) == pixels.shape[:2] == ((33, 20) if orientation > 4 else (20, 33))
        exif = Image.Exif()
        exif[274] = orientation
        png = BytesIO()
        Image.fromarray(upright[:, :, ::-1]).save(png, "PNG", exif=exif)
        assert np.array_equal(pixels, read_image(png.getvalue()))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (WIDE.astype(np.float32), "floating-point samples of 32 bits"),
        (WIDE[:, :, 0].astype(np.int16), "signed samples of 16 bits"),
        (WIDE[:, :, 0].astype(np.uint32), "unsigned samples of 32 bits"),
    ],
    ids=["float", "signed", "32 bits"],
)
def test_samples_without_a_known_range_are_refused(pixels: np.ndarray, words: str) -> None:
    for read in (read_image, read_size):
        with pytest.raises(ImageError, match=words):
            read(written(pixels, photometric="minisblack" if pixels.ndim == 2 else "rgb"))


def test_headers_that_lie_are_refused_before_decoding() -> None:
    grey = written(NARROW[:, :, 0], photometric="minisblack", rowsperstrip=20)
    with pytest.raises(ImageError, match="million pixels; at most"):
        read_image(changed(grey, 256, value=4_000_000))
    with pytest.raises(ImageError, match="lists 1 of the 1000 pieces"):
        read_image(changed(grey, 257, value=20_000))  # the rest would be black
    tiled = written(NARROW[:, :, 0], photometric="minisblack", tile=(16, 16), compression="zlib")
    with pytest.raises(ImageError, match="tiles of 16 x 40000000 pixels"):
        read_image(changed(tiled, 323, value=40_000_000))
    with pytest.raises(ImageError, match="compression is 34925"):
        read_image(changed(grey, 259, kind=3, value=34925))
    for content in (grey[:6], grey[:30], b"II*\0" + b"\xff" * 60, b"MM\0*" + b"\0" * 60):
        with pytest.raises(ImageError, match="this TIFF"):
            read_image(content)


def bomb(tags: int, own: int) -> bytes:
    """A directory whose tags all refer to the same bytes, of which each would be kept."""
    entries = b"".join(struct.pack("<HHLL", 40_000 + tag, 7, own, 0) for tag in range(tags))
    return (b"II*\0" + struct.pack("<LH", 8, tags) + entries + b"\0\0\0\0").ljust(own, b"\0")


def test_tags_that_share_their_bytes_fill_no_memory() -> None:
    with pytest.raises(ImageError, match="again and again"):
        read_image(bomb(2000, 100_000))
    photo = BytesIO()
    Image.fromarray(NARROW).save(photo, "PNG", exif=bomb(2000, 100_000))
    assert np.array_equal(read_image(photo.getvalue()), NARROW[:, :, ::-1])  # no reason to refuse the pixels


def test_a_tag_that_is_there_twice_is_refused() -> None:
    """Pillow takes the last value, libtiff, which decodes for it, the first."""
    content = written(NARROW, photometric="rgb", compression="zlib")
    (start,) = struct.unpack_from("<L", content, 4)
    (number,) = struct.unpack_from("<H", content, start)
    entries = content[start + 2 : start + 2 + 12 * number]
    for width in (33, 3300):  # the same again does no harm
        again = struct.pack("<HHLL", 256, 4, 1, width)
        directory = struct.pack("<H", number + 1) + again + entries + bytes(4)
        twice = content[:4] + struct.pack("<L", len(content)) + content[8:] + directory
        if width == 33:
            assert read_size(twice) == (20, 33)
        else:
            with pytest.raises(ImageError, match="tag 256 twice, with other values"):
                read_image(twice)
