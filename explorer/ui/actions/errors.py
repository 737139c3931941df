"""What models miss on annotated images: figures by size, error types, autopsies, and the most informative misses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.scoring.outcomes import FOUND, FoundRule, OperatingPoint
from explorer.scoring.protocols import PRESETS, Protocol
from explorer.text import legible
from explorer.types import Pixels, Progress
from explorer.ui.actions.models import Models, chosen
from explorer.ui.actions.progress import ProgressBar, part_of
from explorer.zoo.downloads import cache_dir

if TYPE_CHECKING:
    from explorer.autopsy.explain import Explanation
    from explorer.autopsy.result import Autopsy
    from explorer.engine.detector import Detector
    from explorer.errors.compare import Comparison
    from explorer.report.analysis import RunAnalysis
    from explorer.report.misses import Miss
    from explorer.report.tables import Grid
    from explorer.scoring.columns import Run, Truth
    from explorer.types import Detections

IMAGES, USUAL_IMAGES = (20, 40, 100, 200), 40
AERIAL_SEED = 1
"""Of the scenes that are made where no data set is given: none that the demo models were trained on."""
RESAMPLES = 500
SIZE_BINS = (
    *(
        (f"{own.name}: {', '.join(size.name for size in own.sizes) or 'no sizes'}", own.name)
        for own in PRESETS.values()
    ),
    ("sides between 8, 16, 32 and 96 px", "8,16,32,96"),
)
"""Labels and protocols to choose from; other sides can be given."""
_LONGEST_NAME = 60
_MAKING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Examination:
    """What one or more models find and miss on the same images.

    Attributes:
        analyses: of each model, in the order asked for.
        comparison: differences of each pair's figures, which no score changes; None for one model.
        misses: the most telling ones of each model.
    """

    analyses: tuple[RunAnalysis, ...]
    comparison: Comparison | None
    misses: dict[str, tuple[Miss, ...]]

    @property
    def truth(self) -> Truth:
        return self.analyses[0].run.truth

    @property
    def names(self) -> list[str]:
        return [analysis.run.name for analysis in self.analyses]

    def tables(self) -> list[tuple[str, Grid]]:
        """Titles and tables: figures by size, then for each pair the difference."""
        from explorer.report.tables import difference_grid, size_grid

        tables = [("By size, in percent", size_grid(self.analyses, self.analyses[0].resamples.figures.main_names))]
        for pair in self.comparison.pairs if self.comparison else ():
            assert self.comparison
            title = f"{self.names[pair.b]} minus {self.names[pair.a]}"
            grid = difference_grid(self.comparison, pair)
            tables.append((title, replace(grid, head=(tables[0][1].head[0], *grid.head[1:]))))
        return tables

    def crop(self, name: str, number: int) -> tuple[Pixels, str]:
        """Returns a miss as a crop around the object, RGB, and what it is and why it is missed."""
        import cv2

        from explorer.data.images import read_image, swap_channels

        truth, miss = self.truth, self.misses[name][number]
        image = swap_channels(read_image(truth.file_names[truth.images[miss.row]]))
        x, y, width, height = truth.boxes_xywh[miss.row].tolist()
        side = int(np.clip(3 * max(width, height), 48, min(image.shape[:2])))
        left = int(np.clip(x + width / 2 - side / 2, 0, image.shape[1] - side))
        top = int(np.clip(y + height / 2 - side / 2, 0, image.shape[0] - side))
        crop = np.ascontiguousarray(image[top : top + side, left : left + side])
        scale = max(1, 240 // side)
        crop = np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST), np.uint8)
        corners = [round(scale * value) for value in (x - left, y - top, x - left + width, y - top + height)]
        thick = max(1, side * scale // 160)
        cv2.rectangle(crop, (corners[0], corners[1]), (corners[2], corners[3]), (0, 158, 115), thick)
        class_name = legible(truth.class_names[truth.classes[miss.row]])
        return crop, f"{class_name} {width:.0f} × {height:.0f} px: {miss.reason}"

    def point(self, name: str) -> OperatingPoint:
        """What counts as found by a model."""
        return self.analyses[self.names.index(name)].point

    def judged(self, found: FoundRule) -> Examination:
        """The same detections judged by another score; no model runs.

        Raises:
            ValueError: the rule has another IoU, which objects would have to be followed with.
        """
        analyses = tuple(own.judged(found) for own in self.analyses)
        return replace(self, analyses=analyses, misses=_misses(analyses))


def annotated_images(data: str | None, most: int, progress: ProgressBar | None = None) -> Truth:
    """Reads the images to examine models on.

    Args:
        data: `PATH[:SPLIT]` of a data set; None for procedural aerial scenes, which are generated once and cached.
        most: maximum number of images.
        progress: called with the completed share in [0, 1] and the name of the current step.

    Raises:
        ValueError: there is no such data set.
    """
    from explorer.scoring.runs import read_truth

    truth = read_truth(aerial_scenes(most, progress) if data is None else data)
    return truth.of_rows(np.arange(min(most, len(truth.image_ids))))


def aerial_scenes(most: int, progress: ProgressBar | None = None) -> str:
    """Makes aerial scenes where they have not been made before; `PATH:SPLIT` of so many."""
    from explorer.data.aerial import make_aerial

    folder = cache_dir() / f"aerial-{most}"
    with _MAKING:
        count = part_of(progress, 0, 1, "making aerial scenes")
        make_aerial(folder, images=most, seed=AERIAL_SEED, workers=1, progress=count)
    return f"{folder}:val"


def uploaded_data(archive: Path, folder: Path, progress: ProgressBar | None = None) -> dict[str, str]:
    """Unpacks a data set that a browser handed over, and checks it as `explorer data check` does.

    Args:
        archive: the zip file.
        folder: an empty one, for its files.
        progress: called with the share that is done and what is being done.

    Returns:
        What to call each split that has boxes, and where it is.

    Raises:
        ValueError: the archive is refused, has no such data, or the check finds errors in it.
    """
    from explorer.data.check import check_coco
    from explorer.data.zipped import unpack

    try:
        root = unpack(archive, folder)
        report = check_coco(root, progress=part_of(progress, 0, 1, "checking the data set"))
    except ValueError as error:
        raise ValueError(str(error).replace(str(folder), archive.name)) from error
    wrong = [problem for split in report.splits for problem in split.problems if problem.severity == "error"]
    if wrong:
        first = wrong[0].what.replace(str(folder), archive.name).rstrip(".")
        raise ValueError(
            f"{archive.name} has {len(wrong)} errors. The first is: {first}. Run `explorer data check FOLDER` to "
            "list all of them."
        )
    splits = [split for split in report.splits if split.annotations]
    if not splits:
        raise ValueError(f"{archive.name} has no annotated images.")
    name = legible(archive.name, _LONGEST_NAME)
    return {f"{name}, {split.source.rpartition(':')[2]}": split.source for split in splits}


def examine(
    models: Models,
    names: Sequence[str],
    truth: Truth,
    progress: ProgressBar | None = None,
    *,
    found: FoundRule = FOUND,
    verify: bool = False,
    protocol: Protocol | None = None,
) -> Examination:
    """Runs models on annotated images and determines which objects they miss, and which stage lost each of them.

    Results files are scored on the images that they cover; without a model, the stage that lost an object is unknown.

    Args:
        models: cache of loaded detectors.
        names: names of one to four models.
        truth: the images and their annotations.
        progress: called with the completed share in [0, 1] and the name of the current step.
        found: IoU and score from which an object counts as found.
        verify: check each verdict by relaxing only the stage that lost the object.
        protocol: size bins, IoU thresholds and detection limits; None for those of `models`.

    Raises:
        ValueError: a model has other classes than the data, or cannot be used; results are on other images.
        DownloadError: a model's weights cannot be downloaded.
    """
    from explorer.scoring.classes import shared_classes
    from explorer.scoring.ignored import run_under, truth_under

    runs: list[Run] = []
    autopsies: list[Autopsy | None] = []
    protocol = protocol or models.protocol
    wanted, truth = chosen(names), truth_under(protocol, truth)
    files = {name: models.data.runs[name] for name in wanted if models.data and models.is_file(name)}
    for name, run in files.items():
        truth = _images_of(run, name, truth)
    known = {name: run.truth.class_names for name, run in files.items()}
    known |= {name: models.get(name).class_names for name in wanted if name not in files}
    notes = [shared_classes(known[name], truth.class_names).note for name in wanted]
    for name in wanted:  # objects of a class that a model does not have are not held against any
        truth = truth.of_classes(shared_classes(known[name], truth.class_names).names)
    for place, name in enumerate(wanted):
        count = part_of(progress, place, len(wanted), name)
        if name in files:
            run, followed = _from_file(files[name], name, truth), None
        else:
            run, followed = _run(models.get(name, count), truth, found, verify, protocol, count)
        runs.append(replace(run_under(protocol, run), notes=(*run.notes, *filter(None, [notes[place]]))))
        autopsies.append(followed)
    if progress:
        progress(1.0, "resampling")
    return examined(runs, autopsies, found)


def _images_of(run: Run, name: str, truth: Truth) -> Truth:
    """Keeps the images that a file of results is on."""
    own = dict(zip(run.truth.image_ids.tolist(), run.truth.file_names, strict=True))
    ids = zip(truth.image_ids.tolist(), truth.file_names, strict=True)
    rows = [row for row, (image, file) in enumerate(ids) if own.get(image) == file]
    if not rows:
        raise ValueError(
            f"{name} has results on none of these {len(truth.image_ids)} images: examine more of them, or choose the "
            "data set that it was made on."
        )
    return truth.of_rows(np.array(rows, np.int64))


def _from_file(run: Run, name: str, truth: Truth) -> Run:
    """A file's results on some of its images and classes."""
    from explorer.scoring.alike import restricted
    from explorer.scoring.runs import IF_NOT_RUN, silence

    part = restricted(run, truth.image_ids.tolist(), truth.class_names)
    doubted = any(note.endswith(IF_NOT_RUN) for note in run.notes)
    notes = [note for note in run.notes if not note.endswith(IF_NOT_RUN)]
    own = silence(name, truth, part.found) if doubted else ()  # of these images, not of all
    return replace(part, name=name, truth=truth, folder=None, notes=(*notes, *own))


def examined(runs: Sequence[Run], autopsies: Sequence[Autopsy | None], found: FoundRule = FOUND) -> Examination:
    """What runs of one or more models on the same images find and miss.

    Args:
        runs: as many as there are models.
        autopsies: where each run lost what it misses; None for models whose stages cannot be followed.
        found: what counts as found.
    """
    from explorer.errors.compare import compare
    from explorer.report.analysis import analyse, analyses_of
    from explorer.scoring.matching import match

    comparison = compare([match(run) for run in runs], found=found, resamples=RESAMPLES) if len(runs) > 1 else None
    analyses = (
        analyses_of(comparison, autopsies)
        if comparison
        else (analyse(runs[0], found=found, autopsy=autopsies[0], resamples=RESAMPLES),)
    )
    return Examination(analyses, comparison, _misses(analyses))


def _misses(analyses: Sequence[RunAnalysis]) -> dict[str, tuple[Miss, ...]]:
    """The most telling misses of each run: those of another one's finds first."""
    from explorer.report.misses import telling_misses

    first, *others = analyses
    rivals = [others[0] if others else None, *[first] * len(others)]
    return {own.run.name: telling_misses(own, rival) for own, rival in zip(analyses, rivals, strict=True)}


def _run(
    detector: Detector, truth: Truth, found: FoundRule, verify: bool, protocol: Protocol, count: Progress
) -> tuple[Run, Autopsy | None]:
    """What a model finds, and where it lost what it misses if its stages can be followed."""
    from explorer.engine.loading import detecting_for

    with detecting_for(detector.model, protocol):
        return _followed(detector, truth, found, verify, count)


def _followed(
    detector: Detector, truth: Truth, found: FoundRule, verify: bool, count: Progress
) -> tuple[Run, Autopsy | None]:
    from explorer.autopsy.examine import autopsy
    from explorer.autopsy.families import is_followed
    from explorer.engine.evaluation.reading import read_row
    from explorer.scoring.classes import shared_classes
    from explorer.scoring.convert import run_from_detections

    classes = shared_classes(detector.class_names, truth.class_names)
    detections: list[Detections] = []
    if not is_followed(detector):
        for image in range(len(truth.image_ids)):
            detections.append(detector.detect(read_row(truth, image)).detections)
            count(image + 1, len(truth.image_ids))
        return run_from_detections(truth, detections, detector.name, classes=classes), None
    followed = autopsy(detector, truth, found=found, verify=verify, progress=count, on_detections=detections.append)
    return run_from_detections(truth, detections, detector.name, classes=classes), followed


def explain_miss(models: Models, examination: Examination, name: str, number: int) -> Explanation:
    """Follows a missed object through the model once more, and keeps the boxes that decided about it.

    Raises:
        ValueError: there is no such miss, or the model's stages cannot be followed.
    """
    from explorer.autopsy.explain import explain
    from explorer.engine.loading import detecting_for

    misses = examination.misses.get(name, ())
    if not 0 <= number < len(misses):
        raise ValueError("This missed object no longer exists; run Examine again.")
    point, detector = examination.point(name), models.get(name)
    with detecting_for(detector.model, examination.analyses[0].matches.protocol):
        return explain(detector, examination.truth, misses[number].row, iou=point.iou, score=point.score)
