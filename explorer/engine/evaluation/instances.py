"""What a model reports on a data set's images, collected from all processes in the order of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from explorer.engine.prediction import to_detections
from explorer.types import Detections


class CollectDetections(DatasetEvaluator):
    """Keeps a detector's outputs by image; follows detectron2's protocol (`reset`, `process`, `evaluate`).

    Args:
        class_names: the model's, by class index.
    """

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self._class_names = class_names
        self.reset()

    def reset(self) -> None:
        self._by_row: dict[int, Detections] = {}

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the detections (`instances`, original-image frame) of a batch of images."""
        for image, output in zip(inputs, outputs, strict=True):
            self._by_row[image["row"]] = to_detections(output["instances"], self._class_names)

    def evaluate(self) -> dict[str, Any]:
        """Gathers the detections in the main process; there are no figures yet."""
        comm.synchronize()
        gathered = comm.gather(self._by_row, dst=0)
        self._by_row = dict(sorted(pair for part in gathered for pair in part.items())) if gathered else {}
        return {}

    @property
    def detections(self) -> list[Detections]:
        """One per image, by row; empty except in the main process."""
        return list(self._by_row.values())
