"""A data set that the page was started with: what is annotated in its photos, and what other detectors found in them.

A photo that a visitor drops is told by its file's name and size, which a browser hands over, and by its pixels: folders
of photos are numbered alike everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from explorer.scoring.columns import Run, Truth
from explorer.scoring.protocols import COCO, Protocol
from explorer.text import legible
from explorer.types import Detections, Pixels, Timing

MOST_PHOTOS = 6
"""Of a data set, offered beside the examples."""
_SMALL_PX, _ALIKE = (32, 32), 3.0
"""Photos are the same one where they differ by so few of 256 levels at this size: those of COCO and BCCD differ by 1.8
at most when written anew (quality 30), and from one another by 10 at least."""
_KEPT = "._-, "
"""What of a file's name is compared beside letters and digits: of other signs, some are lost in an upload."""


@dataclass(frozen=True)
class Recorded:
    """What a detector found in a photo, as it was written down: without the detector, and without torch."""

    detections: Detections
    timing: Timing = field(default_factory=lambda: Timing({}))


@dataclass(frozen=True, eq=False)
class DataSet:
    """Annotated photos, together with detections that were read from files.

    Attributes:
        source: `PATH[:SPLIT]`.
        truth: the annotations that the protocol scores.
        runs: detections from files, by their name in the list of models.
        protocol: sizes, IoU thresholds and limits of the evaluation.
    """

    source: str
    truth: Truth
    runs: Mapping[str, Run] = field(default_factory=dict)
    protocol: Protocol = COCO

    @property
    def name(self) -> str:
        """What visitors are told: the folder's or file's name with the split, and not where on the server it is."""
        whole = Path(self.source).exists() or ":" not in self.source
        path, split = (self.source, "") if whole else self.source.rsplit(":", 1)
        return legible(":".join(filter(None, (Path(path).resolve().name, Path(split).name))))

    def annotated(self, photo: Path, image_bgr: Pixels) -> Detections | None:
        """Returns the annotations of a photo without crowds; None if the photo does not belong to the data set."""
        row = self._row(photo, image_bgr)
        if row is None:
            return None
        truth = self.truth
        rows = np.flatnonzero((truth.images == row) & ~truth.crowds)
        corner, size = np.split(truth.boxes_xywh[rows], 2, axis=1)
        return Detections(
            np.concatenate([corner, corner + size], axis=1).astype(np.float32),
            np.ones(len(rows), np.float32),
            truth.classes[rows],
            truth.class_names,
            (image_bgr.shape[0], image_bgr.shape[1]),
        )

    def found(self, name: str, photo: Path, image_bgr: Pixels) -> Recorded:
        """Returns the detections that a results file contains for a photo.

        Args:
            name: key of `runs`.
            photo: file of the photo.
            image_bgr: its pixels, `(height, width, 3)` uint8, BGR.

        Raises:
            ValueError: the photo does not belong to the data set, or the results do not cover it.
        """
        from explorer.scoring.convert import detections_of

        row, run = self._row(photo, image_bgr), self.runs[name]
        own = None if row is None else run.truth.row_of_image.get(self.truth.image_ids.tolist()[row])
        if own is None:
            raise ValueError(
                f"This file has detections on the {len(run.truth.image_ids):,} photos of {self.name}, and "
                f"{legible(photo.name)} is none of them"
            )
        return Recorded(detections_of(run.truth, run.found, own))

    def photos(self) -> list[Path]:
        """Files of a few annotated photos that all runs cover, offered as examples."""
        rows = np.unique(self.truth.images).tolist()
        ids = self.truth.image_ids.tolist()
        known = [row for row in rows if all(ids[row] in run.truth.row_of_image for run in self.runs.values())]
        files = (Path(self.truth.file_names[row]) for row in known)
        return [file for file, _ in zip(filter(_is_readable, files), range(MOST_PHOTOS), strict=False)]

    @cached_property
    def _rows(self) -> dict[tuple[str, int, int], list[int]]:
        """Image rows by what a browser tells of them: name, height and width."""
        rows: dict[tuple[str, int, int], list[int]] = {}
        for row, (name, size) in enumerate(zip(self.truth.file_names, self.truth.image_sizes.tolist(), strict=True)):
            rows.setdefault((_as_uploaded(Path(name).name), *size), []).append(row)
        return rows

    def _row(self, photo: Path, image_bgr: Pixels) -> int | None:
        from explorer.data.images import read_image

        height, width = image_bgr.shape[:2]
        rows, names = self._rows.get((_as_uploaded(photo.name), height, width), []), self.truth.file_names
        if len(rows) < 2:
            return rows[0] if rows and _shows(Path(names[rows[0]]), image_bgr) else None
        same = (row for row in rows if np.array_equal(read_image(names[row]), image_bgr))
        return next(same, None)


def data_set(data: str | None, results: Sequence[str | Path] = (), protocol: Protocol = COCO) -> DataSet | None:
    """Reads a data set and files with detections on it.

    Args:
        data: `PATH[:SPLIT]` of a data set; None for the data set that the first run records.
        results: results files and run folders, as `load_run` takes them.
        protocol: sizes, IoU thresholds and limits of the evaluation.

    Returns:
        The data set, or None if neither data nor results are given.

    Raises:
        ValueError: the data set or a file cannot be read, or no data is given and the results do not record theirs.
    """
    from explorer.scoring.ignored import truth_under
    from explorer.scoring.runs import load_run, read_truth

    runs: dict[str, Run] = {}
    for path in results:
        run = load_run(path, data, protocol=protocol)
        data = data or str(run.facts["data"])
        name = Path(path).name if run.folder is None else f"{run.name} ({run.folder.name})"  # not the model's own
        alike = sum(own == name or own.startswith(f"{name} (") for own in runs)
        runs[f"{name} ({alike + 1})" if alike else name] = run
    if data is None:
        return None
    return DataSet(data, truth_under(protocol, read_truth(data)), runs, protocol)


def _shows(file: Path, image_bgr: Pixels) -> bool:
    """Whether a file shows a photo of the same size, if written anew; one that cannot be read is taken to do so."""
    import cv2

    from explorer.data.images import ImageError, read_image

    try:
        own = read_image(file)
    except (ImageError, OSError):
        return True
    small, other = (cv2.resize(each, _SMALL_PX, interpolation=cv2.INTER_AREA) for each in (own, image_bgr))
    return float(cv2.absdiff(small, other).mean()) <= _ALIKE


def _is_readable(photo: Path) -> bool:
    from explorer.data.images import ImageError
    from explorer.ui.actions.photos import read_photo

    try:
        read_photo(photo)
    except (ImageError, OSError):
        return False
    return True


def _as_uploaded(name: str) -> str:
    """What is compared of a file's name, which is the same before and after an upload."""
    return "".join(sign for sign in name if sign.isalnum() or sign in _KEPT)
