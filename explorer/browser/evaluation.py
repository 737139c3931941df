"""A run as one of FiftyOne's evaluations, so that its panels, patches, confusion matrices and curves show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from explorer.browser.documents import label_ids
from explorer.browser.ids import object_ids
from explorer.browser.judging import IOU, Judged
from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.errors.curves import class_curves

SIZE_METRIC = "@vovnet/explorer/evaluate_by_size"
"""The plugin's metric by FiftyOne's name for it."""
Match = tuple[str | None, str | None, float | None, float | None, str | None, str | None]
"""FiftyOne's: class of the object and of the detection, IoU, score, label id of the object and of the detection."""


def declare_evaluation(dataset: Any, fields: RunFields) -> Any:
    """Registers an evaluation and its fields, and returns FiftyOne's object for it. It has no results yet."""
    from fiftyone.utils.eval.coco import COCOEvaluationConfig

    config = COCOEvaluationConfig(fields.predictions, GROUND_TRUTH, iou=IOU, classwise=True, compute_mAP=True)
    method = config.build()
    method.register_run(dataset, fields.eval_key, overwrite=True, cleanup=False)
    method.register_samples(dataset, fields.eval_key)
    return method


def save_results(
    dataset: Any, method: Any, judged: Judged, fields: RunFields, figures: Mapping[str, float | None]
) -> None:
    """Saves the results of a registered evaluation: its matches, the curves that its AP comes from, and AP by size."""
    from fiftyone.utils.eval.coco import COCODetectionResults

    curves = class_curves(judged.matches)
    results = COCODetectionResults(
        dataset,
        method.config,
        fields.eval_key,
        list(matches_of(dataset.name, judged, fields)),
        curves.precision,
        np.linspace(0, 1, curves.precision.shape[-1]),
        judged.matches.thresholds,
        list(judged.run.truth.class_names),
        recall_sweep=curves.recall,
        thresholds=curves.scores,
        custom_metrics=metrics_by_size(figures),
        backend=method,
    )
    method.save_run_results(dataset, fields.eval_key, results, cache=False)
    method.add_fields_to_sidebar_group(dataset, fields.eval_key, omit_fields=(fields.predictions, GROUND_TRUTH))


def metrics_by_size(figures: Mapping[str, float | None]) -> dict[str, dict[str, Any]]:
    """Makes FiftyOne's entries for COCO's AP by size, as its Model Evaluation panel shows them."""
    return {
        SIZE_METRIC if name == "APs" else f"{SIZE_METRIC}/{name}": {
            "key": name,
            "value": figures[name],
            "label": f"{name} (COCO), %",
            "lower_is_better": False,
        }
        for name in ("APs", "APm", "APl")
        if figures.get(name) is not None
    }


def matches_of(dataset: str, judged: Judged, fields: RunFields) -> Iterator[Match]:
    """Yields true and false positives, then misses; what COCO ignores is left out."""
    run = judged.run
    names, truth_ids = run.truth.class_names, [str(own) for own in label_ids(dataset, run.truth)]
    rows = np.flatnonzero(judged.right >= 0)
    found_ids = object_ids(f"{dataset}/{fields.predictions}", rows)
    columns = (
        judged.objects[rows].tolist(),
        run.found.classes[rows].tolist(),
        judged.ious[rows].tolist(),
        run.found.scores[rows].tolist(),
        found_ids,
    )
    for thing, kind, iou, score, own in zip(*columns, strict=True):
        if thing >= 0:
            yield names[kind], names[kind], iou, score, truth_ids[thing], str(own)
        else:
            yield None, names[kind], None, score, None, str(own)
    for row in np.flatnonzero(judged.missed == 1).tolist():
        yield names[run.truth.classes[row]], None, None, None, truth_ids[row], None
