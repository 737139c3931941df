"""A run of any length, some images at a time: its detections wait on disk, sorted by image, and not in memory.

All that is said of an image depends on that image alone, so each part is a `Run` like any other. What depends on all of
them, precision, recall and the scores that follow from them, is put together in `explorer.scoring.tally`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.data.masks import Rle
from explorer.scoring.columns import Found, Run, Truth, in_order
from explorer.scoring.ignored import found_under
from explorer.scoring.protocols import COCO, Protocol
from explorer.scoring.results_file import Columns, columns_of
from explorer.scoring.runs import find_run
from explorer.types import Array, Ints

IMAGES_AT_A_TIME = 1000
_ROW = np.dtype(
    [
        ("image", "i4"),
        ("class", "i4"),
        ("box", "f8", 4),
        ("score", "f8"),
        ("mask_score", "f8"),
        ("mask_bytes", "i4"),
    ]
)


@dataclass(frozen=True, eq=False)
class RunPart:
    """Some successive images of a run.

    Attributes:
        run: what is on them; rows count from 0.
        first_image: the row, in the whole run, of its first image.
        first_object: of its first object.
        first_detection: of its first detection.
    """

    run: Run
    first_image: int
    first_object: int
    first_detection: int


class RunInParts(ExitStack):
    """A run that is read in parts. A context manager: its files are gone afterwards, and after a kill.

    Attributes:
        whole: the run without its detections.
    """

    def __init__(
        self,
        path: str | Path,
        data: str | None = None,
        name: str | None = None,
        match_by: str | None = None,
        protocol: Protocol = COCO,
    ) -> None:
        """Reads a run, with the arguments and errors of `load_run`; it is scored by the protocol, whatever it says."""
        super().__init__()
        source = find_run(path, data, name, match_by, protocol)
        nothing = in_order(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
        self.whole = Run(source.name, source.truth, nothing, source.facts, source.folder)
        number = len(range(0, len(source.truth.image_ids), IMAGES_AT_A_TIME))
        self._pieces: list[list[tuple[int, int, int]]] = [[] for _ in range(number)]
        self._lengths = [0] * number
        self._masks_there = self._mask_scores_there = False
        self._rows = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        self._masks = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        try:
            for columns in columns_of(source.results, source.truth, source.file, source.match_by):
                self._keep(columns)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Number of detections, those in ignored regions too."""
        return sum(self._lengths)

    def __iter__(self) -> Iterator[RunPart]:
        whole, truth = self.whole, self.whole.truth
        firsts = itertools.accumulate(self._lengths, initial=0)
        for place, first_detection in zip(range(len(self._pieces)), firsts, strict=False):
            first = place * IMAGES_AT_A_TIME
            part = truth.of_rows(np.arange(first, min(first + IMAGES_AT_A_TIME, len(truth.image_ids))))
            run = Run(whole.name, part, self._found(place, part), whole.facts, whole.folder)
            yield RunPart(run, first, int(np.searchsorted(truth.images, first)), first_detection)

    def _keep(self, columns: Columns) -> None:
        """Writes detections in pieces, one for each part that they are of."""
        places = columns.images // IMAGES_AT_A_TIME
        rows = np.empty(len(places), dtype=_ROW)
        rows["image"], rows["class"] = columns.images % IMAGES_AT_A_TIME, columns.classes
        rows["box"], rows["score"] = columns.boxes_xywh, columns.scores
        rows["mask_score"] = columns.scores if columns.mask_scores is None else columns.mask_scores
        self._mask_scores_there |= columns.mask_scores is not None
        counts = [mask["counts"] if mask else b"" for mask in columns.masks or ()]
        rows["mask_bytes"] = [len(own) for own in counts] if counts else 0
        self._masks_there |= any(counts)
        for place in np.unique(places).tolist():
            own = np.flatnonzero(places == place)
            self._pieces[place].append((self._rows.tell(), len(own), self._masks.tell()))
            self._lengths[place] += len(own)
            self._rows.write(rows[own].tobytes())
            if counts:
                self._masks.write(b"".join(counts[row] for row in own.tolist()))

    def _found(self, place: int, truth: Truth) -> Found:
        pieces = self._pieces[place]
        rows = np.concatenate([np.zeros(0, _ROW), *(self._piece(start, number) for start, number, _ in pieces)])
        images = rows["image"].astype(np.int64)
        masks = list(self._masks_of(place, rows, truth.image_sizes[images])) if self._masks_there else None
        mask_scores = rows["mask_score"] if self._mask_scores_there else None
        found = in_order(images, rows["class"].astype(np.int64), rows["box"], rows["score"], masks, mask_scores)
        return found_under(self.whole.protocol, truth, found)

    def _piece(self, start: int, number: int) -> Array:
        self._rows.seek(start)
        return np.frombuffer(self._rows.read(number * _ROW.itemsize), dtype=_ROW)

    def _masks_of(self, place: int, rows: Array, sizes: Ints) -> Iterator[Rle | None]:
        lengths, row = rows["mask_bytes"].tolist(), 0
        for _, number, start in self._pieces[place]:
            self._masks.seek(start)
            for at in range(row, row + number):
                counts = self._masks.read(lengths[at])
                yield {"size": sizes[at].tolist(), "counts": counts} if counts else None
            row += number
