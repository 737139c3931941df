"""Image files in, arrays out: one reader for training, evaluation, prediction and the app; and one writer.

JPEG, PNG, WebP, BMP and TIFF only. Files from outside are hostile until decoded: the size is judged before a pixel is,
and whatever a decoder raises becomes one `ImageError` which names the file and says what to do.
"""

from __future__ import annotations

from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from explorer.data.tiff import MAGIC, Page, TiffError, first_page, judge_directory
from explorer.reading import open_file
from explorer.types import Pixels
from explorer.writing import replacing

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, BMP or TIFF"
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""What image files are usually called; the content decides."""
MAX_PIXELS = 64_000_000
"""Largest image that is decoded unless told otherwise; 192 MB as BGR."""
BACKDROP = (128, 128, 128)
"""What shows through transparent pixels: mid grey, on which black and white drawings both stay visible."""

_EXIF_ORIENTATION = 0x0112
_ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

ImageSource = Path | str | bytes | BinaryIO


class ImageError(ValueError):
    """An image that cannot be read; the message names it and says what to do."""


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Reads an image, upright.

    EXIF rotation is applied (a broken EXIF block counts as none). Grey and palette images become colour, transparent
    pixels show `BACKDROP`, CMYK is converted without its colour profile, and of an animation or of several pages the
    first is taken. 16-bit samples are scaled so that 0 stays 0 and 65535 becomes 255, whatever range the image uses;
    of a TIFF with more than three bands the first three are taken. The content decides the format, not the suffix.

    Args:
        source: a file's path, its content, or a binary stream.
        max_pixels: refuse images with more pixels than this before they are decoded.

    Returns:
        `(height, width, 3)` uint8, BGR. For ordinary files the same pixels as detectron2's `read_image(path, "BGR")`.

    Raises:
        ImageError: the file is missing, empty, truncated, too large, or no image of these formats.
    """
    image, page = _open(source, max_pixels)
    rotation = None if page else _rotation(image)  # Pillow turns TIFFs itself
    try:
        image.load()
        rgb = _to_rgb(image, page)
        upright = rgb if rotation is None else rgb.transpose(rotation)
        return swap_channels(np.asarray(upright))
    except Exception as error:  # decoders raise almost anything on hostile bytes
        message = f"{_name(source)}: the image data is damaged or cut off ({error}). Copy or export the file again."
        raise ImageError(message) from error
    finally:
        image.close()


def swap_channels(image: Pixels) -> Pixels:
    """Returns a copy of an image `(height, width, 3)` in the other channel order: RGB of BGR, BGR of RGB."""
    return np.ascontiguousarray(image[:, :, ::-1])


def read_sized(path: str | Path, size: tuple[int, int]) -> Pixels:
    """Reads an image of a data set, which must have the `(height, width)` that its annotations are for.

    Raises:
        ImageError: it cannot be read, or has another size.
    """
    image = read_image(path)
    if tuple(size) != image.shape[:2]:
        raise ImageError(
            f"{path} has (height, width) {image.shape[:2]}, its annotations say {tuple(size)}. "
            "`explorer data check` lists all such images."
        )
    return image


def read_size(source: ImageSource) -> tuple[int, int]:
    """Reads `(height, width)` as `read_image` would return it, from the file's header alone.

    Raises:
        ImageError: the file is missing, empty, or no image of these formats.
    """
    return read_sizes(source)[0]


def read_sizes(source: ImageSource) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Reads `(height, width)` as `read_image` would return it, and, where EXIF turns or mirrors it, as it is stored.

    Raises:
        ImageError: the file is missing, empty, or no image of these formats.
    """
    image, page = _open(source, max_pixels=None)
    with image:
        height, width = page.size if page else (image.height, image.width)
        rotation = _ROTATIONS.get(page.orientation) if page else _rotation(image)
    turned = rotation in {_ROTATIONS[5], _ROTATIONS[6], _ROTATIONS[7], _ROTATIONS[8]}
    return (width, height) if turned else (height, width), None if rotation is None else (height, width)


def reading_note(source: ImageSource) -> str | None:
    """Says what `read_image` leaves out or changes of a file that it can read; None where it takes all of it.

    Raises:
        ImageError: the file is missing, empty, or no image of these formats.
    """
    image, page = _open(source, max_pixels=None)
    with image:
        notes = []
        if page and page.of_several:
            notes.append("the first of several pages")
        if (page and page.bits == 16) or image.mode.startswith("I"):
            notes.append("16 bits scaled to 8")
    return ", ".join(notes) or None


def write_picture(picture_rgb: Pixels, path: Path, **options: Any) -> Path:
    """Writes an RGB image in the format of the path's suffix, whole or not at all, and returns the path.

    Args:
        picture_rgb: `(height, width, 3)` uint8.
        path: the file.
        options: of Pillow's `save`, such as `quality`.
    """
    encoded = BytesIO()  # into a file, Pillow would not notice that a disk fills up
    Image.fromarray(picture_rgb).save(encoded, Image.registered_extensions()[path.suffix.lower()], **options)
    with replacing(path) as scratch:
        scratch.write_bytes(encoded.getvalue())
    return path


def _open(source: ImageSource, max_pixels: int | None) -> tuple[Image.Image, Page | None]:
    """Opens an image without decoding it; of a TIFF, also returns what its header says."""
    name, stream = _name(source), BytesIO(source) if isinstance(source, bytes) else source
    try:
        page = _judged_page(stream, max_pixels or MAX_PIXELS)
        image = Image.open(stream, formats=FORMATS)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file. Check the path.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: {error} Make the image smaller.") from error
    except Exception as error:  # decoders raise almost anything on hostile bytes
        raise ImageError(f"{name}: {_why_not_opened(source, error)} Convert it to JPEG or PNG.") from error
    if max_pixels is not None and image.width * image.height > max_pixels:
        image.close()
        message = (
            f"{name}: {image.width} x {image.height} is {image.width * image.height / 1e6:.0f} million pixels; "
            f"at most {max_pixels / 1e6:g} million are read. Make the image smaller, or cut it into tiles."
        )
        raise ImageError(message)
    return image, page


def _judged_page(stream: Path | str | BinaryIO, most_pixels: int) -> Page | None:
    """What a TIFF's header says, before a decoder reads it; None for other files."""
    with open_file(Path(stream)) if isinstance(stream, str | Path) else nullcontext(stream) as file:
        start = file.tell()
        is_tiff = file.read(4) in MAGIC
        file.seek(start)
        page = first_page(file, most_pixels) if is_tiff else None
        file.seek(start)
    return page


def _why_not_opened(source: ImageSource, error: Exception) -> str:
    if isinstance(error, IsADirectoryError):
        return "this is a folder, not an image."
    empty = not source if isinstance(source, bytes) else isinstance(source, str | Path) and _is_empty(source)
    if empty:
        return "the file is empty (0 bytes)."
    if isinstance(error, UnidentifiedImageError):
        return f"this is not a {FORMATS_IN_WORDS} image."
    return str(error) if isinstance(error, TiffError) else f"the file cannot be read ({error})."


def _is_empty(path: str | Path) -> bool:
    try:
        return Path(path).stat().st_size == 0
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def _name(source: ImageSource) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(getattr(source, "name", "the image"))


def _rotation(image: Image.Image) -> Image.Transpose | None:
    """The transposition that sets an image upright, None if it stands so.

    The base class is asked, because PNG's own `getexif` decodes the whole image to look for a late block.
    """
    try:
        if exif := image.info.get("exif"):
            judge_directory(BytesIO(exif.removeprefix(b"Exif\0\0")))
        orientation: Any = Image.Image.getexif(image).get(_EXIF_ORIENTATION)
        return _ROTATIONS.get(orientation)
    except Exception:  # a broken EXIF block is no reason to refuse the pixels
        return None


def _to_rgb(image: Image.Image, page: Page | None) -> Image.Image:
    if image.mode.startswith("I"):
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        wide = 65535 - wide if page and page.white_is_zero else wide
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data and (page is None or page.alpha):
        pixels = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, (*BACKDROP, 255)), pixels).convert("RGB")
    return image.convert("RGB")
