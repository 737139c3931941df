"""What is there and what was found, as columns of numbers: one row per image, per object and per detection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from explorer.data.grouping import Groups
from explorer.data.ids import Id, Ids, as_id
from explorer.data.masks import Rle
from explorer.scoring.protocols import Protocol, protocol_from
from explorer.text import legible
from explorer.types import Bools, Floats, Ints, Metrics, extension

Task = Literal["bbox", "segm"]
"""What is compared: boxes, or masks."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Parts of images where nothing counts.

    Attributes:
        images: `(R,)` int64, image row of each.
        boxes_xywh: `(R, 4)` float64.
    """

    images: Ints
    boxes_xywh: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Truth:
    """The annotations of a data set, one row per image and one per object; original-image frame, pixels.

    Ids are as the file has them: int64 where all are numbers that fit, else Python's own numbers and texts. They name
    rows and are computed with nowhere.

    Attributes:
        image_ids: `(I,)`, COCO's ids, ascending; texts after numbers.
        file_names: absolute paths, by image row.
        image_sizes: `(I, 2)` int64, `(height, width)`.
        category_ids: `(C,)`, COCO's ids, ascending; texts after numbers.
        class_names: by class row, each once.
        ids: `(G,)`, COCO's annotation ids.
        images: `(G,)` int64, image row of each object; ascending.
        classes: `(G,)` int64, class row.
        boxes_xywh: `(G, 4)` float64.
        areas_px: `(G,)` float64, COCO's `area` (the mask's where the object has one), which decides its size.
        crowds: `(G,)` bool.
        masks: one RLE per object, or None where the annotations have none.
        regions: where nothing counts, by a protocol that has such regions.
        notes: one sentence on each kind of annotation that was left out or is doubtful.
        scenes: by image row, the scene or video that it shows; None where the data does not say.
        groups: what is resampled for intervals; None for single images.
    """

    image_ids: Ids
    file_names: tuple[str, ...]
    image_sizes: Ints
    category_ids: Ids
    class_names: tuple[str, ...]
    ids: Ids
    images: Ints
    classes: Ints
    boxes_xywh: Floats
    areas_px: Floats
    crowds: Bools
    masks: tuple[Rle | None, ...] | None = None
    regions: Regions | None = None
    notes: tuple[str, ...] = ()
    scenes: tuple[int | str, ...] | None = None
    groups: Groups | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        images, classes = len(self.image_ids), len(self.class_names)
        return f"<Truth: {images:,} images with {len(self):,} objects of {classes} classes>"

    @cached_property
    def row_of_image(self) -> Mapping[Id, int]:
        """The image row of each image id."""
        return {own: row for row, own in enumerate(self.image_ids.tolist())}

    def of_images(self, image_ids: Collection[Id]) -> Truth:
        """Returns the part of the data set that these images are.

        Raises:
            ValueError: an image is not in the data set.
        """
        rows = self.row_of_image
        if unknown := [own for own in image_ids if as_id(own) not in rows]:
            raise ValueError(
                f"{_some('image id', unknown)} not in the data set, which has {len(self.image_ids)} images"
            )
        return self.of_rows(np.unique(np.array([rows[own] for own in image_ids], dtype=np.int64)))

    def check_has_objects(self, whose: str) -> None:
        """Refuses annotations of which every figure would be unknown.

        Args:
            whose: what to call them.

        Raises:
            ValueError: no object counts.
        """
        if not len(self.image_ids):
            raise ValueError(f"{whose}: there are no images.")
        if not (~self.crowds).any():
            crowds = " Crowd regions do not count." if len(self) else ""
            raise ValueError(
                f"{whose}: none of the {len(self.image_ids):,} images has an annotated object of the "
                f"{len(self.class_names)} classes asked for, so that there is nothing to measure on.{crowds}"
            )

    def of_rows(self, rows: Ints) -> Truth:
        """Returns the part of the data set that these image rows, ascending, are; itself for all."""
        if len(rows) == len(self.image_ids):
            return self
        part, regions = self.of_objects(np.flatnonzero(np.isin(self.images, rows))), self.regions
        if regions is not None:
            there = np.isin(regions.images, rows)
            regions = Regions(np.searchsorted(rows, regions.images[there]), regions.boxes_xywh[there])
        return replace(
            part,
            image_ids=self.image_ids[rows],
            file_names=tuple(self.file_names[row] for row in rows),
            image_sizes=self.image_sizes[rows],
            images=np.searchsorted(rows, part.images),
            regions=regions,
            scenes=None if self.scenes is None else tuple(self.scenes[row] for row in rows),
            groups=self.groups and self.groups.of_images(rows),
        )

    def of_objects(self, rows: Ints) -> Truth:
        """Returns the data set with only these objects, by row, ascending; all images and classes stay."""
        return replace(
            self,
            ids=self.ids[rows],
            images=self.images[rows],
            classes=self.classes[rows],
            boxes_xywh=self.boxes_xywh[rows],
            areas_px=self.areas_px[rows],
            crowds=self.crowds[rows],
            masks=None if self.masks is None else tuple(self.masks[row] for row in rows),
        )

    def of_classes(self, names: Sequence[str], renamed: Mapping[str, str] | None = None) -> Truth:
        """Returns the data set with only these classes and their objects; all images stay.

        Args:
            names: the classes to keep, under their new names.
            renamed: new name by old name; classes of one new name become one, under the first one's category id.

        Raises:
            ValueError: a class is not there.
        """
        given = [(renamed or {}).get(name, name) for name in self.class_names]
        if unknown := [name for name in names if name not in given]:
            raise ValueError(f"the data set has no class {unknown[0]!r}; it has {', '.join(given[:8])}")
        kept = sorted(set(names), key=given.index)
        if kept == list(self.class_names):
            return self
        row_of = np.array([kept.index(name) if name in kept else -1 for name in given], dtype=np.int64)
        part = self.of_objects(np.flatnonzero(row_of[self.classes] >= 0))
        return replace(
            part,
            category_ids=self.category_ids[[given.index(name) for name in kept]],
            class_names=tuple(kept),
            classes=row_of[part.classes],
        )


@dataclass(frozen=True, eq=False, repr=False)
class Found:
    """A detector's objects over a data set, one row each; original-image frame, pixels.

    Attributes:
        images: `(D,)` int64, image row in `Truth`; ascending, and best score first within an image.
        classes: `(D,)` int64, class row in `Truth`.
        boxes_xywh: `(D, 4)` float64.
        scores: `(D,)` float64.
        masks: one RLE per object, None for an object without, or None for box detectors.
        mask_scores: `(D,)` float64, of detectors that score masks apart from boxes, as CenterMask does; None for those
            whose masks have the scores of their boxes.
    """

    images: Ints
    classes: Ints
    boxes_xywh: Floats
    scores: Floats
    masks: tuple[Rle | None, ...] | None = None
    mask_scores: Floats | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        return f"<Found: {len(self):,} detections>"

    @property
    def has_probabilities(self) -> bool:
        """Whether all scores lie between 0 and 1; those of others may be percentages or logits."""
        return not len(self) or bool(self.scores.min() >= 0 and self.scores.max() <= 1)

    def ranked_for(self, task: Task) -> Found:
        """Returns the detections with the scores, and in the order, that count for boxes or for masks."""
        if task == "bbox" or self.mask_scores is None:
            return self
        own = self.mask_scores
        return in_order(self.images, self.classes, self.boxes_xywh, own, self.masks, own)


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The detections of a detector on a data set, together with the annotations and their origin.

    Attributes:
        name: display name: the model's name, or the file's name without its suffix.
        truth: the annotations of the images on which the detector was run.
        found: the detections.
        facts: `run.json` as `explorer evaluate` wrote it (model, weights, data, overrides, versions); empty for a
            plain results file.
        folder: folder from which it was read; None for a plain results file.
        segments: metrics of panoptic and semantic segmentation in percent, by task and name, if they were evaluated;
            metrics of a class are named as in `PQ-car`.
        notes: one sentence on each kind of object or image that was not scored.
        metrics: COCO's metrics from the evaluation; empty for a run that was read from files, for which
            `explorer.scoring.metrics.metrics_of` computes them.
    """

    name: str
    truth: Truth
    found: Found
    facts: Mapping[str, Any]
    folder: Path | None = None
    segments: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metrics: Metrics = field(default_factory=lambda: Metrics({}, 0))

    def __repr__(self) -> str:
        return f"<Run: {legible(self.name)}, {len(self.found):,} detections in {len(self.truth.image_ids):,} images>"

    @property
    def protocol(self) -> Protocol:
        """The protocol that the run records, by default COCO's.

        Raises:
            ValueError: the recorded protocol is invalid.
        """
        return protocol_from(self.facts)

    @classmethod
    def from_supervision(
        cls,
        detections: Mapping[str, Any],
        data: Any,
        *,
        name: str = "supervision",
        class_names: Any = (),
        **options: Any,
    ) -> Run:
        """Scores supervision's `Detections`, which RF-DETR and others return, one for each image.

        Args:
            detections: by the name of the image's file. Images without detections may be left out. What RF-DETR names
                `__background__` is no detection, and is skipped.
            data: what they are on, `PATH[:SPLIT]`, or a `Truth`.
            name: what to call the detector.
            class_names: name by class index, a list or a mapping; where empty, `data["class_name"]` names the classes,
                and without that an index is the class's place in the data.
            options: `protocol`, as `load_run` takes it.

        Raises:
            ValueError: an image is not in the data, no class is, or a value is not finite.
        """
        return extension("predictions").from_supervision(detections, data, name, class_names, **options)  # type: ignore[no-any-return]

    @classmethod
    def from_ultralytics(cls, results: Iterable[Any], data: Any, *, name: str = "ultralytics", **options: Any) -> Run:
        """Scores Ultralytics' `Results`, as a model returns them for files; each says its path and its classes.

        Args:
            results: one for each image.
            data: what they are on, `PATH[:SPLIT]`, or a `Truth`.
            name: what to call the detector.
            options: `protocol`, as `load_run` takes it.

        Raises:
            ValueError: an image is not in the data, no class is, or there are no boxes.
        """
        return extension("predictions").from_ultralytics(results, data, name, **options)  # type: ignore[no-any-return]

    @classmethod
    def from_transformers(
        cls, outputs: Mapping[str, Any], data: Any, *, name: str = "transformers", class_names: Any = (), **options: Any
    ) -> Run:
        """Scores what transformers' object detection returns, one output for each image.

        Args:
            outputs: by the name of the image's file: the pipeline's list of `score`, `label` and `box`, or an output
                of `post_process_object_detection`, with `scores`, `labels` and `boxes`.
            data: what they are on, `PATH[:SPLIT]`, or a `Truth`.
            name: what to call the detector.
            class_names: name by class index, as `model.config.id2label`; the pipeline's labels are names already.
            options: `protocol`, as `load_run` takes it.

        Raises:
            ValueError: an image is not in the data, no class is, or an output is none of these.
        """
        return extension("predictions").from_transformers(outputs, data, name, class_names, **options)  # type: ignore[no-any-return]

    def pr_curves(self, iou: float = 0.5, *, task: Task = "bbox") -> Any:
        """Computes precision at COCO's 101 recalls, by class and by size of the run's protocol.

        Args:
            iou: from which overlap a detection is right.
            task: of boxes or of masks.

        Returns:
            A `PrecisionRecall`: it shows itself, and has `to_pandas`, `to_dict` and `figure_by_class`.

        Raises:
            ValueError: the IoU is not above 0 and at most 1, or masks are asked for that are not there.
        """
        return extension("curves").pr_curves(self, iou, task)

    def confusion(self, found: Any = None, *, task: Task = "bbox") -> Any:
        """Counts objects by annotated and detected class, by size, with missed objects and false detections.

        Args:
            found: a `FoundRule`, from which score and overlap a detection counts; None for the usual one.
            task: of boxes or of masks.

        Returns:
            A `ConfusionReport`: it shows itself, and has `to_pandas` and `to_dict`.

        Raises:
            ValueError: the run does not reach the rule's precision, or masks are asked for that are not there.
        """
        return extension("curves").confusion(self, found, task)

    def label_errors(self, **options: Any) -> Any:
        """Ranks what is likely wrong with the annotations: missing boxes, wrong classes, badly placed boxes.

        Args:
            options: `kinds`, those of `explorer.errors.suspects.KINDS` to look for.

        Returns:
            A `LabelErrors`: it shows itself, and has `to_pandas`, `to_dict` and `write_csv`.

        Raises:
            ValueError: there is no such kind.
        """
        return extension("suspects").label_errors(self, **options)

    def ranked_for(self, task: Task) -> Run:
        """Returns the run as boxes or masks are ranked; itself where one score serves both."""
        found = self.found.ranked_for(task)
        return self if found is self.found else replace(self, found=found)


def in_order(
    images: Ints,
    classes: Ints,
    boxes_xywh: Floats,
    scores: Floats,
    masks: Sequence[Rle | None] | None = None,
    mask_scores: Floats | None = None,
) -> Found:
    """Sorts detections as `Found` wants them; equal scores keep their order, which decides between them in COCO."""
    steps, same = np.diff(images), images[1:] == images[:-1]
    if (steps >= 0).all() and not (same & (np.diff(scores) > 0)).any():
        return Found(images, classes, boxes_xywh, scores, None if masks is None else tuple(masks), mask_scores)
    order = np.lexsort((-scores, images))
    return Found(
        images[order],
        classes[order],
        boxes_xywh[order],
        scores[order],
        None if masks is None else tuple(masks[row] for row in order),
        None if mask_scores is None else mask_scores[order],
    )


def _some(what: str, values: list[Id]) -> str:
    """`image id 7 is` or `image ids 7, 8, 9, … are`."""
    if len(values) == 1:
        return f"{what} {values[0]!r} is"
    return f"{what}s {', '.join(map(repr, values[:5]))}{', …' if len(values) > 5 else ''} are"
