"""COCO's figures by size and class: average precision, and recall at any limit on detections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.scoring.columns import Run, Task
from explorer.scoring.curves import BestFirst
from explorer.scoring.matching import Matches, match
from explorer.scoring.protocols import COCO, Protocol, figure_names, singled_out
from explorer.scoring.resampling import units_of
from explorer.scoring.sizes import SizeBin
from explorer.types import Floats, Ints, Metrics


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures in percent, by size bin and class; NaN where there is no object.

    Attributes:
        run: the run's name.
        task: boxes or masks.
        names: the `F` figures: `AP`; `AP25`, `AP50` and `AP75` where those thresholds were matched; `AR1`, `AR10`,
            `AR100` or whatever limits on detections were.
        bins: the `A` size bins: those of the protocol first.
        class_names: the `C` classes.
        by_class: `(F, A, C)` float64.
        objects: `(A, C)` int64, the objects that count.
        images: number of images.
        images_with: `(A,)` int64, images that have an object that counts; where images are resampled in groups, groups.
        images_with_class: `(A, C)` int64, the same by class.
        protocol: by which they were computed.
        groups: number of groups in which images are resampled; None where they are resampled one by one.
    """

    run: str
    task: Task
    names: tuple[str, ...]
    bins: tuple[SizeBin, ...]
    class_names: tuple[str, ...]
    by_class: Floats
    objects: Ints
    images: int
    images_with: Ints
    images_with_class: Ints
    protocol: Protocol = COCO
    groups: int | None = None

    @property
    def unit(self) -> str:
        """What is resampled, and counted in `images_with`: `images`, or `groups` of them."""
        return "images" if self.groups is None else "groups"

    @property
    def own_bins(self) -> tuple[SizeBin, ...]:
        """The bins that tables show: those of the protocol, without the finer ones."""
        return tuple(size for size in self.bins if size in self.protocol.bins)

    @property
    def main_names(self) -> tuple[str, ...]:
        """The figures that tables by size show: AP, AP at IoU 0.25 and 0.5, and recall at the largest limit."""
        return (*(name for name in ("AP", "AP25", "AP50") if name in self.names), self.names[-1])

    @property
    def overall(self) -> Floats:
        """The mean over classes that have objects, `(F, A)`."""
        return mean_over_classes(self.by_class, axis=2)

    def value(self, name: str = "AP", size: str = "all", class_name: str | None = None) -> float:
        """Returns one figure, of one class or of all.

        Raises:
            ValueError: there is no such figure, size bin or class.
        """
        figure, place = find(name, self.names, "figure"), find(size, [b.name for b in self.bins], "size bin")
        if class_name is None:
            return float(self.overall[figure, place])
        return float(self.by_class[figure, place, find(class_name, self.class_names, "class")])

    def labels(self) -> Mapping[str, tuple[str, str]]:
        """The protocol's names of figures, as `Protocol.labels` has them, without those that were not matched for."""
        sizes = {size.name for size in self.bins}
        known = self.protocol.labels.items()
        return {label: (name, size) for label, (name, size) in known if name in self.names and size in sizes}

    def named(self) -> Mapping[str, float]:
        """The protocol's figures under its names, in percent: for COCO `AP`, `AP50`, …, `APs`, `APm`, …, `ARl`."""
        return {label: self.value(name, size) for label, (name, size) in self.labels().items()}


MOST_NAMED = 8
"""Classes that a note lists."""
FEW_OBJECTS = 10
"""With fewer, the AP of a class says little; the mean over classes has it all the same."""
COCO_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""COCO's twelve figures in COCO's order; s, m and l are small, medium and large."""


def metrics_of(run: Run) -> Metrics:
    """Computes a run's figures by its protocol: boxes where there are objects, masks where both sides have them.

    Figures of classes without objects are NaN; 0 where there are objects and none was found.
    """
    values: dict[str, dict[str, float]] = {}
    per_class: dict[str, dict[str, float]] = {}
    notes = [*run.notes, *run.truth.notes]
    for task in _tasks(run, notes):
        matches = match(run, task, bins=run.protocol.bins)
        figures = score(matches)
        told = (limit_note(matches), without_objects(figures), with_few_objects(figures))
        notes += [note for note in told if note and note not in notes]
        values[task] = dict(figures.named())
        per_class[task] = dict(zip(figures.class_names, figures.by_class[0, 0].tolist(), strict=True))
    for kind, named in run.segments.items():
        values[kind] = {name: value for name, value in named.items() if "-" not in name}
        per_class[kind] = {name.partition("-")[2]: value for name, value in named.items() if "-" in name}
    return Metrics(values, len(run.truth.image_ids), {"per_class": per_class, "notes": notes})


def limit_note(matches: Matches) -> str:
    """One line on what the limit on detections cuts; empty where it cuts nothing."""
    (detections, objects), limit = matches.cut, matches.max_detections[-1]
    if not (detections or objects):
        return ""
    parts = [f"{detections:,} detections"] if detections else []
    whose = "of a class in an image" if matches.protocol.per_class else "of an image"
    parts += [f"{objects:,} objects (more than {limit} {whose})"] if objects else []
    by = "as COCO does" if matches.protocol.name == COCO.name else f"as the protocol {matches.protocol.name} has it"
    return (
        f"Average precision counts the best {limit} detections {whose}, {by}. This cuts "
        f"{' and '.join(parts)}; --max-detections sets another limit."
    )


def without_objects(figures: Figures) -> str:
    """One line on the classes of which nothing is annotated; empty where there is none."""
    class_names = figures.class_names
    names = [name for name, number in zip(class_names, figures.objects[0].tolist(), strict=True) if not number]
    if not names:
        return ""
    return (
        f"No objects are annotated of {len(names)} of {len(class_names)} classes, which count in no mean: "
        f"{_listed(names)}."
    )


def with_few_objects(figures: Figures) -> str:
    """One line on classes with few objects of a size, beside classes with many; empty where there is none.

    COCO's mean over classes has the AP of one object count as much as that of a thousand.
    """
    told = []
    for size, objects in zip(figures.own_bins, figures.objects.tolist(), strict=False):
        known = zip(figures.class_names, objects, strict=True)
        few = [f"{name} ({number})" for name, number in known if 0 < number < FEW_OBJECTS]
        if few and max(objects) >= FEW_OBJECTS:
            told.append(f"{size.name}: {_listed(few)}")
    if not told:
        return ""
    return (
        "The mean over classes counts a class with few objects as much as one with many. Fewer than "
        f"{FEW_OBJECTS} objects, by size: {'; '.join(told)}."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _tasks(run: Run, notes: list[str]) -> Iterator[Task]:
    if not len(run.truth):
        return
    yield "bbox"
    masks = run.truth.masks
    if run.found.masks is None or masks is None:
        return
    for what, own in (("objects", masks), ("detections", run.found.masks)):
        if bare := sum(mask is None for mask in own):
            notes.append(f"Masks are not scored: {bare} of {len(own)} {what} have none.")
            return
    yield "segm"


def score(matches: Matches) -> Figures:
    """Computes the figures of a run; small, medium and large are COCO's to the last digits."""
    truth, found, levels = matches.run.truth, matches.run.found, len(matches.thresholds)
    objects, images_with, images_with_class = count_objects(matches)
    present = np.where(objects > 0, objects, np.nan)
    ranked = BestFirst(matches, found.classes, len(truth.class_names))
    precision = np.stack([ranked.average_precision(size, own) for size, own in enumerate(objects)])
    recall = np.stack(
        [[ranked.hits(size, limit) for size in range(len(objects))] for limit in matches.max_detections]
    ) / (present * levels)
    return Figures(
        run=matches.run.name,
        task=matches.task,
        names=figure_names(matches.thresholds, matches.max_detections),
        bins=matches.bins,
        class_names=truth.class_names,
        by_class=figures_of(matches, precision + 0 * present[:, None], recall),
        objects=objects,
        images=len(truth.image_ids),
        images_with=images_with,
        images_with_class=images_with_class,
        protocol=matches.protocol,
        groups=None if truth.groups is None else len(truth.groups),
    )


def count_objects(matches: Matches) -> tuple[Ints, Ints, Ints]:
    """Counts what figures rest on: the columns `objects`, `images_with` and `images_with_class` of `Figures`."""
    truth = matches.run.truth
    sizes, classes, images = len(matches.bins), len(truth.class_names), len(truth.image_ids)
    size, rows = np.nonzero(~matches.objects_ignored)
    group, units = size * classes + truth.classes[rows], units_of(truth)[truth.images[rows]]
    of_class = np.unique(group * images + units) // max(images, 1)
    of_any = np.unique(size * images + units) // max(images, 1)
    return (
        np.bincount(group, minlength=sizes * classes).reshape(sizes, classes),
        np.bincount(of_any, minlength=sizes),
        np.bincount(of_class, minlength=sizes * classes).reshape(sizes, classes),
    )


def figures_of(matches: Matches, precision: Floats, recall: Floats) -> Floats:
    """Makes `(F, A, C, …)` percentages of average precision `(A, T, C, …)` and recall `(M, A, C, …)`."""
    single = [precision[:, matches.threshold_index(iou)] for iou in singled_out(matches.thresholds)]
    return 100 * np.stack([precision.mean(axis=1), *single, *recall])


def mean_over_classes(by_class: Floats, axis: int) -> Floats:
    """The mean over classes that have objects; NaN where none has."""
    known = ~np.isnan(by_class)
    number = known.sum(axis=axis)
    total = np.where(known, by_class, 0).sum(axis=axis)
    mean: Floats = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return mean


def find(name: str, names: Iterable[str], what: str) -> int:
    """Finds a name's place.

    Raises:
        ValueError: it is not there.
    """
    known: Sequence[str] = list(names)
    if name not in known:
        raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return known.index(name)
