"""Runs that may be compared: on the same images and annotations, with the same classes, by the same protocol.

What a run's record (`run.json`) says decides where the annotations at hand cannot tell: that they have changed since,
that classes were renamed, or that another number of detections counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from explorer.data.ids import id_order
from explorer.data.sources import instances_split
from explorer.scoring.columns import Run, Truth, in_order
from explorer.scoring.ignored import run_under
from explorer.scoring.protocols import Protocol
from explorer.types import Ints


class RunsDifferError(ValueError):
    """Runs that may not be compared.

    Args:
        problems: in what they differ.
        protocols: by different protocols, among others.
        force: what to write to compare them all the same.
        protocol: what to write to score all of them by one.
    """

    def __init__(
        self, problems: Sequence[str], protocols: bool, force: str = "force=True", protocol: str = "protocol="
    ) -> None:
        same = f"{protocol} scores all of them by one protocol. " if protocols else ""
        super().__init__(
            f"The runs cannot be compared: {'; '.join(problems)}. {same}{force} compares them anyway, on the "
            "images and classes that they share."
        )
        self.problems, self.protocols = problems, protocols

    def as_options(self) -> RunsDifferError:
        """Returns the same with the options of `explorer compare` in place of Python's arguments."""
        return RunsDifferError(
            self.problems, self.protocols, "--force", "--sizes, --max-detections or --iou-thresholds"
        )


def annotations_sha256(data: str) -> str | None:
    """Returns the SHA-256 of a data set's annotations; None where it has none, or is not there any more.

    Of one file, as in COCO's format, it is that of the file; of several, that of the list of theirs by name.
    """
    try:
        stamp = instances_split(data).stamp
        digests = [_sha256(Path(file), changed_ns, size) for file, changed_ns, size in stamp]
    except (ValueError, OSError):
        return None
    if len(digests) == 1:
        return digests[0]
    named = [f"{Path(file).name} {digest}" for (file, *_), digest in zip(stamp, digests, strict=True)]
    return hashlib.sha256("\n".join(named).encode(errors="surrogateescape")).hexdigest()


def data_facts(data: str | None) -> dict[str, Any]:
    """Says on what a result was made, as files have it that hold one: `data`, and the hash of its `annotations`."""
    return {"data": data, "annotations": {"sha256": annotations_sha256(data) if data else None}}


def results_facts(path: str | Path) -> dict[str, Any]:
    """Says which file of `results` detections come from, and its hash; a folder of files has none."""
    file = Path(path).expanduser()
    stat = file.stat()
    return {
        "results": {
            "path": str(file),
            "sha256": _sha256(file, stat.st_mtime_ns, stat.st_size) if file.is_file() else None,
        }
    }


def alike(
    runs: Sequence[Run], *, data: str | None = None, protocol: Protocol | None = None, force: bool = False
) -> list[Run]:
    """Returns runs that can be compared.

    Args:
        runs: two or more.
        data: what all are scored on, where it was named; else each was read with the data set of its own record.
        protocol: by which all are scored, where it was named; else each run's own counts.
        force: compare runs of other images, classes or protocols all the same, on the images and classes that all of
            them have. `Run.notes` say what differs, and so do the pages and documents made of them.

    Raises:
        RunsDifferError: the runs differ, which is named, and `force` is not set.
        ValueError: they share no image or no class.
    """
    first, *others = runs
    problems = [problem for run in runs if (problem := annotations_changed(run.name, run.facts, data))]
    protocols = protocol is None and any(other.protocol != first.protocol for other in others)
    for other in others:
        problems += [f"{first.name} and {other.name}: {words}" for words in _differences(first, other, protocol)]
    if not problems:
        return [run_under(protocol, run) for run in runs] if protocol else list(runs)
    if not force:
        raise RunsDifferError(problems, protocols)
    images = {image for image in first.truth.row_of_image if all(image in run.truth.row_of_image for run in others)}
    classes = [name for name in first.truth.class_names if all(name in run.truth.class_names for run in others)]
    if not images or not classes:
        raise ValueError(f"The runs share no {'class' if images else 'image'}, so there is nothing to compare.")
    note = (
        f"Compared by force although the runs differ: {'; '.join(problems)}. What counts are the {len(images)} images "
        f"and {len(classes)} classes that all of them have."
    )
    given = [run_under(protocol or first.protocol, run) for run in runs]
    return [replace(restricted(run, sorted(images, key=id_order), classes), notes=(*run.notes, note)) for run in given]


def restricted(run: Run, images: Sequence[int | str], classes: Sequence[str]) -> Run:
    """Returns a run on some of its images, by id, and some of its classes, by name; its figures stay behind."""
    truth = run.truth.of_images(images).of_classes(classes)
    image_rows = _rows(run.truth.image_ids.tolist(), truth.image_ids.tolist())
    class_rows = _rows(run.truth.class_names, truth.class_names)
    found = run.found
    kept = np.flatnonzero((image_rows[found.images] >= 0) & (class_rows[found.classes] >= 0))
    return Run(
        run.name,
        truth,
        in_order(
            image_rows[found.images[kept]],
            class_rows[found.classes[kept]],
            found.boxes_xywh[kept],
            found.scores[kept],
            None if found.masks is None else tuple(found.masks[row] for row in kept),
            None if found.mask_scores is None else found.mask_scores[kept],
        ),
        run.facts,
        run.folder,
        notes=run.notes,
    )


def difference_of(a: Truth, b: Truth) -> str | None:
    """Says in what two runs' annotations differ; None where they are the same."""
    if alone := sorted(a.row_of_image.keys() ^ b.row_of_image.keys(), key=id_order):
        return (
            f"they were run on {len(a.image_ids)} and {len(b.image_ids)} images, of which {len(alone)} are in one "
            f"only, the first is image {alone[0]}; run both on the same images"
        )
    if a.class_names != b.class_names or not np.array_equal(a.category_ids, b.category_ids):
        odd = [f"{x!r} and {y!r}" for x, y in zip(a.class_names, b.class_names, strict=False) if x != y]
        return (
            f"they have {len(a.class_names)} and {len(b.class_names)} classes"
            f"{', the first that differ are ' + odd[0] if odd else ''}; run both on the same classes"
        )
    same = all(
        np.array_equal(getattr(a, column), getattr(b, column))
        for column in ("ids", "images", "classes", "boxes_xywh", "areas_px", "crowds")
    )
    return None if same else f"their annotations differ ({len(a)} and {len(b)} objects); read both with the same data"


def annotations_changed(name: str, facts: Mapping[str, Any], data: str | None = None) -> str | None:
    """Says that annotations are not those that a run was evaluated with; None where they are, or none can tell.

    Args:
        name: of the run.
        facts: of its `run.json`.
        data: the data set that is at hand; None for the run's own.
    """
    then, named = _annotations(facts).get("sha256"), data or facts.get("data")
    now = annotations_sha256(str(named)) if then and named else None
    if not then or now is None or now == then:
        return None
    then = str(then)
    return f"the annotations of {named} are not those that {name} was evaluated with ({then[:12]}, now {now[:12]})"


def _differences(a: Run, b: Run, protocol: Protocol | None) -> list[str]:
    found = []
    if difference := difference_of(a.truth, b.truth):
        found.append(difference)
    names = [dict(run.facts.get("renamed") or {}) for run in (a, b)]
    if names[0] != names[1]:
        found.append(f"their classes were renamed differently ({names[0] or 'not at all'}, {names[1] or 'not at all'})")
    if protocol is None and a.protocol != b.protocol:
        found.append(f"they were scored by different protocols ({a.protocol}; {b.protocol})")
    return found


def _annotations(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    given = facts.get("annotations")
    return given if isinstance(given, Mapping) else {}


def _rows(old: Sequence[Any], new: Sequence[Any]) -> Ints:
    """By old row the new one, -1 for what is left out."""
    places = {value: row for row, value in enumerate(new)}
    return np.array([places.get(value, -1) for value in old], dtype=np.int64)


@lru_cache(maxsize=1 << 18)
def _sha256(file: Path, changed_ns: int, size: int) -> str:
    """Its arguments beside the file make a changed file another one."""
    del changed_ns, size
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
