"""One reader for all images: every kind of pixel comes out upright BGR, every broken file as one clear error."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.data.images import BACKDROP, ImageError, read_image, read_size

RGB = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_with(ihdr: bytes, rows: bytes) -> bytes:
    """A PNG made by hand, for headers that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_same_pixels_as_detectron2(shared: Path) -> None:
    from detectron2.data.detection_utils import read_image as reference

    paths = sorted((shared / "data/coco-tiny/val2017").glob("*.jpg"))
    assert len(paths) == 50
    for path in paths:
        assert np.array_equal(read_image(path), reference(str(path), "BGR")), path.name


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_lossless_formats_give_the_pixels_in_bgr(kind: str) -> None:
    pixels = read_image(encode(Image.fromarray(RGB), kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert np.array_equal(pixels, RGB[:, :, ::-1])
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]


def test_all_kinds_of_source_agree(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"  # the content decides, not the suffix
    path.write_bytes(encode(Image.fromarray(RGB)))
    with path.open("rb") as stream:
        sources = [path, str(path), path.read_bytes(), stream]
        assert all(np.array_equal(read_image(source), RGB[:, :, ::-1]) for source in sources)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_rotation_is_undone(orientation: int, kind: str, tmp_path: Path) -> None:
    from detectron2.data.detection_utils import read_image as reference

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    path.write_bytes(encode(Image.fromarray(RGB), kind, exif=exif))
    pixels = read_image(path)
    assert np.array_equal(pixels, reference(str(path), "BGR"))
    assert read_size(path) == pixels.shape[:2] == ((9, 6) if orientation > 4 else (6, 9))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow tells of it, and goes on
def test_broken_exif_counts_as_none() -> None:
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        content = encode(Image.fromarray(RGB), "JPEG", exif=exif)
        assert read_image(content).shape == RGB.shape
        assert read_size(content) == (6, 9)


def test_grey_bilevel_and_palette() -> None:
    grey = np.arange(54, dtype=np.uint8).reshape(6, 9) * 4
    assert np.array_equal(read_image(encode(Image.fromarray(grey))), np.repeat(grey[..., None], 3, axis=2))
    bilevel = read_image(encode(Image.fromarray(grey > 100)))
    assert set(np.unique(bilevel)) == {0, 255}
    palette = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(read_image(encode(palette)), np.asarray(palette.convert("RGB"))[:, :, ::-1])


def test_transparent_pixels_show_the_backdrop() -> None:
    alpha = np.zeros((6, 9, 1), dtype=np.uint8)
    alpha[:3] = 255
    pixels = read_image(encode(Image.fromarray(np.concatenate([RGB, alpha], axis=2))))
    assert np.array_equal(pixels[:3], RGB[:3, :, ::-1])
    assert (pixels[3:] == BACKDROP).all()


def test_half_transparency_of_grey_and_palette_images() -> None:
    grey = Image.merge("LA", (Image.new("L", (3, 2), 28), Image.new("L", (3, 2), 128)))
    assert (abs(read_image(encode(grey)).astype(int) - 78) <= 1).all()
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    assert (read_image(encode(palette, transparency=1)) == BACKDROP).all()
    assert (read_image(encode(palette, transparency=0)) == (0, 255, 0)).all()


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32896, 128), (40000, 156), (65535, 255)])
def test_16_bit_grey_is_scaled_not_clipped(value: int, expected: int) -> None:
    content = encode(Image.fromarray(np.full((6, 9), value, dtype=np.uint16)))
    assert (read_image(content) == expected).all()


def test_16_bit_colour() -> None:
    pixel = struct.pack(">HHH", 65535, 32896, 257)
    content = png_with(struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0), b"\0" + pixel * 2)
    assert (read_image(content) == (1, 128, 255)).all()


def test_cmyk_becomes_colour() -> None:
    content = encode(Image.new("CMYK", (9, 6), (0, 255, 255, 0)), "JPEG", quality=95)
    blue, green, red = read_image(content)[0, 0].astype(int)
    assert red > 240
    assert max(blue, green) < 15


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (9, 6), colour) for colour in ("red", "blue")]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert (abs(read_image(content).astype(int) - (0, 0, 255)) <= 2).all()


def test_photos_of_several_pictures_give_the_first() -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "blue")]
    content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert read_image(content)[0, 0, 2] > 240


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        encode(Image.fromarray(RGB), "GIF"),
        encode(Image.fromarray(RGB), "TGA"),
    ],
    ids=["empty", "svg", "pdf", "gif", "tga"],
)
def test_other_content_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    for read in (read_image, read_size):
        with pytest.raises(ImageError, match=r"photo\.jpg: .*Convert it to JPEG or PNG"):
            read(path)
        with pytest.raises(ImageError, match=r"the image: "):
            read(content)


def test_missing_files_folders_and_impossible_names(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing\.png: there is no such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="folder"):
        read_image(tmp_path)
    for name in ("a\0b.png", "x" * 5000):
        with pytest.raises(ImageError):
            read_image(tmp_path / name)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_a_cut_off_file_is_named(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "cut"
    content = encode(Image.fromarray(noise), kind)
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageError, match="cut"):
        read_image(path)


def test_the_pixel_cap_is_judged_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 20_000, 4_000, 8, 2, 0, 0, 0)  # 80 million pixels in a file of 100 bytes
    with pytest.raises(ImageError, match=r"20000 x 4000 is 80 million pixels; at most 64 million"):
        read_image(png_with(header, b""))
    with pytest.raises(ImageError, match="decompression bomb"):
        read_image(png_with(struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b""))
    content = encode(Image.fromarray(RGB))
    assert read_image(content, max_pixels=54).shape == (6, 9, 3)
    with pytest.raises(ImageError, match="cut it into tiles"):
        read_image(content, max_pixels=53)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells of odd metadata, and goes on
@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF"]),
    keep=st.floats(0, 1),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
)
def test_damaged_bytes_give_pixels_or_one_kind_of_error(kind: str, keep: float, changes: list[tuple[int, int]]) -> None:
    content = bytearray(encode(Image.fromarray(RGB), kind, exif=_orientation(6)))
    for place, value in changes:
        content[place % len(content)] = value
    damaged = bytes(content[: round(keep * len(content))])
    try:
        pixels = read_image(damaged, max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.shape == (*read_size(damaged), 3)


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif
