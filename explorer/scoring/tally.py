"""The figures, curves and thresholds of a whole run, from matches that come in parts.

Of each detection only what these need is kept, on disk: its score and, by size and IoU threshold, whether it counts and
whether it finds an object. It is read back class by class. The results are those of `metrics.score`,
`curves.class_curves` and `outcomes.ranking`, to the last digits.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack

import numpy as np

from explorer.scoring.curves import Curves, average_precision, curve
from explorer.scoring.matching import NOBODY, Matches
from explorer.scoring.metrics import Figures, count_objects, figures_of
from explorer.scoring.outcomes import Ranking, ranking
from explorer.scoring.protocols import figure_names
from explorer.types import Array, Floats, Ints

_MOST_LEVELS = 64
"""Of IoU thresholds; a detection has a bit for each."""


class Tally(ExitStack):
    """Takes matches in, part after part in the order of the images. A context manager, for its file.

    Args:
        first: the first part.
        iou: at which detections are ranked.
    """

    def __init__(self, first: Matches, iou: float) -> None:
        super().__init__()
        self._like, self._iou = first, iou
        sizes, levels = len(first.bins), len(first.thresholds)
        if levels > _MOST_LEVELS:
            raise ValueError(f"there are {levels} IoU thresholds; at most {_MOST_LEVELS} are counted in parts")
        self._bits = np.dtype("u2" if levels <= 16 else "u8")
        classes = len(first.run.truth.class_names)
        self._row = np.dtype([("score", "f8"), ("hits", self._bits, sizes), ("counts", self._bits, sizes)])
        self._objects = np.zeros((sizes, classes), dtype=np.int64)
        self._images_with = np.zeros(sizes, dtype=np.int64)
        self._images_with_class = np.zeros((sizes, classes), dtype=np.int64)
        self._hits = np.zeros((len(first.max_detections), sizes, classes), dtype=np.int64)
        self._images = 0
        self._edges: list[Ints] = []
        self._rankings: list[Ranking] = []
        self._file = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        self.add(first)

    def add(self, matches: Matches) -> None:
        """Takes in the matches on some more images."""
        truth, found = matches.run.truth, matches.run.found
        objects, images_with, images_with_class = count_objects(matches)
        self._objects += objects
        self._images_with += images_with
        self._images_with_class += images_with_class
        self._images += len(truth.image_ids)
        self._rankings.append(ranking([matches], self._iou))
        rows = np.zeros(len(found), dtype=self._row)
        rows["score"] = found.scores
        bits = np.left_shift(1, np.arange(len(matches.thresholds), dtype=np.uint64), dtype=np.uint64).astype(self._bits)
        rows["counts"] = np.where(matches.detections_in_bin, bits.sum(dtype=self._bits), self._bits.type(0)).T
        for place in range(len(matches.bins)):
            taken = matches.taken[place]
            hits = matches.hits(place)
            counts = np.where(taken != NOBODY, hits, matches.detections_in_bin[place][matches.candidates])
            rows["hits"][matches.candidates, place] = bits @ hits
            rows["counts"][matches.candidates, place] = bits @ counts
            for limit, within in enumerate(matches.max_detections):
                kept = matches.ranks[matches.candidates] < within
                classes = found.classes[matches.candidates[kept]]
                np.add.at(self._hits[limit, place], classes, hits[:, kept].sum(axis=0))
        order = np.argsort(found.classes, kind="stable")
        order = order[matches.counted[order]]
        self._edges.append(np.searchsorted(found.classes[order], np.arange(len(truth.class_names) + 1)))
        self._file.write(rows[order].tobytes())

    def ranking(self) -> Ranking:
        """The detections that count, by score; parts are given up for the whole."""
        parts, like = self._rankings, self._like
        whole = Ranking(
            like.run.name,
            self._iou,
            np.sort(np.concatenate([part.scores for part in parts])),
            np.sort(np.concatenate([part.right for part in parts])),
            sum(part.objects for part in parts),
        )
        self._rankings = [whole]
        return whole

    def score(self) -> tuple[Figures, Curves]:
        """Computes the figures, and the curves of all sizes."""
        like, classes = self._like, len(self._like.run.truth.class_names)
        shape = (len(like.bins), len(like.thresholds), classes)
        precision, scores, recall = np.full((*shape, 101), -1.0), np.full((*shape, 101), -1.0), np.full(shape, -1.0)
        average, every_recall = np.full(shape, np.nan), like.protocol.every_recall
        for row in range(classes):
            own = self._of_class(row)
            own = own[np.argsort(-own["score"], kind="stable")]
            for size in np.flatnonzero(self._objects[:, row]).tolist():
                for level in range(len(like.thresholds)):
                    bit = self._bits.type(1 << level)
                    kept = (own["counts"][:, size] & bit) > 0
                    hits = (own["hits"][kept, size] & bit) > 0
                    at, number = (size, level, row), int(self._objects[size, row])
                    precision[at], scores[at], recall[at] = curve(hits, own["score"][kept], number)
                    average[at] = average_precision(hits, number, every_recall=every_recall)
        all_sizes = like.bin_index("all")
        curves = Curves(precision[all_sizes], scores[all_sizes], recall[all_sizes])
        return self._figures(average), curves

    def _figures(self, average: Floats) -> Figures:
        like = self._like
        objects = np.where(self._objects > 0, self._objects, np.nan)
        recall = self._hits / objects / len(like.thresholds)
        return Figures(
            run=like.run.name,
            task=like.task,
            names=figure_names(like.thresholds, like.max_detections),
            bins=like.bins,
            class_names=like.run.truth.class_names,
            by_class=figures_of(like, average, recall),
            objects=self._objects,
            images=self._images,
            images_with=self._images_with,
            images_with_class=self._images_with_class,
            protocol=like.protocol,
        )

    def _of_class(self, row: int) -> Array:
        """What was kept of the detections of a class, by image."""
        pieces, start = [np.zeros(0, self._row)], 0
        for edges in self._edges:
            first, last = edges[row : row + 2].tolist()
            self._file.seek((start + first) * self._row.itemsize)
            pieces.append(np.frombuffer(self._file.read((last - first) * self._row.itemsize), dtype=self._row))
            start += int(edges[-1])
        return np.concatenate(pieces)
