"""Mean IoU of semantic segmentation, for the semantic head of panoptic models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from explorer.data.images import ImageError
from explorer.data.panoptic import read_classes
from explorer.scoring.classes import SharedClasses, shared_classes
from explorer.types import Ints

_LABELS = 2**8
"""As many as a label image of 8 bits can hold."""
_UNSCORED = -1


class SemanticEvaluator(DatasetEvaluator):
    """Counts pixels by true and predicted class; follows detectron2's protocol and gives its figures.

    Several processes add their counts. It replaces detectron2's `SemSegEvaluator`, whose reading of ground
    truth fails with NumPy 2.

    Args:
        dataset: a registered data set whose records have `sem_seg_file_name` and whose metadata has `stuff_classes`
            and `ignore_label`.
        classes: which of the model's semantic classes are which of the data set's; the same ones where None. Pixels of
            the data set's other classes do not count.
    """

    def __init__(self, dataset: str, classes: SharedClasses | None = None) -> None:
        metadata = MetadataCatalog.get(dataset)
        classes = classes or shared_classes(metadata.stuff_classes, metadata.stuff_classes)
        self._truth = {record["image_id"]: record["sem_seg_file_name"] for record in DatasetCatalog.get(dataset)}
        self._names = classes.names
        number = len(classes.names)
        self._true = np.full(_LABELS, _UNSCORED)  # by label in the image
        for label, name in enumerate(metadata.stuff_classes):
            self._true[label] = classes.row_of(name)
        self._true[int(metadata.ignore_label)] = _UNSCORED
        self._predicted = np.array([row if row >= 0 else number for row in classes.rows])  # the last one is "another"
        self.reset()

    def reset(self) -> None:
        self._pixels = np.zeros((len(self._names), len(self._names) + 1), dtype=np.int64)  # by true, predicted class

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Counts the pixels of a batch of images, whose `sem_seg` is `(classes, height, width)`."""
        for image, output in zip(inputs, outputs, strict=True):
            predicted = self._predicted[output["sem_seg"].argmax(dim=0).cpu().numpy()]
            truth = self._true[self._read(self._truth[image["image_id"]], predicted.shape)]
            labelled = truth != _UNSCORED
            codes = truth[labelled] * self._pixels.shape[1] + predicted[labelled]
            self._pixels += np.bincount(codes, minlength=self._pixels.size).reshape(self._pixels.shape)

    def _read(self, path: str | Path, size: tuple[int, ...]) -> Ints:
        truth = read_classes(path).astype(np.int64)
        if truth.shape != size:
            raise ImageError(f"{path}: its size {truth.shape} is not its image's, {size}")
        return truth

    def evaluate(self) -> OrderedDict[str, dict[str, float]]:
        """Returns `{"sem_seg": {"mIoU": …, …}}` in percent, nothing except in the main process."""
        comm.synchronize()
        counts = comm.gather(self._pixels, dst=0)
        if not comm.is_main_process():
            return OrderedDict()
        return OrderedDict(sem_seg=semantic_metrics(sum(counts), self._names))


def semantic_metrics(pixels: Ints, names: Sequence[str]) -> dict[str, float]:
    """Returns figures in percent from pixel counts by (true class, predicted class); a last column may be "another".

    `mIoU` is the mean IoU over the classes that are true somewhere, as detectron2 has it, `fwIoU` weights it by true
    pixels, `pACC` is the share of right pixels and `mACC` its mean over the true classes. `IoU-<class>` is
    NaN where no pixel is truly of the class.
    """
    right, true, predicted = pixels.diagonal(), pixels.sum(axis=1), pixels.sum(axis=0)[: len(names)]
    union = true + predicted - right
    iou, accuracy = (
        np.divide(right, whole, out=np.full(len(names), np.nan), where=true > 0) for whole in (union, true)
    )
    figures = {
        "mIoU": float(np.nanmean(iou)) if true.any() else float("nan"),
        "fwIoU": float(np.nansum(iou * true) / true.sum()) if true.any() else float("nan"),
        "mACC": float(np.nanmean(accuracy)) if true.any() else float("nan"),
        "pACC": float(right.sum() / true.sum()) if true.any() else float("nan"),
    }
    figures |= {f"IoU-{name}": float(value) for name, value in zip(names, iou, strict=True)}
    return {name: 100 * value for name, value in figures.items()}
