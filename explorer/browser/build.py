"""Data sets and runs into FiftyOne's database: in bulk, at any time from where it stopped, and only what is missing.

Each image, and each image's part of a run, is written in one operation, which happens or does not. What has happened is
seen in the database itself: an image by its id, its part of a run by the count of true positives.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from explorer.browser.documents import RunDocuments, sample_ids, samples
from explorer.browser.evaluation import declare_evaluation, save_results
from explorer.browser.judging import JudgedPart, judge_parts, survey
from explorer.browser.match_log import MatchLog
from explorer.browser.names import GROUND_TRUTH, RunFields, dataset_name
from explorer.browser.schema import declare_ids, declare_run, declare_truth
from explorer.browser.state import (
    VERSION,
    RunState,
    State,
    assign_fields,
    fingerprint_of,
    read_state,
    run_files,
    run_name,
    write_state,
)
from explorer.scoring.columns import Truth
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import COCO, Protocol, protocol_from
from explorer.types import Progress

SAMPLES_AT_A_TIME = 500
UPDATES_AT_A_TIME = 100


@dataclass(frozen=True)
class Built:
    """A data set in the database.

    Attributes:
        dataset: FiftyOne's.
        fields: sample field of each run that was asked for, in that order.
        written: what had to be written: `images`, and fields of runs.
    """

    dataset: Any
    fields: tuple[str, ...]
    written: tuple[str, ...]


def build(
    data: str,
    runs: Sequence[Path] = (),
    *,
    name: str | None = None,
    rebuild: bool = False,
    found: FoundRule = FOUND,
    match_by: str | None = None,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
) -> Built:
    """Builds a data set in the database, or brings it up to date.

    What was corrected or tagged in the App stays. Runs that are there already and not asked for stay, too.

    Args:
        data: the annotations, as `register_coco` takes them.
        runs: folders that `explorer evaluate --out` wrote, or files in COCO's results format.
        name: of the data set; None for one after the folder and the split.
        rebuild: whether to throw away what is there.
        found: what counts as found by these runs.
        match_by: how results tell images; see `explorer.load_run`.
        protocol: by which all runs are scored and objects have sizes. None for that of a data set that is there; for a
            new one, that of all runs where it is one, else COCO's.
        progress: called after every few images with the number written and the number to write, of the images first
            and then of each run.

    Raises:
        ValueError: the data or a run cannot be read, or there is another data set of this name, or by another protocol.
    """
    import fiftyone as fo

    from explorer.data.sources import annotation_files

    source, files = annotation_files(data)
    name = name or dataset_name(source)
    if rebuild and fo.dataset_exists(name):
        fo.delete_dataset(name)
    dataset, state = _open(name, source, fingerprint_of(files), protocol, runs)
    fields = assign_fields(runs, state.runs)
    written: list[str] = []
    if not (runs or state.runs or state.complete):
        _write_images(dataset, _truth(data), state, progress)
        state = replace(state, complete=True)
        write_state(dataset, state)
        written.append("images")
    with _few_collections():
        for field, path in fields.items():
            given = RunState(
                run_name(path), str(path), fingerprint_of(run_files(path), found), "done", found.iou, match_by=match_by
            )
            known = state.runs.get(field)
            if known is None or known.stage != "done" or _is_other(known, given):
                state, images = _update_run(dataset, state, field, given, data, found, progress)
                written += [*(["images"] if images else []), field]
    return Built(dataset, tuple(fields), tuple(dict.fromkeys(written)))


def kept_protocol(data: str, name: str | None = None) -> Protocol | None:
    """Returns the protocol of a data set that is in the database; None where it is not there.

    Args:
        data: the annotations, as `register_coco` takes them.
        name: of the data set; None for one after the folder and the split.
    """
    import fiftyone as fo

    from explorer.data.sources import annotation_files

    name = name or dataset_name(annotation_files(data)[0])
    state = read_state(fo.load_dataset(name)) if fo.dataset_exists(name) else None
    return state.rules if state else None


def _truth(data: str) -> Truth:
    from explorer.scoring.runs import read_truth

    return read_truth(data)


def _open(
    name: str, source: str, fingerprint: str, protocol: Protocol | None, runs: Sequence[Path]
) -> tuple[Any, State]:
    """Opens or creates the data set; whatever was left undone when it was created is done here."""
    import fiftyone as fo

    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name)
    state = read_state(dataset)
    if state is None and not len(dataset) and not dataset.persistent:
        fo.delete_dataset(name)  # a process that was killed may have left it without indexes
        dataset = fo.Dataset(name)
    if state is None and len(dataset):
        raise ValueError(
            f"FiftyOne has a data set {name!r} that was not created by explorer browse: choose another name (--name)"
        )
    if state is None:
        state = State(source, fingerprint, protocol=(protocol or _shared_protocol(runs)).as_facts())
        write_state(dataset, state)
    if (state.source, state.fingerprint, state.version) != (source, fingerprint, VERSION):
        why = "was created before its annotations changed"
        if state.source != source:
            why = f"was created from {state.source}"
        elif state.version != VERSION:
            why = "was created by another version of this program"
        raise ValueError(
            f"FiftyOne's data set {name!r} {why}: choose another name (--name), or create it again (--rebuild), "
            "which loses tags and corrections made in the App"
        )
    if protocol is not None and protocol != state.rules:
        raise ValueError(
            f"FiftyOne's data set {name!r} uses another protocol ({state.rules}): choose another name "
            "(--name), or create it again (--rebuild), which loses tags and corrections made in the App"
        )
    if not dataset.persistent:
        dataset.media_type = "image"
        declare_truth(dataset)
        dataset.persistent = True  # last: until now, FiftyOne would have cleared it away
    return dataset, state


def _shared_protocol(runs: Sequence[Path]) -> Protocol:
    """The protocol of all runs where it is one, else COCO's."""
    from explorer.scoring.runs import read_facts

    own = [protocol_from(read_facts(path) if path.is_dir() else {}) for path in runs]
    return own[0] if own and all(one == own[0] for one in own) else COCO


def _update_run(
    dataset: Any, state: State, field: str, given: RunState, data: str, found: FoundRule, progress: Progress | None
) -> tuple[State, int]:
    """Writes what is missing of a run, and of its images, and returns how many images were."""
    from explorer.scoring.parts import RunInParts

    with RunInParts(Path(given.path), data, field, given.match_by, state.rules) as run:
        whole = survey(run, found)
        # images that are missing from a complete data set were deleted in the App
        images = 0 if state.complete else _write_images(dataset, _all_on(data, run.whole.truth), state, progress)
        fields = RunFields(field, state.rules)
        known = state.runs.get(field)
        declare_run(dataset, fields)
        method = declare_evaluation(dataset, fields, found.iou)
        if known is not None and (known.stage == "clearing" or _is_other(known, given)):
            state = _remember(dataset, state, field, replace(given, stage="clearing"))
            _clear(dataset, fields)
        state = _remember(dataset, state, field, replace(given, stage="writing"))
        with MatchLog(run.whole.truth) as log:
            _write_run(dataset, judge_parts(run, whole), log, fields, progress)
            figures = {name: None if np.isnan(value) else value for name, value in whole.figures.named().items()}
            save_results(dataset, method, log, whole, fields, figures)
    state = _remember(dataset, state, field, replace(given, score=whole.point.score, figures=figures))
    return state, images


def _all_on(data: str, truth: Truth) -> Truth:
    """All that is annotated on a run's images, what its protocol does not score too: corrections are made to all."""
    return _truth(data).of_images(truth.image_ids.tolist())


def _is_other(known: RunState, given: RunState) -> bool:
    return (known.fingerprint, known.match_by) != (given.fingerprint, given.match_by)


def _remember(dataset: Any, state: State, field: str, run: RunState) -> State:
    state = replace(state, runs={**state.runs, field: run})
    write_state(dataset, state)
    return state


def _collection(dataset: Any) -> Any:
    """The data set's samples in the database."""
    from fiftyone.core.odm import get_db_conn

    return get_db_conn()[dataset._sample_collection_name]


def _write_images(dataset: Any, truth: Truth, state: State, progress: Progress | None) -> int:
    """Writes the images that are not in the database, and returns how many."""
    declare_ids(dataset, truth)
    dataset.default_classes = list(truth.class_names)
    collection = _collection(dataset)
    present = {document["_id"] for document in collection.find({}, {"_id": 1})}
    missing = np.array([own not in present for own in sample_ids(dataset.name, truth)], dtype=bool)
    rows, done = np.flatnonzero(missing), 0
    source, protocol = state.source, state.rules
    tag = Path(source.rpartition(":")[2]).name if ":" in source else None
    now = datetime.now(UTC)
    for first in range(0, len(rows), SAMPLES_AT_A_TIME):
        part = truth.of_rows(rows[first : first + SAMPLES_AT_A_TIME])
        collection.insert_many(samples(dataset.name, dataset._doc.id, part, tag, now, protocol))
        done += len(part.image_ids)
        if progress:
            progress(done, len(rows))
    if done:
        _changed(dataset)
    return done


def _write_run(
    dataset: Any, parts: Iterable[JudgedPart], log: MatchLog, fields: RunFields, progress: Progress | None
) -> None:
    """Writes a run into those of its images that do not have it yet, and all of it into the log."""
    from pymongo import UpdateOne

    collection = _collection(dataset)
    finished = {document["_id"] for document in collection.find({fields.true_positives: {"$exists": True}}, {"_id": 1})}
    total, done = log.images - len(finished), 0
    with ThreadPoolExecutor(1) as database:  # it writes a batch while the next one is made
        written: list[tuple[int, Future[Any]]] = []
        for own in parts:
            log.add(own)
            documents = RunDocuments(dataset.name, own.judged, fields, own.part.first_detection)
            ids = sample_ids(dataset.name, own.part.run.truth)
            for rows in _batches((row for row, sample in enumerate(ids) if sample not in finished), UPDATES_AT_A_TIME):
                places = _label_places(collection, [ids[row] for row in rows])
                updates = [  # of those that were not deleted in the App
                    UpdateOne({"_id": ids[row]}, _update(documents, row, places[ids[row]], fields))
                    for row in rows
                    if ids[row] in places
                ]
                done += _wait(written, progress, done, total)
                written.append((len(rows), database.submit(_write, collection, updates)))
        done += _wait(written, progress, done, total)
    if done:
        _changed(dataset)


def _write(collection: Any, updates: list[Any]) -> None:
    if updates:
        collection.bulk_write(updates, ordered=False)


def _wait(written: list[tuple[int, Future[Any]]], progress: Progress | None, done: int, total: int) -> int:
    """Waits for the batch that is being written, if any, and returns how many images it has."""
    if not written:
        return 0
    images, batch = written.pop()
    batch.result()
    if progress:
        progress(done + images, total)
    return images


def _update(documents: RunDocuments, row: int, places: dict[Any, int], fields: RunFields) -> dict[str, Any]:
    """Makes an image's update; labels that were deleted in the App stay away."""
    values = documents.of_image(row) | {"last_modified_at": datetime.now(UTC)}
    finders = {}
    for label, own, found in documents.on_objects(row):
        if label in places:
            path = f"{GROUND_TRUTH}.detections.{places[label]}"
            values |= {f"{path}.{name}": value for name, value in own.items()}
            if found:
                finders[f"{path}.found_by"] = fields.predictions
    return {"$set": values} | ({"$addToSet": finders} if finders else {})


def _label_places(collection: Any, ids: list[Any]) -> dict[Any, dict[Any, int]]:
    """Where each object's label stands among its sample's: labels may have been added or deleted in the App."""
    labels = collection.find({"_id": {"$in": ids}}, {f"{GROUND_TRUTH}.detections._id": 1})
    return {
        sample["_id"]: {
            label["_id"]: place for place, label in enumerate((sample.get(GROUND_TRUTH) or {}).get("detections") or [])
        }
        for sample in labels
    }


def _clear(dataset: Any, fields: RunFields) -> None:
    """Takes a run of older results off the objects, and the mark that it is finished off the images."""
    collection, labels = _collection(dataset), f"{GROUND_TRUTH}.detections"
    gone = {f"{labels}.$[].{name}": "" for name in fields.on_objects}
    collection.update_many(
        {labels: {"$type": "array"}},
        {"$unset": gone, "$pull": {f"{labels}.$[].found_by": fields.predictions}},
    )
    numbers = [fields.true_positives, fields.ap, fields.label_error, *filter(None, [fields.ap_smallest])]
    collection.update_many({}, {"$unset": dict.fromkeys(numbers, "")})


@contextmanager
def _few_collections() -> Iterator[None]:
    """Lets Python look for cycles less often: documents have none, and looking took a third of the time of a build."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _changed(dataset: Any) -> None:
    """Lets FiftyOne, and an App that is open, know."""
    dataset._doc.last_modified_at = datetime.now(UTC).replace(tzinfo=None)
    dataset.save()


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
