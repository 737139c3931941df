"""Autopsies over a data set: for every object, where in the detector it was lost, or that it was found.

The verdicts are defined in `explorer.autopsy.verdicts`. Images are read, followed and forgotten one at a time. What is
found is said by the matches of a run (`explorer.scoring.outcomes`), as in every other view of that run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.autopsy.counterfactual import try_again
from explorer.autopsy.dissection import Dissection
from explorer.autopsy.findings import Finding
from explorer.autopsy.objects import Objects
from explorer.autopsy.result import Autopsy
from explorer.engine.devices import gpu_explained
from explorer.engine.evaluation.reading import read_row
from explorer.scoring.classes import shared_classes
from explorer.scoring.columns import Truth
from explorer.scoring.convert import run_from_detections
from explorer.scoring.matching import Matches, match
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.sizes import ALL
from explorer.text import logger_of
from explorer.types import Ints, Progress

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.types import Detections


logger = logger_of(__name__)


@gpu_explained()
def autopsy(
    detector: Detector,
    truth: Truth,
    *,
    found: FoundRule = FOUND,
    matches: Matches | None = None,
    verify: bool = False,
    progress: Progress | None = None,
    on_detections: Callable[[Detections], None] | None = None,
) -> Autopsy:
    """Finds out, for every object, where the detector lost it.

    Photographs are followed as a whole, even those that the detector cuts into tiles; a warning says so. What it
    reports on these, and what is found, is of their tiles, as in `Detector.detect`.

    Args:
        detector: a Faster, Mask or Panoptic R-CNN, RetinaNet, FCOS or CenterMask.
        truth: what is there, and the image files.
        found: what counts as found.
        matches: of the boxes of a run of this detector on `truth`, which say what is found; None for what the detector
            reports as it is followed.
        verify: relax for each lost object the stage that lost it, and nothing else, and see how far it gets then; see
            `explorer.autopsy.counterfactual`.
        progress: called after each image.
        on_detections: called with what the model reports on each image, without masks, so that one forward pass gives
            both; images that it cuts into tiles take further ones.

    Raises:
        ValueError: the detector has other stages, or other classes than the data, or the matches are of other objects,
            not at the rule's IoU, or do not reach its precision.
        ImageError: an image cannot be read, or has another size than its annotations say.
    """
    from explorer.autopsy.families import tracer_of
    from explorer.engine.windows import seen_whole

    if words := seen_whole(detector.cut, truth.image_sizes, "The autopsy"):
        logger.warning(words)
    point = found.of(matches) if matches else None  # says at once what is wrong
    tracer = tracer_of(detector)
    class_indices = class_indices_of(detector, truth)
    row_of_class = _class_rows(class_indices, len(detector.class_names))
    findings: list[Finding] = []
    detections: list[Detections] = []
    for image, rows in enumerate(_rows_by_image(truth)):
        if matches is None or on_detections or rows.stop > rows.start:
            pixels = read_row(truth, image)
            view = tracer.look(pixels)
            dissection = Dissection(tracer, tracer.follow(view), objects_in(truth, image, class_indices), iou=found.iou)
            own = _verified(view, dissection) if verify else dissection.findings()
            findings += [_in_table(finding, rows.start, row_of_class) for finding in own]
            if matches is None or on_detections:
                cut = detector.cut and detector.cut.windows(*pixels.shape[:2])
                detections.append(detector.detect(pixels).detections if cut else dissection.trace.detections)
            if on_detections:
                on_detections(detections[-1])
        if progress:
            progress(image + 1, len(truth.image_ids))
    if matches is None:
        classes = shared_classes(detector.class_names, truth.class_names)
        run = run_from_detections(truth, detections, detector.name, classes=classes)
        matches = match(run, thresholds=(found.iou,), bins=(ALL,))
    point = point or found.of(matches)
    followed = Autopsy(
        detector.name,
        tracer.chain,
        tracer.score_threshold,
        point,
        truth.class_names,
        tracer.level_names,
        truth.image_ids[truth.images],
        truth.ids,
        truth.classes,
        truth.areas_px,
        truth.boxes_xywh,
        tuple(findings),
    )
    return followed.judged_by(matches, point)


def class_indices_of(detector: Detector, truth: Truth) -> Ints:
    """Returns the model's class index of each class row, by name.

    Raises:
        ValueError: the model lacks a class of `truth`; `Truth.of_classes` gives the part that it has.
    """
    from explorer.engine.evaluation.classes import indices_in_model

    shared = shared_classes(detector.class_names, truth.class_names, truth.class_names)
    return np.array(indices_in_model(detector, shared), dtype=np.int64)


def _class_rows(class_indices: Ints, classes: int) -> Ints:
    """By class index of the model, background last: the class row, then background, then a class not in the data."""
    rows = np.full(classes + 1, len(class_indices) + 1)
    rows[class_indices] = np.arange(len(class_indices))
    rows[classes] = len(class_indices)
    return rows


def objects_in(truth: Truth, image: int, class_indices: Ints) -> Objects:
    """Returns what is in one image; rows are those of `truth` from the image's first object on."""
    rows = _rows_of(truth, image)
    return Objects(truth.boxes_xywh[rows], class_indices[truth.classes[rows]], truth.crowds[rows])


def _rows_by_image(truth: Truth) -> Iterator[slice]:
    return (_rows_of(truth, image) for image in range(len(truth.image_ids)))


def _rows_of(truth: Truth, image: int) -> slice:
    first, last = np.searchsorted(truth.images, [image, image + 1]).tolist()
    return slice(first, last)


def _verified(view: object, dissection: Dissection) -> list[Finding]:
    """The findings, those of lost objects with where these are lost once that stage is relaxed."""
    return [
        replace(finding, after=try_again(view, dissection, row).after) if finding.verdict.is_miss else finding
        for row, finding in enumerate(dissection.findings())
    ]


def _in_table(finding: Finding, first: int, row_of_class: Ints) -> Finding:
    """Takes a finding's rows from those of its image and model to those of the data set."""
    taker, said = finding.taker, finding.results.said
    if said is not None:
        said = replace(said, class_index=int(row_of_class[said.class_index]))
    results = replace(finding.results, said=said)
    return replace(finding, taker=None if taker is None else taker + first, results=results)
