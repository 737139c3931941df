"""A run as one of FiftyOne's evaluations, so that its panels, patches, confusion matrices and curves show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from explorer.browser.ids import object_ids
from explorer.browser.judging import Survey
from explorer.browser.match_log import MatchLog
from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.scoring.protocols import COCO, Protocol

SIZE_METRIC = "@vovnet/explorer/evaluate_by_size"
"""The plugin's metric by FiftyOne's name for it."""


def declare_evaluation(dataset: Any, fields: RunFields, iou: float) -> Any:
    """Registers an evaluation and its fields, and returns FiftyOne's object for it. It has no results yet.

    Its true positives have an object at whatever score, as FiftyOne has it; what is found is another field.
    """
    from fiftyone.utils.eval.coco import COCOEvaluationConfig

    config = COCOEvaluationConfig(fields.predictions, GROUND_TRUTH, iou=iou, classwise=True, compute_mAP=True)
    method = config.build()
    method.register_run(dataset, fields.eval_key, overwrite=True, cleanup=False)
    method.register_samples(dataset, fields.eval_key)
    return method


def save_results(
    dataset: Any, method: Any, log: MatchLog, whole: Survey, fields: RunFields, figures: Mapping[str, float | None]
) -> None:
    """Saves the results of a registered evaluation: its matches, the curves that its AP comes from, and AP by size."""
    from fiftyone.utils.eval.coco import COCODetectionResults

    results = COCODetectionResults(
        dataset,
        method.config,
        fields.eval_key,
        [],
        whole.curves.precision,
        np.linspace(0, 1, whole.curves.precision.shape[-1]),
        whole.thresholds,
        list(whole.figures.class_names),
        recall_sweep=whole.curves.recall,
        thresholds=whole.curves.scores,
        custom_metrics=metrics_by_size(figures, fields.protocol),
        backend=method,
    )
    columns = log.columns(dataset.name, fields, results.missing)
    document = method._get_run_doc(dataset, fields.eval_key)
    _store(document, f"{dataset._doc.id}/{fields.eval_key}", _in_json(results.serialize(), columns))
    document.results_meta = dict(results.get_meta() or {})
    document.save()
    method.add_fields_to_sidebar_group(dataset, fields.eval_key, omit_fields=(fields.predictions, GROUND_TRUTH))


def _in_json(results: Mapping[str, Any], columns: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yields the text that FiftyOne keeps of results, with these columns put in where the results have none."""
    from bson import json_util

    for place, (name, value) in enumerate(results.items()):
        yield f"{', ' if place else '{'}{json_util.dumps(name)}: "
        if name in columns:
            assert value == []
            yield "["
            yield from columns[name]
            yield "]"
        else:
            yield json_util.dumps(value)
    yield "}"


def _store(document: Any, name: str, text: Iterable[str]) -> None:
    """Writes the results of an evaluation where FiftyOne looks for them, without ever holding all of them."""
    if document.results:
        document.results.delete()
    own = object_ids(name, np.zeros(1, np.int64))[0]
    document.results.fs.delete(own)  # half written by a process that was killed
    document.results.new_file(_id=own, content_type="application/json")
    for piece in text:
        document.results.write(piece.encode())
    document.results.close()


def metrics_by_size(figures: Mapping[str, float | None], protocol: Protocol = COCO) -> dict[str, dict[str, Any]]:
    """Makes FiftyOne's entries for AP by size, as its Model Evaluation panel shows them."""
    first, *_ = *protocol.ap_by_size, ""
    called = "COCO" if protocol.name == COCO.name else protocol.name
    return {
        SIZE_METRIC if name == first else f"{SIZE_METRIC}/{name}": {
            "key": name,
            "value": figures[name],
            "label": f"{name} ({called}), %",
            "lower_is_better": False,
        }
        for name in protocol.ap_by_size
        if figures.get(name) is not None
    }
