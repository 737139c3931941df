"""Files and folders of other libraries' detections, by what they are called and what they hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from explorer.reading import read_json
from explorer.scoring.foreign.boxes import Box, Looked
from explorer.scoring.foreign.documents import boxes_in
from explorer.scoring.foreign.tables import boxes_in_arrays, boxes_in_csv, boxes_in_labels

_PER_IMAGE = (".txt", ".json", ".npz")
_NAMES = ("classes.txt", "notes.json")
"""Files that lie beside labels and are none."""


def is_folder_of_results(path: Path) -> bool:
    """Tells whether a folder has a file of detections for each image, itself or in `labels` or `preds`."""
    return path.is_dir() and bool(_files(path))


def boxes_at(path: Path) -> Iterator[Box | Looked] | None:
    """Reads a folder, a CSV file or NumPy's arrays; None for any other file.

    Raises:
        ValueError: something in it is not as it must be, when it is gone through.
    """
    if path.is_dir():
        return (box for file in _files(path) for box in itertools.chain([Looked(file.stem)], _of_file(file)))
    if path.suffix.lower() == ".csv":
        return boxes_in_csv(path)
    if path.suffix.lower() in (".npz", ".txt"):
        return _of_file(path)
    return None


def _files(folder: Path) -> list[Path]:
    for own in (folder, folder / "labels", folder / "preds"):
        for suffix in _PER_IMAGE:
            files = sorted(file for file in own.glob(f"*{suffix}") if file.is_file() and file.name not in _NAMES)
            if files:
                return files
    return []


def _of_file(file: Path) -> Iterator[Box | Looked]:
    if file.suffix.lower() == ".txt":
        return boxes_in_labels(file)
    if file.suffix.lower() == ".npz":
        return boxes_in_arrays(file)
    content = read_json(file)
    boxes = iter(()) if content == [] else boxes_in(content, file.stem)
    if boxes is None:
        raise ValueError(f"{file.name} holds no detections of one image, as mmdetection and Hugging Face write them")
    return boxes
