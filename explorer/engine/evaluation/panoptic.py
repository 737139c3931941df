"""Panoptic quality (PQ), with the numbers of COCO's `panopticapi`.

A predicted and a true segment of one category match where their IoU exceeds one half; no segment can then match two.
With TP the matches, FP and FN the unmatched predicted and true segments, a category has segmentation quality
SQ = mean IoU of the matches, recognition quality RQ = TP / (TP + FP/2 + FN/2), and PQ = SQ · RQ. Figures are means
over the categories that occur.

Source: Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4; unlabelled pixels and crowds are treated as in
section 4.2 and by `panopticapi`.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from explorer.data.annotations import PANOPTIC, categories_in_order, is_set, read_annotations
from explorer.data.ids import Id
from explorer.data.images import ImageError
from explorer.data.panoptic import read_labels
from explorer.scoring.classes import SharedClasses, shared_classes

VOID = 0
"""The segment id of pixels without a label."""

SegmentInfo = Mapping[str, Any]
"""One segment of COCO's `segments_info`: `id`, `category_id` and, in ground truth, `iscrowd`."""


def _lists() -> defaultdict[Id, list[float]]:
    return defaultdict(list)


@dataclass(frozen=True)
class SegmentCounts:
    """Matches and misses by category id."""

    ious: defaultdict[Id, list[float]] = field(default_factory=_lists)
    false_positives: Counter[Id] = field(default_factory=Counter)
    false_negatives: Counter[Id] = field(default_factory=Counter)

    def add(self, other: SegmentCounts) -> None:
        """Adds the counts of `other` to these."""
        for category, ious in other.ious.items():
            self.ious[category].extend(ious)
        self.false_positives.update(other.false_positives)
        self.false_negatives.update(other.false_negatives)

    def quality(self, category: Id) -> tuple[float, float, float] | None:
        """Returns (PQ, SQ, RQ) of a category in [0, 1], or None where it neither occurs nor is predicted."""
        matches = len(self.ious.get(category, ()))
        possible = matches + (self.false_positives[category] + self.false_negatives[category]) / 2
        if not possible:
            return None
        total_iou = math.fsum(self.ious.get(category, ()))  # exact, so the order of images does not matter
        return total_iou / possible, total_iou / matches if matches else 0.0, matches / possible


def match_segments(
    true_ids: npt.NDArray[np.integer[Any]],
    true_segments: Sequence[SegmentInfo],
    predicted_ids: npt.NDArray[np.integer[Any]],
    predicted_segments: Sequence[SegmentInfo],
) -> SegmentCounts:
    """Matches the segments of one image.

    Args:
        true_ids: `(height, width)` segment ids below 2³¹, 0 where nothing is labelled.
        true_segments: the segments of `true_ids`; crowds count neither as found nor as missed.
        predicted_ids: `(height, width)` segment ids below 2³¹, 0 where nothing is predicted.
        predicted_segments: the segments of `predicted_ids`.

    Raises:
        ValueError: if the two maps differ in size.
    """
    if true_ids.shape != predicted_ids.shape:
        raise ValueError(
            f"The prediction has {predicted_ids.shape} (height, width) pixels, the ground truth {true_ids.shape}; "
            "predict in the frame of the original image."
        )
    overlaps = _overlaps(true_ids, predicted_ids)
    true_areas, predicted_areas = Counter[int](), Counter[int]()
    for (true_id, predicted_id), pixels in overlaps.items():
        true_areas[true_id] += pixels
        predicted_areas[predicted_id] += pixels
    missed = {int(s["id"]): s["category_id"] for s in true_segments if not is_set(s.get("iscrowd"))}
    # Of several crowds of one category panopticapi heeds the last; figures are to be the same.
    crowds = {s["category_id"]: int(s["id"]) for s in true_segments if is_set(s.get("iscrowd"))}
    false_alarms = {int(s["id"]): s["category_id"] for s in predicted_segments}

    tally = SegmentCounts()
    for (true_id, predicted_id), pixels in overlaps.items():
        category = missed.get(true_id)
        if category is None or category != false_alarms.get(predicted_id):
            continue
        labelled = predicted_areas[predicted_id] - overlaps.get((VOID, predicted_id), 0)
        iou = pixels / (true_areas[true_id] + labelled - pixels)
        if iou > 0.5:
            tally.ious[category].append(iou)
            del missed[true_id], false_alarms[predicted_id]
    tally.false_negatives.update(missed.values())
    for predicted_id, category in false_alarms.items():
        excused = overlaps.get((VOID, predicted_id), 0)
        if category in crowds:
            excused += overlaps.get((crowds[category], predicted_id), 0)
        if predicted_areas[predicted_id] and excused <= predicted_areas[predicted_id] / 2:
            tally.false_positives[category] += 1
    return tally


def panoptic_metrics(tally: SegmentCounts, categories: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Returns PQ, SQ and RQ in percent: over all categories, things (`_th`), stuff (`_st`), and `PQ-<class>`.

    Args:
        tally: the counts of all images.
        categories: COCO's panoptic categories with `id`, `name` and `isthing`.
    """
    by_kind: dict[str, list[tuple[float, float, float]]] = {"": [], "_th": [], "_st": []}
    per_class: dict[str, float] = {}
    for category in categories:
        quality = tally.quality(category["id"])
        per_class[f"PQ-{category['name']}"] = 100 * quality[0] if quality else float("nan")
        if quality:
            by_kind[""].append(quality)
            by_kind["_th" if category["isthing"] else "_st"].append(quality)
    figures = {
        f"{name}{kind}": 100 * math.fsum(q[place] for q in qualities) / len(qualities) if qualities else float("nan")
        for kind, qualities in by_kind.items()
        for place, name in enumerate(("PQ", "SQ", "RQ"))
    }
    return figures | per_class


class PanopticEvaluator(DatasetEvaluator):
    """Scores a panoptic model's outputs as they come; follows detectron2's protocol.

    Ground truth is read image by image, and several processes gather their counts: the main process computes exactly
    what one process would have. Only the images that were processed count.

    Args:
        dataset: a registered data set whose metadata has `panoptic_json`, `panoptic_root` and the tables
            `thing_dataset_id_to_contiguous_id` and `stuff_dataset_id_to_contiguous_id`.
        things: which of the model's object classes are which of the data set's; the same ones where None.
        stuff: the same for semantic classes. Pixels of classes that are not scored count as unlabelled.

    Raises:
        ValueError: if the data set has no panoptic annotations.
    """

    def __init__(self, dataset: str, things: SharedClasses | None = None, stuff: SharedClasses | None = None) -> None:
        metadata = MetadataCatalog.get(dataset)
        if not metadata.get("panoptic_json"):
            raise ValueError(f"Data set {dataset!r} has no panoptic annotations (panoptic_<split>.json).")
        content, faults = read_annotations(Path(metadata.panoptic_json), PANOPTIC)
        if faults:
            raise ValueError(f"{metadata.panoptic_json} cannot be used: {faults[0]}")
        self._root = Path(metadata.panoptic_root)
        self._truth = {item["image_id"]: item for item in content["annotations"]}
        things = things or shared_classes(metadata.thing_classes, metadata.thing_classes)
        stuff = stuff or shared_classes(metadata.stuff_classes, metadata.stuff_classes)
        categories = categories_in_order(content["categories"])
        self._scored = _scored_ids(categories, things, stuff)
        kept = dict.fromkeys(self._scored.values())
        by_id = {category["id"]: category for category in categories}
        new_names = {**things.renamed, **stuff.renamed}
        self._categories = [
            {**by_id[id_], "name": new_names.get(by_id[id_]["name"], by_id[id_]["name"])} for id_ in kept
        ]
        ids = {(category["name"], bool(category["isthing"])): category["id"] for category in self._categories}
        self._thing_ids = [ids[things.names[row], True] if row >= 0 else None for row in things.rows]
        self._stuff_ids = [ids.get((stuff.names[row], False)) if row >= 0 else None for row in stuff.rows]
        self.reset()

    def reset(self) -> None:
        self._tally = SegmentCounts()

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Scores the `panoptic_seg` of a batch of images, each in the frame of its original image."""
        for image, output in zip(inputs, outputs, strict=True):
            truth = self._truth[image["image_id"]]
            segment_ids, segments = output["panoptic_seg"]
            predicted = [
                {"id": s["id"], "category_id": id_} for s in segments if (id_ := self._category_id(s)) is not None
            ]
            true_ids = read_labels(self._root / truth["file_name"])
            if true_ids.shape != segment_ids.shape:
                raise ImageError(f"{truth['file_name']}: its size {true_ids.shape} is not its image's")
            there = [
                {**s, "category_id": self._scored[s["category_id"]]}
                for s in truth["segments_info"]
                if s["category_id"] in self._scored
            ]
            if len(there) < len(truth["segments_info"]):
                true_ids = np.where(np.isin(true_ids, [s["id"] for s in there]), true_ids, VOID)
            self._tally.add(match_segments(true_ids, there, segment_ids.cpu().numpy(), predicted))

    def evaluate(self) -> OrderedDict[str, dict[str, float]]:
        """Returns `{"panoptic_seg": {"PQ": …, …}}` in percent, nothing except in the main process."""
        comm.synchronize()
        tallies = comm.gather(self._tally, dst=0)
        if not comm.is_main_process():
            return OrderedDict()
        total = SegmentCounts()
        for tally in tallies:
            total.add(tally)
        return OrderedDict(panoptic_seg=panoptic_metrics(total, self._categories))

    def _category_id(self, segment: SegmentInfo) -> Id | None:
        """The data set's category of a predicted segment; None where it is not scored."""
        return (self._thing_ids if segment["isthing"] else self._stuff_ids)[segment["category_id"]]


def _scored_ids(categories: Sequence[Mapping[str, Any]], things: SharedClasses, stuff: SharedClasses) -> dict[Id, Id]:
    """Returns, by category id, the id under which a category is scored; those of one new name share the first's."""
    first: dict[tuple[bool, int], Id] = {}
    scored: dict[Id, Id] = {}
    for category in categories:
        isthing = bool(category["isthing"])
        row = (things if isthing else stuff).row_of(category["name"])
        if row >= 0:
            scored[category["id"]] = first.setdefault((isthing, row), category["id"])
    return scored


def _overlaps(
    true_ids: npt.NDArray[np.integer[Any]], predicted_ids: npt.NDArray[np.integer[Any]]
) -> dict[tuple[int, int], int]:
    """Counts the pixels that each pair of true and predicted segment shares."""
    pairs = (true_ids.astype(np.int64) << 32) | predicted_ids.astype(np.int64)
    codes, pixels = np.unique(pairs, return_counts=True)
    return {(int(code) >> 32, int(code) & 0xFFFFFFFF): int(n) for code, n in zip(codes, pixels, strict=True)}
