"""FiftyOne's export of a whole data set (`FiftyOneDataset`): `samples.json` and `metadata.json` beside `data`.

A field of `Detections` is a split, since a data set may have several: annotations, corrections, models. One alone is
the split `all`. Boxes `[x, y, width, height]` are shares of the image; an object's mask covers its box, as a NumPy file
that is compressed and in base64. What has a confidence is a model's, which `--results` takes, and is left out here.

Source: FiftyOne's documentation of `FiftyOneDataset` and of `Detection.mask`.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from explorer.data.annotations import is_set
from explorer.data.formats.document import Collector, Document, ForeignSplit, clean_name, exists, number, scaled
from explorer.data.formats.yolo import ONLY_SPLIT
from explorer.data.masks import encode_masks
from explorer.reading import read_json
from explorer.types import Bools

SAYS = "of FiftyOne's labels detections are read, with their masks; polylines, keypoints and classifications are not"
_FILE, _ABOUT = "samples.json", "metadata.json"
_KIND = "fiftyone.core.labels.Detections"
_MOST_PIXELS = 1 << 26  # of an image
_HEAD_BYTES = 4096  # of a NumPy file, more than its head takes


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the fields of detections of a folder with `samples.json`, or of that file."""
    file = path / _FILE if path.is_dir() else path
    if file.name != _FILE or not exists(file):
        return {}
    beside = file.parent / "data"
    folder = images or (beside if beside.is_dir() else file.parent)
    files = tuple(own for own in (file, file.with_name(_ABOUT)) if exists(own))
    fields = {name: partial(_read, file, folder, name) for name in _fields(file)}
    named = fields if len(fields) > 1 else dict.fromkeys([ONLY_SPLIT], *fields.values())
    return {name: ForeignSplit("FiftyOne", folder, lambda: files, read) for name, read in named.items()}


def _fields(file: Path) -> list[str]:
    if about := _about(file):
        listed = [own for own in about.get("sample_fields", ()) if isinstance(own, dict)]
        fields = [str(own.get("name")) for own in listed if own.get("embedded_doc_type") == _KIND]
    else:
        samples = _samples(file)
        fields = [name for own in samples for name in own if isinstance(_detections(own, name), list)]
    if not fields:
        raise ValueError(f"{file} has no field of detections: export a data set that has one")
    return list(dict.fromkeys(fields))


def _about(file: Path) -> dict[str, Any]:
    about = file.with_name(_ABOUT)
    content = read_json(about) if exists(about) else {}
    return content if isinstance(content, dict) else {}


def _samples(file: Path) -> Iterator[dict[str, Any]]:
    content = read_json(file)
    samples = content.get("samples") if isinstance(content, dict) else None
    if not isinstance(samples, list):
        raise ValueError(f"{file} has no list of samples")
    yield from (own for own in samples if isinstance(own, dict))


def _detections(sample: dict[str, Any], field: str) -> Any:
    own = sample.get(field)
    return own.get("detections") if isinstance(own, dict) else None


def _read(file: Path, images: Path, field: str) -> Document:
    collected, used = Collector(file.parent, images, SAYS), set[str]()
    for sample in _samples(file):
        name = _image(str(sample.get("filepath", "")), images)
        size = collected.image(name)
        objects = _detections(sample, field)
        for own in objects if size and isinstance(objects, list) else ():
            assert size is not None
            if label := _take(collected, name, size, own):
                used.add(label)
    about = _about(file)
    classes = about.get("classes")
    listed = (classes.get(field) if isinstance(classes, dict) else None) or about.get("default_classes")
    ordered = [str(name) for name in listed] if isinstance(listed, list) else []
    return collected.document([*ordered, *sorted(used - set(ordered))])


def _image(said: str, images: Path) -> str:
    """The image of a sample, whose path is relative to the export, or another machine's."""
    name = clean_name(said, images).removeprefix(f"{images.name}/")
    return name if exists(images / name) else PurePosixPath(name).name


def _take(collected: Collector, name: str, size: tuple[int, int], own: Any) -> str:
    record = own if isinstance(own, dict) else {}
    label, box = record.get("label"), record.get("bounding_box")
    if record.get("confidence") is not None:
        collected.lose("format", "detections with a confidence are a model's and were left out", name)
        return ""
    if not isinstance(label, str):
        collected.lose("unknown-category", f"label {str(label)[:40]!r} is not a name", name)
        return ""
    if not isinstance(box, list) or len(box) != 4:
        collected.lose("bad-box", f"bounding_box is {str(box)[:80]}", name)
        return ""
    box_xywh = scaled([number(value) for value in box], size[1], size[0])
    keys: dict[str, Any] = {"iscrowd": int(is_set(record.get("iscrowd")))}
    if mask := record.get("mask"):
        try:
            keys["segmentation"] = _placed(_pixels(mask), box_xywh, size)
        except (ValueError, OverflowError) as error:
            collected.lose("bad-mask", f"a mask of {label[:40]!r} cannot be read: {error}", name)
    collected.add(name, label, box_xywh, **keys)
    return label


def _pixels(mask: Any) -> Bools:
    """Reads a mask: base64 of a compressed NumPy file, whose head says how much there may be before it is unpacked."""
    binary = mask.get("$binary") if isinstance(mask, dict) else None
    text = binary.get("base64") if isinstance(binary, dict) else None
    if not isinstance(text, str):
        raise ValueError("it is not base64")
    unpacking = zlib.decompressobj()
    try:
        begun = unpacking.decompress(base64.b64decode(text, validate=True), _HEAD_BYTES)
        head = io.BytesIO(begun)
        if np.lib.format.read_magic(head) != (1, 0):
            raise ValueError("it is not a NumPy file of version 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
        fits = len(shape) == 2 and 0 < shape[0] * shape[1] <= _MOST_PIXELS
        if not fits or dtype not in (np.dtype(bool), np.dtype(np.uint8)):
            raise ValueError(f"it is an array {shape} of {dtype}")
        rest = begun[head.tell() :]
        rest += unpacking.decompress(unpacking.unconsumed_tail, max(1, shape[0] * shape[1] - len(rest)))
    except (binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from error
    if len(rest) < shape[0] * shape[1]:
        raise ValueError("it breaks off")
    flat = np.frombuffer(rest, np.uint8, shape[0] * shape[1])
    return flat.reshape(shape, order="F" if fortran else "C") > 0


def _placed(pixels: Bools, box_xywh: list[float], size: tuple[int, int]) -> dict[str, Any]:
    """Puts a mask, stretched over its box, into an image of `(height, width)`, as a run-length mask."""
    x, y, w, h = (round(value) for value in box_xywh)
    x1, y1, x2, y2 = max(0, x), max(0, y), min(size[1], x + max(1, w)), min(size[0], y + max(1, h))
    if x2 <= x1 or y2 <= y1 or size[0] * size[1] > _MOST_PIXELS:
        raise ValueError("its box lies outside of the image")
    stretched = cv2.resize(pixels.astype(np.uint8), (max(1, w), max(1, h)), interpolation=cv2.INTER_NEAREST)
    whole = np.zeros(size, bool)
    whole[y1:y2, x1:x2] = stretched[y1 - y : y2 - y, x1 - x : x2 - x] > 0
    (rle,) = encode_masks(whole[None])
    return {
        "size": list(size),
        "counts": rle["counts"].decode("ascii") if isinstance(rle["counts"], bytes) else rle["counts"],
    }
