"""Who has whom, as FiftyOne keeps it with an evaluation: taken down part by part on disk, read back by column."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np

from explorer.browser.ids import object_ids_as_text
from explorer.browser.judging import JudgedPart
from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.scoring.columns import Truth
from explorer.scoring.matching import NOBODY
from explorer.types import Array

ROWS_AT_A_TIME = 2**14
_ROW = np.dtype([("detection", "i8"), ("object", "i8"), ("class", "i4"), ("iou", "f8"), ("score", "f8")])


class MatchLog(ExitStack):
    """True and false positives, then misses; what COCO ignores is left out. A context manager, for its file.

    Attributes:
        images: number of images in the run.
    """

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self._truth, self._missed = truth, [np.zeros(0, np.int64)]
        self.images = len(truth.image_ids)
        self._file = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it

    def add(self, own: JudgedPart) -> None:
        """Takes down what is said of some more images."""
        judged, found = own.judged, own.judged.run.found
        kept = np.flatnonzero(judged.right >= 0)
        rows = np.empty(len(kept), dtype=_ROW)
        objects = judged.objects[kept]
        rows["detection"] = kept + own.part.first_detection
        rows["object"] = np.where(objects == NOBODY, NOBODY, objects + own.part.first_object)
        rows["class"], rows["iou"], rows["score"] = found.classes[kept], judged.ious[kept], found.scores[kept]
        self._file.write(rows.tobytes())
        self._missed.append(np.flatnonzero(judged.missed == 1) + own.part.first_object)

    def columns(self, dataset: str, fields: RunFields, missing: str) -> dict[str, Iterator[str]]:
        """Returns the columns that FiftyOne keeps, by its names, each as the inside of a JSON list in pieces.

        Args:
            dataset: the data set's name.
            fields: the run's.
            missing: FiftyOne's word for the class of what is not there.
        """
        names, nobody = [json.dumps(name) for name in self._truth.class_names], json.dumps(missing)

        def classes(rows: Array) -> list[str]:
            return [names[row] for row in rows["class"].tolist()]

        def own_classes(rows: Array) -> list[str]:
            return [name if there else nobody for name, there in zip(classes(rows), _there(rows), strict=True)]

        def ious(rows: Array) -> list[str]:
            return [
                repr(iou) if there else "null" for iou, there in zip(rows["iou"].tolist(), _there(rows), strict=True)
            ]

        def truth_ids(rows: Array) -> list[str]:
            ids = object_ids_as_text(f"{dataset}/{GROUND_TRUTH}", self._truth.ids[rows["object"]])
            return [f'"{own}"' if there else "null" for own, there in zip(ids, _there(rows), strict=True)]

        def found_ids(rows: Array) -> list[str]:
            return [f'"{own}"' for own in object_ids_as_text(f"{dataset}/{fields.predictions}", rows["detection"])]

        return {
            "ytrue": self._column(own_classes, own_classes),
            "ypred": self._column(classes, lambda rows: [nobody] * len(rows)),
            "confs": self._column(lambda rows: [repr(score) for score in rows["score"].tolist()], _nothing),
            "ytrue_ids": self._column(truth_ids, truth_ids),
            "ypred_ids": self._column(found_ids, _nothing),
            "ious": self._column(ious, _nothing),
        }

    def _column(
        self, of_detections: Callable[[Array], list[str]], of_missed: Callable[[Array], list[str]]
    ) -> Iterator[str]:
        before = ""
        for rows, missed in self._blocks():
            yield before + ", ".join((of_missed if missed else of_detections)(rows))
            before = ", "

    def _blocks(self) -> Iterator[tuple[Array, bool]]:
        """Yields rows of detections, then rows of objects that have none."""
        start = 0
        while True:
            self._file.seek(start)
            read = self._file.read(ROWS_AT_A_TIME * _ROW.itemsize)
            if not read:
                break
            yield np.frombuffer(read, dtype=_ROW), False
            start += len(read)
        missed = np.concatenate(self._missed)
        for first in range(0, len(missed), ROWS_AT_A_TIME):
            objects = missed[first : first + ROWS_AT_A_TIME]
            rows = np.zeros(len(objects), dtype=_ROW)
            rows["object"], rows["class"] = objects, self._truth.classes[objects]
            yield rows, True


def _there(rows: Array) -> list[bool]:
    there: list[bool] = (rows["object"] != NOBODY).tolist()
    return there


def _nothing(rows: Array) -> list[str]:
    return ["null"] * len(rows)
