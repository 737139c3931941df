"""Autopsies over a data set: for every object, where in a two-stage detector it was lost, or that it was found.

The verdicts are defined in `explorer.autopsy.verdicts`. Images are read, followed and forgotten one at a time. What is
found is said by the matches of a run (`explorer.scoring.outcomes`), as in every other view of that run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from explorer.autopsy.dissection import Dissection, Finding, Objects
from explorer.autopsy.verdicts import Verdict, judged
from explorer.data.ids import Ids, id_column
from explorer.scoring.classes import shared_classes
from explorer.scoring.columns import Truth
from explorer.scoring.convert import run_from_detections
from explorer.scoring.matching import Matches, match
from explorer.scoring.outcomes import FOUND, FoundRule, OperatingPoint, object_scores
from explorer.scoring.sizes import ALL, COCO_BINS, SizeBin

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.types import Detections

AUTOPSY_FILE = "autopsy.json"
Progress = Callable[[int, int], None]
"""Called with the number of images done and the number in all."""

_VERSION = 2
_ID_COLUMNS = ("image_ids", "ids")
_NUMBER_COLUMNS: dict[str, Any] = {"classes": np.int64, "areas_px": np.float64}


@dataclass(frozen=True)
class SizeGroup:
    """How the objects of one size fared.

    Attributes:
        bin: the size.
        counts: objects by verdict; every verdict is there.
    """

    bin: SizeBin
    counts: Mapping[Verdict, int]

    @property
    def objects(self) -> int:
        """All but crowds."""
        return sum(self.counts.values()) - self.counts[Verdict.CROWD]


@dataclass(frozen=True, eq=False)
class Autopsy:
    """What became of every object of a data set; rows are those of the `Truth` that it was made with.

    Attributes:
        model: the detector's name.
        score_threshold: the model's own, which class scores must exceed to become detections.
        point: what counts as found: the IoU from which a box is on an object, and the score from which it is found.
        class_names: by class row.
        level_names: the feature maps, by `Finding.fpn_level`.
        image_ids: `(G,)`, COCO's id of the image of each object, as the file has it.
        ids: `(G,)`, COCO's annotation ids.
        classes: `(G,)` int64, class row.
        areas_px: `(G,)` float64, COCO's areas, which decide sizes.
        boxes_xywh: `(G, 4)` float64, original-image frame.
        findings: one per object. `taker` is a row here; `said_class` a class row, `len(class_names)` for background and
            one more for a class of the model's that the data does not have.
    """

    model: str
    score_threshold: float
    point: OperatingPoint
    class_names: tuple[str, ...]
    level_names: tuple[str, ...]
    image_ids: Ids
    ids: Ids
    classes: npt.NDArray[np.int64]
    areas_px: npt.NDArray[np.float64]
    boxes_xywh: npt.NDArray[np.float64]
    findings: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def verdicts(self) -> npt.NDArray[np.int64]:
        """`(G,)` numbers of `Verdict`."""
        return np.array([finding.verdict for finding in self.findings], dtype=np.int64)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Returns one field of `Finding` as a column `(G,)`, boxes as `(G, 4)` with NaN for none."""
        values = [getattr(finding, name) for finding in self.findings]
        if name == "suppressor_xyxy":
            return np.array([value or (np.nan,) * 4 for value in values], dtype=np.float64).reshape(-1, 4)
        return np.array(values)

    def judged_by(self, matches: Matches, point: OperatingPoint) -> Autopsy:
        """Lets the detections of a run of this model say what is found; any score can follow another.

        Args:
            matches: of the run's boxes.
            point: what counts as found.

        Raises:
            ValueError: the run is on other objects, or boxes are on objects from another IoU on.
        """
        if self.ids.tolist() != matches.run.truth.ids.tolist():
            raise ValueError(
                f"the autopsy is of {len(self)} objects, {matches.run.name} was run on {len(matches.run.truth)}: "
                "make it again with `explorer autopsy`"
            )
        if self.point.iou != point.iou:
            raise ValueError(
                f"the autopsy has boxes on objects from IoU {self.point.iou:g}, {point.iou:g} is asked for: "
                f"make it again with `explorer autopsy --iou {point.iou:g}`"
            )
        scores = object_scores(matches, point.iou)
        verdicts = map(Verdict, judged(self.verdicts, scores, point.score).tolist())
        findings = tuple(
            replace(finding, verdict=verdict, score=score)
            for finding, verdict, score in zip(self.findings, verdicts, scores.tolist(), strict=True)
        )
        return replace(self, point=point, findings=findings)

    def by_size(self, bins: Sequence[SizeBin] = COCO_BINS) -> tuple[SizeGroup, ...]:
        """Counts verdicts by object size: all, small, medium and large, unless `bins` says otherwise."""
        groups = []
        for size in bins:
            counts = np.bincount(self.verdicts[size.names(self.areas_px)], minlength=len(Verdict))
            groups.append(SizeGroup(size, {verdict: int(counts[verdict]) for verdict in Verdict}))
        return tuple(groups)

    def write(self, path: Path) -> None:
        """Writes everything as one JSON file, which `read_autopsy` reads; by custom `autopsy.json` in a run's folder.

        It is an object with what counts as found, the verdicts' names, `by_size` for COCO's sizes, and `objects`:
        columns of equal length, of numbers, null for "none".
        """
        from explorer.engine.artifacts import write_json

        findings = {field.name: self.column(field.name).tolist() for field in fields(Finding)}
        known = {name: getattr(self, name).tolist() for name in (*_ID_COLUMNS, *_NUMBER_COLUMNS, "boxes_xywh")}
        groups = {
            group.bin.name: {verdict.name.lower(): count for verdict, count in group.counts.items()}
            for group in self.by_size()
        }
        document = {
            "version": _VERSION,
            "model": self.model,
            "score_threshold": self.score_threshold,
            "found": vars(self.point),
            "class_names": self.class_names,
            "level_names": self.level_names,
            "verdicts": [{"name": verdict.name.lower(), "label": verdict.label} for verdict in Verdict],
            "by_size": groups,
            "objects": known | findings,
        }
        write_json(path, document)


def read_autopsy(path: str | Path) -> Autopsy:
    """Reads what `Autopsy.write` wrote.

    Args:
        path: the file, or the run's folder that holds it as `autopsy.json`.

    Raises:
        ValueError: there is none, or it is broken or of another version.
    """
    path = Path(path)
    path = path / AUTOPSY_FILE if path.is_dir() else path
    try:
        document = json.loads(path.read_bytes())
        if document["version"] != _VERSION:
            raise ValueError(f"its version is {document['version']}, this program reads {_VERSION}")
        objects = document["objects"]
        return Autopsy(
            document["model"],
            document["score_threshold"],
            _point(document["found"]),
            tuple(document["class_names"]),
            tuple(document["level_names"]),
            **{name: id_column(objects[name]) for name in _ID_COLUMNS},
            **{name: np.array(objects[name], dtype=kind) for name, kind in _NUMBER_COLUMNS.items()},
            boxes_xywh=np.array(objects["boxes_xywh"], dtype=np.float64).reshape(-1, 4),
            findings=tuple(_findings(objects)),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no autopsy ({error}). Make one with `explorer autopsy`.") from error


def autopsy(
    detector: Detector,
    truth: Truth,
    *,
    found: FoundRule = FOUND,
    matches: Matches | None = None,
    progress: Progress | None = None,
    on_detections: Callable[[Detections], None] | None = None,
) -> Autopsy:
    """Finds out, for every object, where the detector lost it.

    Args:
        detector: a Faster, Mask or Panoptic R-CNN.
        truth: what is there, and the image files.
        found: what counts as found.
        matches: of the boxes of a run of this detector on `truth`, which say what is found; None for what the detector
            reports as it is followed.
        progress: called after each image.
        on_detections: called with what the model reports on each image, without masks, so that one forward pass gives
            both.

    Raises:
        ValueError: the detector has other stages, or other classes than the data, or the matches are of other objects,
            not at the rule's IoU, or do not reach its precision.
        ImageError: an image cannot be read, or has another size than its annotations say.
    """
    from explorer.autopsy.trace import Tracer

    point = found.of(matches) if matches else None  # says at once what is wrong
    tracer = Tracer(detector)
    class_indices = class_indices_of(detector, truth)
    row_of_class = _class_rows(class_indices, len(detector.class_names))
    findings: list[Finding] = []
    detections: list[Detections] = []
    for image, rows in enumerate(_rows_by_image(truth)):
        if matches is None or on_detections or rows.stop > rows.start:
            trace = tracer(read_checked(truth, image))
            dissection = Dissection(trace, objects_in(truth, image, class_indices), iou=found.iou)
            findings += [_in_table(finding, rows.start, row_of_class) for finding in dissection.findings()]
            detections.append(trace.detections)
            if on_detections:
                on_detections(trace.detections)
        if progress:
            progress(image + 1, len(truth.image_ids))
    if matches is None:
        classes = shared_classes(detector.class_names, truth.class_names)
        run = run_from_detections(truth, detections, detector.name, classes=classes)
        matches = match(run, thresholds=(found.iou,), bins=(ALL,))
    point = point or found.of(matches)
    followed = Autopsy(
        detector.name,
        tracer.limits.score_threshold,
        point,
        truth.class_names,
        tracer.pyramid.names,
        truth.image_ids[truth.images],
        truth.ids,
        truth.classes,
        truth.areas_px,
        truth.boxes_xywh,
        tuple(findings),
    )
    return followed.judged_by(matches, point)


def class_indices_of(detector: Detector, truth: Truth) -> npt.NDArray[np.int64]:
    """Returns the model's class index of each class row, by name.

    Raises:
        ValueError: the model lacks a class of `truth`; `Truth.of_classes` gives the part that it has.
    """
    from explorer.engine.evaluation.classes import indices_in_model

    shared = shared_classes(detector.class_names, truth.class_names, truth.class_names)
    return np.array(indices_in_model(detector, shared), dtype=np.int64)


def _class_rows(class_indices: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """By class index of the model, background last: the class row, then background, then a class not in the data."""
    rows = np.full(classes + 1, len(class_indices) + 1)
    rows[class_indices] = np.arange(len(class_indices))
    rows[classes] = len(class_indices)
    return rows


def objects_in(truth: Truth, image: int, class_indices: npt.NDArray[np.int64]) -> Objects:
    """Returns what is in one image; rows are those of `truth` from the image's first object on."""
    rows = _rows_of(truth, image)
    return Objects(truth.boxes_xywh[rows], class_indices[truth.classes[rows]], truth.crowds[rows])


def read_checked(truth: Truth, image: int) -> npt.NDArray[np.uint8]:
    """Reads an image of the data set.

    Raises:
        ImageError: it cannot be read, or has another size than its annotations say.
    """
    from explorer.data.images import read_sized

    height, width = truth.image_sizes[image].tolist()
    return read_sized(truth.file_names[image], (height, width))


def _rows_by_image(truth: Truth) -> Iterator[slice]:
    return (_rows_of(truth, image) for image in range(len(truth.image_ids)))


def _rows_of(truth: Truth, image: int) -> slice:
    first, last = np.searchsorted(truth.images, [image, image + 1]).tolist()
    return slice(first, last)


def _in_table(finding: Finding, first: int, row_of_class: npt.NDArray[np.int64]) -> Finding:
    """Takes a finding's rows from those of its image and model to those of the data set."""
    taker = finding.taker + first if finding.taker >= 0 else -1
    said = int(row_of_class[finding.said_class]) if finding.said_class >= 0 else -1
    return replace(finding, taker=taker, said_class=said)


def _point(known: Mapping[str, Any]) -> OperatingPoint:
    given: dict[str, Any] = {name: np.nan if value is None else value for name, value in known.items()}
    return OperatingPoint(**given)


def _findings(objects: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    names = [field.name for field in fields(Finding)]
    empty = asdict(Finding(Verdict.CROWD, 0))
    for values in zip(*(objects[name] for name in names), strict=True):
        given = dict(zip(names, values, strict=True))
        box = given.pop("suppressor_xyxy")
        known = {name: empty[name] if value is None else value for name, value in given.items()}
        known["verdict"] = Verdict(known["verdict"])
        yield Finding(**known, suppressor_xyxy=None if box[0] is None else tuple(box))
