"""Runs to analyse: read from a folder that `explorer evaluate` wrote, a COCO results file, or a detector at hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from explorer.data.annotations import categories_in_order
from explorer.data.grouping import scenes_of
from explorer.data.ids import Id, id_column, id_order
from explorer.data.layout import Stamp
from explorer.data.masks import compressed
from explorer.reading import read_json
from explorer.scoring.alike import annotations_changed, data_facts, results_facts
from explorer.scoring.columns import Found, Run, Truth
from explorer.scoring.foreign.reading import is_folder_of_results
from explorer.scoring.identify import Images, MatchBy, check_match_by
from explorer.scoring.ignored import found_under, truth_under
from explorer.scoring.protocols import Protocol, protocol_from
from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE, found_in
from explorer.scoring.results_stream import ResultsFile, open_results

__all__ = ["Run", "Source", "Truth", "find_run", "load_run", "read_truth", "truth_from_coco"]

_READ: WeakValueDictionary[tuple[str, str, Stamp], Truth] = WeakValueDictionary()
"""What is in use: of several runs on the same data, only the first reads it."""
FACTS_FILE = "run.json"
METRICS_FILE = "metrics.json"
IF_NOT_RUN = "If the detector was not run on them, the figures are too low."
"""How a note ends on images without a detection."""


@dataclass(frozen=True, eq=False)
class Source:
    """A run whose detections have not been read yet.

    Attributes:
        name: what to call it.
        truth: what is there; only the images that the detector was run on.
        facts: `run.json`; empty for a plain results file.
        folder: None for a plain results file.
        file: where the detections are.
        results: the same, open.
        match_by: how their images are told.
    """

    name: str
    truth: Truth
    facts: Mapping[str, Any]
    folder: Path | None
    file: Path
    results: ResultsFile
    match_by: MatchBy | None


def load_run(
    path: str | Path,
    data: str | None = None,
    name: str | None = None,
    match_by: str | None = None,
    protocol: Protocol | None = None,
) -> Run:
    """Reads a run, of any detector.

    A file is a list in COCO's results format, an object with such a list as `annotations` (as `explorer predict` and
    pycocotools' `loadRes` have it), or the page's download; gzipped or not. Where it lists images, only those count.
    Files and folders of Ultralytics, mmdetection, supervision, Hugging Face and FiftyOne, and CSV, are read as well.

    Args:
        path: a folder that `explorer evaluate --out` wrote, or a file of detections.
        data: what it was run on, as `register_coco` takes it: `PATH`, `PATH:SPLIT`, …. For a folder it may be left
            out: `run.json` says it. Of a folder's results file, too, only the images that were evaluated count.
        name: what to call the run; None for the model's name, or the file's. In the page's download of several models
            it is the one that is meant.
        match_by: `id` or `file_name` tells images (and `id` classes, too) by that alone. None tells them by ids where
            these fit, else by what the file says: the file names of images, the names of categories.
        protocol: by which it is scored; None for that of `run.json`, else COCO's.

    Raises:
        ValueError: something is missing or broken, or the detections are not on this data: on unknown images or
            classes, or with scores that are not finite.
    """
    source = find_run(path, data, name, match_by, protocol)
    found = found_in(source.results, source.truth, source.file, source.match_by)
    found = found_under(protocol_from(source.facts), source.truth, found)
    is_ours = source.file.name == RESULTS_FILE and source.file.with_name(IMAGES_FILE).is_file()
    known = source.results.images or (is_ours and "results" not in source.facts)
    notes = () if known else silence(source.name, source.truth, found, source.results.looked)
    if not len(found):
        notes = (nothing_found(source.name, len(source.truth.image_ids)), *notes)
    if changed := annotations_changed(source.name, source.facts, data):
        notes = (f"{changed[0].upper()}{changed[1:]}.", *notes)
    facts = source.facts if source.folder else {**results_facts(path), **data_facts(data), **source.facts}
    return Run(source.name, source.truth, found, facts, source.folder, notes=notes)


def silence(name: str, truth: Truth, found: Found, looked: Collection[Id] = ()) -> tuple[str, ...]:
    """One line on images without a detection, where nothing says whether the detector was run on them.

    Args:
        name: of the detector.
        truth: the images.
        found: the detections.
        looked: ids of images that it is known to have been run on.
    """
    ids = truth.image_ids.tolist()
    without = len(set(ids) - set(looked) - {ids[row] for row in np.unique(found.images).tolist()})
    said = (
        f"{without:,} of {len(ids):,} images have no detections of {name}; they count as images in which nothing was "
        f"found. {IF_NOT_RUN}"
    )
    return (said,) if without else ()


def nothing_found(name: str, images: int) -> str:
    """One line on a run without a single detection."""
    return f"{name} detects nothing in any of the {images:,} images."


def find_run(
    path: str | Path,
    data: str | None = None,
    name: str | None = None,
    match_by: str | None = None,
    protocol: Protocol | None = None,
) -> Source:
    """Reads all of a run but its detections, with the arguments and errors of `load_run`."""
    path, how = Path(path).expanduser(), check_match_by(match_by)
    if not path.exists():
        raise ValueError(
            f"there is no run {str(path)!r}: give a folder that `explorer evaluate --out` wrote, or a file"
        )
    is_run = path.is_dir() and (
        any((path / own).exists() for own in (RESULTS_FILE, FACTS_FILE)) or not is_folder_of_results(path)
    )
    folder = path if is_run else None
    file = folder / RESULTS_FILE if folder else path
    if not file.exists():
        raise ValueError(
            f"{folder} holds no {RESULTS_FILE}: give a folder that `explorer evaluate --out` wrote, or one with a file "
            "of detections for each image"
        )
    facts = read_facts(folder) if folder else {}
    if protocol:
        facts = {**facts, "protocol": protocol.as_facts()}
    truth = truth_under(protocol_from(facts), _truth(path, data or facts.get("data")))
    if folder or (path.name == RESULTS_FILE and path.with_name(IMAGES_FILE).is_file()):
        truth = _evaluated(truth, file.parent, {"data": data} | facts)
    if facts.get("classes"):
        truth = truth.of_classes(facts["classes"], facts.get("renamed"))
    results = open_results(file, name, truth)
    truth = _listed(truth, results, file, how)
    how = None if results.has_ids else how
    return Source(name or facts.get("model") or path.stem, truth, facts, folder, file, results, how)


def read_truth(data: str) -> Truth:
    """Reads the annotations of a data set as they are scored against, in COCO's order.

    Annotations that no scorer can read are left out, as in every evaluation here (`explorer data check` lists them),
    which the notes say.

    Args:
        data: as `explorer.data.coco.register_coco` takes it.

    Raises:
        ValueError: there is no such data set, it has no instance annotations, or images, categories or annotations
            that share an id.
    """
    from explorer.data.sources import instances_split
    from explorer.data.truth import scorable

    split = instances_split(data)
    key = (split.source, str(split.images), split.stamp)
    truth = _READ.get(key)
    if truth is None:
        read = scorable(split)
        truth = _READ[key] = replace(truth_from_coco(read.content, split.images), notes=read.notes)
    return truth


def truth_from_coco(content: Mapping[str, Any], images_folder: str | Path = "") -> Truth:
    """Turns annotations in COCO's format into columns.

    Images and classes are in COCO's order, by ascending id, which decides between equal scores. Categories of one name
    are told apart by their ids, as in `car (id 3)`.

    Args:
        content: sound annotations, each with `area` and `iscrowd`; see `explorer.data.truth.ground_truth`.
        images_folder: what `file_name`s are relative to.
    """
    images = sorted(content["images"], key=lambda image: id_order(image["id"]))
    categories = categories_in_order(content["categories"])
    class_of = {category["id"]: row for row, category in enumerate(categories)}
    row_of = {image["id"]: row for row, image in enumerate(images)}
    sizes = [(image["height"], image["width"]) for image in images]
    objects = [a for a in content["annotations"] if a["category_id"] in class_of]  # as pycocotools does
    objects.sort(key=lambda annotation: row_of[annotation["image_id"]])  # stable: the file's order decides ties
    rows = [row_of[annotation["image_id"]] for annotation in objects]
    masks = tuple(compressed(a.get("segmentation"), sizes[row]) for a, row in zip(objects, rows, strict=True))
    return Truth(
        image_ids=id_column(image["id"] for image in images),
        file_names=tuple(str(Path(images_folder).absolute() / image["file_name"]) for image in images),
        image_sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        category_ids=id_column(category["id"] for category in categories),
        class_names=tuple(category["name"] for category in categories),
        ids=id_column(a["id"] for a in objects),
        images=np.array(rows, dtype=np.int64),
        classes=np.array([class_of[a["category_id"]] for a in objects], dtype=np.int64),
        boxes_xywh=np.array([a["bbox"] for a in objects], dtype=np.float64).reshape(-1, 4),
        areas_px=np.array([a["area"] for a in objects], dtype=np.float64),
        crowds=np.array([a["iscrowd"] for a in objects], dtype=np.bool_),
        masks=masks if any(masks) else None,
        scenes=scenes_of(images),
    )


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads a run's `run.json`; empty where there is none.

    Raises:
        ValueError: it is no JSON object.
    """
    path = folder / FACTS_FILE
    if not path.exists():
        return {}
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise ValueError(f"{path} holds a {type(facts).__name__}, which must be an object")
    return facts


def _truth(path: Path, data: Any) -> Truth:
    if not isinstance(data, str):
        raise ValueError(f"{path} does not say what it was run on: give the data set as PATH:SPLIT (data=, --data)")
    try:
        return read_truth(data)
    except ValueError as error:
        raise ValueError(f"{path} was run on {data!r}, but {error}") from error


def _evaluated(truth: Truth, folder: Path, facts: Mapping[str, Any]) -> Truth:
    """Keeps the images that were evaluated; a results file alone does not name those without detections."""
    path = folder / IMAGES_FILE
    if path.exists():
        try:
            evaluated = truth.of_images(read_json(path))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} does not list images of {facts.get('data')!r}: {error}") from error
        if facts.get("images", len(evaluated.image_ids)) != len(evaluated.image_ids):
            raise ValueError(
                f"{folder} was run on {facts['images']!r} images, but {IMAGES_FILE} lists {len(evaluated.image_ids)}: "
                "its files are not of one run. Evaluate again."
            )
        return evaluated
    images = facts.get("images", len(truth.image_ids))
    if not isinstance(images, int) or not 0 < images <= len(truth.image_ids):
        raise ValueError(f"{folder} was run on {images!r} images, but {facts.get('data')!r} has {len(truth.image_ids)}")
    # without the list: `explorer evaluate` takes images by ascending id
    return truth.of_rows(np.arange(images))


def _listed(truth: Truth, results: ResultsFile, file: Path, match_by: MatchBy | None) -> Truth:
    """Keeps the images that the results list, if they list any."""
    if not results.images:
        return truth
    try:
        return truth.of_rows(Images(truth, match_by, results.images).rows_listed())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
