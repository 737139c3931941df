"""What a data set in the database remembers of how it was made, so that making it again does only what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from explorer.browser.names import field_name
from explorer.reading import read_json
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import COCO, Protocol, protocol_from

KEY = "vovnet_explorer"
VERSION = 2
"""Of what is written; a higher one writes every data set anew."""
Stage = Literal["clearing", "writing", "done"]


@dataclass(frozen=True)
class RunState:
    """A run in the database.

    Attributes:
        name: the model's.
        path: of the run's folder or file.
        fingerprint: of its files.
        stage: how far it is written.
        iou: from which its detections find objects.
        score: and from which score; None while it is being written.
        figures: COCO's, in percent; None where there is no object.
        match_by: how its results tell images.
    """

    name: str
    path: str
    fingerprint: str
    stage: Stage
    iou: float = FOUND.iou
    score: float | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    match_by: str | None = None

    @property
    def rule(self) -> FoundRule:
        """What counts as found."""
        return FoundRule(self.iou, self.score)


@dataclass(frozen=True)
class State:
    """A data set in the database.

    Attributes:
        source: its annotations, as `PATH:SPLIT`.
        fingerprint: of their file.
        runs: by the sample field of their detections.
        complete: whether all images of the data were written; runs alone bring only those that they were made on.
        version: of what is written.
        protocol: by which all runs are scored and objects have sizes, as `run.json` has it.
    """

    source: str
    fingerprint: str
    runs: Mapping[str, RunState] = field(default_factory=dict)
    complete: bool = False
    version: int = VERSION
    protocol: Mapping[str, Any] = field(default_factory=COCO.as_facts)

    @property
    def rules(self) -> Protocol:
        """The protocol."""
        return protocol_from({"protocol": self.protocol})


def protocol_of_dataset(dataset: Any) -> Protocol:
    """By which a data set's runs are scored; COCO's where it was not made here."""
    state = read_state(dataset)
    return COCO if state is None else state.rules


def read_state(dataset: Any) -> State | None:
    """Returns what a data set remembers; None where it was not made here."""
    kept = dataset.info.get(KEY)
    if not isinstance(kept, dict):
        return None
    if kept["version"] != VERSION:
        return State(kept["source"], kept["fingerprint"], version=kept["version"])
    # from the database come FiftyOne's own kinds of dictionaries, which cannot be copied
    runs = {name: RunState(**{**run, "figures": dict(run["figures"])}) for name, run in kept["runs"].items()}
    return State(kept["source"], kept["fingerprint"], runs, kept["complete"], protocol=protocol_from(kept).as_facts())


def write_state(dataset: Any, state: State) -> None:
    """Lets a data set remember."""
    dataset.info[KEY] = asdict(state)
    dataset.save()


def fingerprint_of(files: Iterable[Path], rule: FoundRule | None = None) -> str:
    """Returns a hash of what is in the files, and of a rule; files that are not there count as empty."""
    digest = hashlib.sha256(repr(rule).encode() if rule else b"")
    for path in files:
        digest.update(path.name.encode() + b"\0")
        if path.is_file():
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def run_files(path: Path) -> tuple[Path, ...]:
    """The files that decide what is written of a run."""
    from explorer.autopsy.files import AUTOPSY_FILE
    from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE

    if path.is_dir():
        return tuple(path / name for name in (RESULTS_FILE, IMAGES_FILE, AUTOPSY_FILE))
    return (path,)


def run_name(path: Path) -> str:
    """The model's name, as a run's folder or file has it, without reading the detections."""
    try:
        facts = read_json(path / "run.json")
        return str(facts["model"])
    except (ValueError, KeyError, TypeError):
        return path.stem


def assign_fields(paths: Iterable[Path], known: Mapping[str, RunState]) -> dict[str, Path]:
    """Gives each run its field: the one that it has in the database, else a free one after its model.

    Raises:
        ValueError: a run is given twice.
    """
    by_path = {run.path: name for name, run in known.items()}
    taken, fields = set(known), dict[str, Path]()
    for path in map(Path.absolute, paths):
        if path in fields.values():
            raise ValueError(f"{path} is given twice")
        name = by_path.get(str(path))
        if name is None:
            first = field_name(run_name(path))
            choices = [first, f"{first}_{field_name(path.name)}", *(f"{first}_{number}" for number in range(2, 1000))]
            name = next(choice for choice in choices if choice not in taken)
        taken.add(name)
        fields[name] = path
    return fields
