"""Detection on image and video files: COCO results in one JSON file that explains itself, and what was found drawn."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.data.images import ImageError, read_image, reading_note, swap_channels, write_picture
from explorer.data.panoptic import write_panoptic_png
from explorer.data.video import VideoWriter, is_video, read_facts, read_frames
from explorer.engine.artifacts import provenance
from explorer.engine.class_names import category_ids
from explorer.engine.detector import Detector
from explorer.engine.draw import draw_detections, draw_panoptic
from explorer.engine.familiar import unfamiliar
from explorer.engine.finite import not_finite
from explorer.scoring.convert import coco_annotations
from explorer.types import Detections, Panoptic, Pixels, Progress
from explorer.writing import alone_in, replacing, write_json

RESULTS_FILE = "predictions.json"
_LONGEST_STEM = 240  # bytes; with a number and a suffix a name has 255 at most


@dataclass(frozen=True)
class PredictedFiles:
    """What `predict` did.

    Attributes:
        results: the results file.
        objects: number of objects found, by image.
        pictures: the drawn picture, by image.
        failures: why an image could not be read, by image.
        notes: what was left out or changed of an image that was read, by image.
        unfamiliar: that the model has not seen such photographs, by image, where that is known.
        document: what the results file holds.
    """

    results: Path
    objects: dict[Path, int] = field(default_factory=dict)
    pictures: dict[Path, Path] = field(default_factory=dict)
    failures: dict[Path, str] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)
    unfamiliar: dict[Path, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def nothing(self) -> str:
        """Says that no image has an object, and why where that is known; empty where one has."""
        return str(self.document["info"].get("nothing", ""))


def predict(
    detector: Detector,
    images: Sequence[Path],
    out: Path,
    *,
    threshold: float = 0.5,
    pictures: bool = True,
    every: int = 1,
    skipped: Mapping[Path, str] | None = None,
    progress: Progress | None = None,
) -> PredictedFiles:
    """Runs a detector over image files; one that cannot be read is reported and the rest goes on.

    `predictions.json` is a COCO file by itself: `images` (with running ids, file names as given, the `picture` drawn, a
    `note` where not all of a file was read, and `unfamiliar` where the model has not seen such photographs),
    `categories` (COCO's ids for COCO's classes, else 1, 2, 3, …), `annotations` (each with `score`, so that the list is
    also COCO's results format), `failed`, `skipped`, and `info` on how it was made. A video has an image for each frame
    that is taken, `clip.mp4#12`, with `frame` and `time_s`.
    Panoptic models add `panoptic`, COCO's panoptic format with categories by name and PNGs in `panoptic/`. Pictures go
    to `pictures/`, numbered where names meet; an image that was read is never overwritten.

    Args:
        detector: what to run.
        images: photo and video files, as `explorer.engine.image_files.find_images` lists them.
        out: folder for all results.
        threshold: leave out objects with a lower score.
        pictures: draw the detections; of a video, into an MP4.
        every: of a video, take one of so many frames.
        skipped: files that were not taken and why, for the record.
        progress: called after each image with the number done and the number in all.

    Raises:
        OSError: the folder cannot be written to, or another process writes there.
        ValueError: if the threshold is not in [0, 1], or `every` is below 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"The score threshold is {threshold}; it must lie between 0 and 1.")
    if every < 1:
        raise ValueError(f"The interval between frames is {every}; give 1 or more.")
    with alone_in(out):
        return _predict(detector, images, out, threshold, pictures, every, skipped or {}, progress)


def _predict(
    detector: Detector,
    images: Sequence[Path],
    out: Path,
    threshold: float,
    pictures: bool,
    every: int,
    skipped: Mapping[Path, str],
    progress: Progress | None,
) -> PredictedFiles:
    report = PredictedFiles(out / RESULTS_FILE)
    collection = _Collection(detector.class_names, out, _Names(images), detector.caveat)
    for index, path in enumerate(images, start=1):
        try:
            if is_video(path):
                _film(detector, path, collection, report, threshold, pictures, every)
            else:
                _photo(detector, path, collection, report, threshold, pictures)
        except ImageError as error:
            report.failures[path] = str(error)
        if progress:
            progress(index, len(images))
    info = {
        **detector.origin,
        "threshold": threshold,
        "inference": detector.inference,
        **provenance(),
    }
    if report.objects and not any(report.objects.values()):
        info["nothing"] = _nothing(detector, list(report.objects), threshold)
    failed = [{"file_name": str(path), "error": error} for path, error in report.failures.items()]
    passed = [{"file_name": str(path), "reason": reason} for path, reason in skipped.items()]
    report.document.update(info=info, **collection.document(), failed=failed, skipped=passed)
    write_json(report.document, report.results)
    return report


def _nothing(detector: Detector, files: Sequence[Path], threshold: float) -> str:
    """One line on files in which nothing was found, of which one is looked at again."""
    first = files[0]
    image = next(read_frames(first)).image_bgr if is_video(first) else read_image(first)
    why = not_finite(detector, image)
    said = f"{detector.name} detects no object with a score of {threshold:g} or more in any of {len(files):,} files."
    return f"{said} {why}".rstrip()


def _found(detector: Detector, image: Pixels, threshold: float) -> tuple[Detections, Panoptic | None]:
    prediction = detector.detect(image)
    return prediction.detections.keep(prediction.detections.scores >= threshold), prediction.panoptic


def _photo(
    detector: Detector, path: Path, collection: _Collection, report: PredictedFiles, threshold: float, pictures: bool
) -> None:
    image = read_image(path)
    detections, panoptic = _found(detector, image, threshold)
    entry = collection.add(path, detections, panoptic)
    report.objects[path] = len(detections)
    if note := reading_note(path):
        report.notes[path] = entry["note"] = note
    if words := unfamiliar(detector, image):
        report.unfamiliar[path] = entry["unfamiliar"] = words
    if pictures:
        picture = collection.draw(path, image, detections, panoptic)
        report.pictures[path], entry["picture"] = picture, collection.within(picture)


def _film(
    detector: Detector,
    path: Path,
    collection: _Collection,
    report: PredictedFiles,
    threshold: float,
    pictures: bool,
    every: int,
) -> None:
    """Goes through a video; a frame that cannot be decoded ends it."""
    facts = read_facts(path)
    frames = objects = last = 0
    with ExitStack() as stack:
        writer = target = None
        if pictures:
            target = collection.claim(path, ".mp4")
            writer = VideoWriter(stack.enter_context(replacing(target)), facts.fps / every)
            stack.callback(writer.close)
        for frame in read_frames(path, every):
            detections, panoptic = _found(detector, frame.image_bgr, threshold)
            entry = collection.add(path, detections, panoptic, name=f"{path}#{frame.number}")
            frames += 1
            entry |= {"frame": frame.number, "time_s": round(frame.time_s, 3)}
            if frames == 1 and (words := unfamiliar(detector, frame.image_bgr)):  # the first frame stands for all
                report.unfamiliar[path] = entry["unfamiliar"] = words
            objects, last = objects + len(detections), frame.number
            if writer and target:
                writer.add(collection.painted(frame.image_bgr, detections, panoptic))
                entry["picture"] = collection.within(target)
    report.objects[path] = objects
    report.notes[path] = f"in {frames} frames"
    if facts.frames and last < facts.frames - every:
        report.notes[path] += f" up to frame {last} of {facts.frames}: the rest cannot be decoded"
    if target:
        report.pictures[path] = target


class _Names:
    """Gives out file names: no name twice, and none that is the file of an image to be read."""

    def __init__(self, images: Iterable[Path]) -> None:
        self._taken = {self._key(image) for image in images}

    def claim(self, folder: Path, stem: str, suffix: str) -> Path:
        """Returns `folder/stem.suffix`, with `-2`, `-3`, … after the stem if that is taken."""
        while len(os.fsencode(stem)) > _LONGEST_STEM:
            stem = stem[:-1]
        number, path = 1, folder / f"{stem}{suffix}"
        while self._key(path) in self._taken:
            number += 1
            path = folder / f"{stem}-{number}{suffix}"
        self._taken.add(self._key(path))
        return path

    @staticmethod
    def _key(path: Path) -> str:
        return str(path.resolve()).casefold()  # some file systems do not tell upper from lower case


class _Collection:
    """The results so far, in COCO's words, and the pictures that go with them."""

    def __init__(self, class_names: Sequence[str], out: Path, names: _Names, caption: str) -> None:
        self._category_ids = category_ids(class_names)
        self._categories = [{"id": self._category_ids[i], "name": name} for i, name in enumerate(class_names)]
        self._out, self._names, self._caption = out, names, caption
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._panoptic: list[dict[str, Any]] = []

    def add(self, path: Path, detections: Detections, panoptic: Panoptic | None, *, name: str = "") -> dict[str, Any]:
        """Takes in one image's results, writes its panoptic PNG, and returns the entry, to which more may be added."""
        image_id = len(self._images) + 1
        height, width = detections.image_size
        image = {"id": image_id, "file_name": name or str(path), "height": height, "width": width}
        self._images.append(image)
        for result in coco_annotations(detections, image_id, self._category_ids):
            self._annotations.append({"id": len(self._annotations) + 1, **result})
        if panoptic is not None:
            target = self._names.claim(self._out / "panoptic", path.stem, ".png")
            write_panoptic_png(target, panoptic.segment_ids)
            segments = [dict(segment) for segment in panoptic.segments]
            file_name = target.relative_to(self._out).as_posix()
            self._panoptic.append({"image_id": image_id, "file_name": file_name, "segments_info": segments})
        return image

    def painted(self, image: Pixels, detections: Detections, panoptic: Panoptic | None) -> Pixels:
        """Returns the image, BGR, with what was found."""
        if panoptic is None:
            return draw_detections(image, detections, caption=self._caption)
        return draw_panoptic(image, panoptic, caption=self._caption)

    def claim(self, path: Path, suffix: str) -> Path:
        """Returns the file that a picture of what `path` shows goes to."""
        return self._names.claim(self._out / "pictures", path.stem, suffix)

    def within(self, target: Path) -> str:
        """Names a file of the results as the document does."""
        return target.relative_to(self._out).as_posix()

    def draw(self, path: Path, image: Pixels, detections: Detections, panoptic: Panoptic | None) -> Path:
        """Writes one image's picture and returns its path."""
        drawn = self.painted(image, detections, panoptic)
        # without subsampling thin lines stay sharp
        return write_picture(swap_channels(drawn), self.claim(path, ".jpg"), quality=92, subsampling=0)

    def document(self) -> dict[str, Any]:
        """Returns the collected results as COCO's lists."""
        lists = {"images": self._images, "categories": self._categories, "annotations": self._annotations}
        return lists | ({"panoptic": self._panoptic} if self._panoptic else {})
