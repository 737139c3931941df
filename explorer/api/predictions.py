"""Runs made of the objects that other libraries return: what `Run.from_supervision` and its like do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from reprlib import repr as shorten
from typing import Any

import numpy as np

from explorer.api.evaluate import Evaluation
from explorer.api.inputs import Data, as_truth
from explorer.data.ids import Id
from explorer.scoring.foreign.boxes import Box, Looked, named, results_of
from explorer.scoring.ignored import run_under
from explorer.scoring.protocols import COCO, Protocol, protocol_of
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import Run, silence

_NO_OBJECT = "__background__"
"""What RF-DETR calls its output for no class, which is among its detections at low thresholds."""


def from_supervision(
    detections: Mapping[str, Any], data: Data, name: str, class_names: Any, protocol: str | Protocol = COCO
) -> Evaluation:
    """See `Run.from_supervision`."""

    def boxes() -> Iterator[Box | Looked]:
        for image, found in _by_name(detections, "supervision.Detections").items():
            yield Looked(image)
            confidence, known = found.confidence, (found.data or {}).get("class_name")
            if len(found) and confidence is None:
                raise ValueError(f"the detections on {image!r} have no confidence")
            for place in range(len(found)):
                if known is not None and known[place] == _NO_OBJECT:
                    continue
                if class_names or known is None:
                    label = named(_class_id(found, place, image), class_names)
                else:
                    label = str(known[place])
                yield Box(image, label, found.xyxy[place].tolist(), float(confidence[place]))

    return _run(boxes(), data, name, protocol)


def from_ultralytics(results: Iterable[Any], data: Data, name: str, protocol: str | Protocol = COCO) -> Evaluation:
    """See `Run.from_ultralytics`."""

    def boxes() -> Iterator[Box | Looked]:
        for result in results:
            own = result.boxes
            if own is None:
                raise ValueError(f"the result of {result.path!r} has no boxes: detectors and segmenters have them")
            yield Looked(str(result.path))
            columns = (_array(column) for column in (own.cls, own.xyxy, own.conf))
            for label, corners, score in zip(*columns, strict=True):
                yield Box(str(result.path), named(label, result.names), corners.tolist(), float(score))

    return _run(boxes(), data, name, protocol)


def from_transformers(
    outputs: Mapping[str, Any], data: Data, name: str, class_names: Any, protocol: str | Protocol = COCO
) -> Evaluation:
    """See `Run.from_transformers`."""

    def boxes() -> Iterator[Box | Looked]:
        for image, found in _by_name(outputs, "the pipeline's list").items():
            yield Looked(image)
            if isinstance(found, Mapping) and found.keys() >= {"scores", "labels", "boxes"}:
                columns = (_array(found[column]) for column in ("labels", "boxes", "scores"))
                for label, corners, score in zip(*columns, strict=True):
                    yield Box(image, named(label, class_names), corners.tolist(), float(score))
            elif isinstance(found, (list, tuple)) and all(isinstance(one, Mapping) and "box" in one for one in found):
                for one in found:
                    corners = [one["box"].get(end) for end in ("xmin", "ymin", "xmax", "ymax")]
                    yield Box(image, one.get("label"), corners, one.get("score"))
            else:
                raise ValueError(
                    f"the output of {image!r} is {shorten(found)}; give the pipeline's list of score, label and box, "
                    "or what post_process_object_detection returns for the image"
                )

    return _run(boxes(), data, name, protocol)


def _run(boxes: Iterator[Box | Looked], data: Data, name: str, protocol: str | Protocol) -> Evaluation:
    truth = as_truth(data)
    looked: set[Id] = set()
    entries = list(results_of(boxes, truth, name, looked))
    facts = {} if not isinstance(data, str) else {"data": data}
    found = found_among(entries, truth, name)
    run = Run(name, truth, found, facts, notes=silence(name, truth, found, looked))
    return Evaluation.of(run_under(protocol_of(protocol), run))


def _by_name(given: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(
            f"a {type(given).__name__} does not say which image each is of: give a mapping from the name of the "
            f"image's file to {what}, as in {{'000007.jpg': …}}"
        )
    return given


def _class_id(found: Any, place: int, image: str) -> int:
    if found.class_id is None:
        raise ValueError(f"the detections on {image!r} have no class_id and no class_name")
    return int(found.class_id[place])


def _array(column: Any) -> Any:
    """A column of numbers, whichever library and device has it."""
    for step in ("detach", "cpu"):
        column = getattr(column, step, lambda column=column: column)()
    return np.asarray(column)
