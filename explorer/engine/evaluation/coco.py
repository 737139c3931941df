"""COCO average precision and recall, computed by `faster-coco-eval` with the numbers of `pycocotools`."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from faster_coco_eval import COCO, COCOeval_faster

from explorer.data.truth import ground_truth
from explorer.engine.artifacts import write_json
from explorer.scoring.convert import CocoResult, coco_results
from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""COCO's twelve figures in COCO's order; s, m and l are small, medium and large."""


class CocoEvaluator(DatasetEvaluator):
    """Collects a detector's outputs and computes COCO's figures for boxes and, where it has them, masks.

    It follows detectron2's protocol (`reset`, `process`, `evaluate`). Run in several processes, the detections are
    gathered and the main process computes exactly what one process would have. Only the images that were processed
    count, so a part of a data set can be evaluated.

    Args:
        dataset: a registered data set whose metadata has `json_file` and `thing_dataset_id_to_contiguous_id`.
        out: folder in which `evaluate` writes `coco_instances_results.json` and `image_ids.json`.

    Raises:
        ValueError: if the data set has no COCO annotations.
    """

    def __init__(self, dataset: str, out: Path | None = None) -> None:
        metadata = MetadataCatalog.get(dataset)
        if not metadata.get("json_file"):
            raise ValueError(
                f"Data set {dataset!r} has no COCO annotation file. Register a COCO-format folder with "
                "explorer.data.coco.register_coco, or set json_file in its metadata."
            )
        self._out = out
        self._ground_truth = COCO(ground_truth(dataset))
        if not self._ground_truth.dataset.get("annotations"):
            raise ValueError(f"{metadata.json_file} has no annotations: there is nothing to evaluate against.")
        self._category_ids = {index: id_ for id_, index in metadata.thing_dataset_id_to_contiguous_id.items()}
        self._class_names = {self._category_ids[i]: name for i, name in enumerate(metadata.thing_classes)}
        self.reset()

    def reset(self) -> None:
        self._results: dict[int, list[CocoResult]] = {}
        self._has_masks = False

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the detections (`instances`, original-image frame) of a batch of images."""
        for image, output in zip(inputs, outputs, strict=True):
            image_id, instances = int(image["image_id"]), output["instances"].to("cpu")
            self._results[image_id] = coco_results(instances, image_id, self._category_ids)
            self._has_masks |= instances.has("pred_masks")

    def evaluate(self) -> OrderedDict[str, dict[str, float]]:
        """Returns percentages by task and name: `{"bbox": {"AP": …, …, "AP-person": …}, "segm": …}`.

        A figure for which the ground truth has no object is NaN. Masks are scored where the model gives masks and the
        ground truth has some. Processes other than the main one get an empty dictionary.
        """
        comm.synchronize()
        gathered = comm.gather((self._results, self._has_masks), dst=0)
        if not comm.is_main_process():
            return OrderedDict()
        by_image = dict(sorted(itertools.chain.from_iterable(results.items() for results, _ in gathered)))
        results = list(itertools.chain.from_iterable(by_image.values()))
        if self._out:
            write_json(self._out / RESULTS_FILE, results)
            write_json(self._out / IMAGES_FILE, list(by_image))
        annotations = self._ground_truth.dataset["annotations"]
        score_masks = any(masks for _, masks in gathered) and any(a.get("segmentation") for a in annotations)
        return OrderedDict(
            (task, coco_metrics(self._ground_truth, results, task, by_image, class_names=self._class_names))
            for task in (("bbox", "segm") if score_masks else ("bbox",))
        )


def coco_metrics(
    truth: COCO,
    results: Iterable[CocoResult],
    task: str,
    image_ids: Collection[int],
    *,
    class_names: Mapping[int, str] | None = None,
) -> dict[str, float]:
    """Computes COCO's twelve figures over `image_ids`, and each class's AP.

    Args:
        truth: the annotations.
        results: detections in COCO's results format; it is not changed.
        task: `bbox` or `segm`. The size of a detection is its box's area for `bbox` and its mask's for `segm`.
        image_ids: the images that count.
        class_names: names by category id for the `AP-<class>` figures; None leaves those out.

    Returns:
        Percentages by name. NaN where the ground truth has no such object, 0 where it has and none was found.
    """
    ignored = {"bbox": "segmentation", "segm": "bbox"}[task]  # a mask would take its area from a box beside it
    detections = truth.loadRes([{k: v for k, v in result.items() if k != ignored} for result in results])
    evaluation = COCOeval_faster(truth, detections, task, print_function=lambda *_: None)
    evaluation.params.imgIds = sorted(image_ids)
    evaluation.run()
    figures = {name: _percent(stat) for name, stat in zip(METRICS, evaluation.stats, strict=True)}
    if class_names:
        precision = evaluation.eval["precision"]  # by IoU threshold, recall, class, area, detections per image
        for position, category_id in enumerate(evaluation.params.catIds):
            figures[f"AP-{class_names[category_id]}"] = _percent(precision[:, :, position, 0, -1].mean())
    return figures


def _percent(value: float) -> float:
    """Turns COCO's -1, where the ground truth has no such object, into NaN."""
    return 100.0 * float(value) if value > -1 else float("nan")
