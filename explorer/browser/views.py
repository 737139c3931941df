"""Saved views and a workspace: what one wants to see of detectors, ready to click in the App."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explorer.autopsy.verdicts import Verdict
from explorer.browser.appearance import arrange
from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.browser.state import KEY, protocol_of_dataset
from explorer.errors.taxonomy import ERRORS, ErrorType
from explorer.scoring.outcomes import found_words

WORST = 50
LEAST_LIKELIHOOD = 0.25
"""Of a label error to be shown: that of a detection with a score of one half where nothing is annotated."""
PANEL = "backbone_diff"
WORKSPACE = "errors"
AS_USED = "detections as used"


@dataclass(frozen=True)
class Shown:
    """A view and what it shows.

    Attributes:
        view: FiftyOne's.
        says: one sentence on what it shows.
        field: sample field of the boxes that it selects; None where it selects images.
    """

    view: Any
    says: str
    field: str | None = GROUND_TRUTH


def save_views(dataset: Any) -> tuple[str, ...]:
    """Saves the views, the workspace and the looks that a data set with its runs calls for.

    Returns:
        The views' names.
    """
    views = dict(views_of(dataset))
    for name, shown in views.items():
        dataset.save_view(name, shown.view, description=shown.says, overwrite=True)
    _save_workspace(dataset)
    arrange(dataset)
    return tuple(views)


def views_of(dataset: Any) -> Iterator[tuple[str, Shown]]:
    """Yields names, views and what they show."""
    names = _runs(dataset)
    if names:
        says = f"Each run's detections from its own score up: {rules(dataset, *names)}."
        yield AS_USED, Shown(as_used(dataset), says, None)
    for name in names:
        yield from _of_run(dataset, RunFields(name, protocol_of_dataset(dataset)))
    for a, b in itertools.permutations(names, 2):
        view = only_found_by(dataset, a, b)
        says = f"Objects that {a} finds and {b} does not; found: {rules(dataset, a, b)}."
        yield f"{a} finds, {b} misses", Shown(view, says)


def as_used(view: Any) -> Any:
    """The same images with each run's detections from its own score up, those that someone who uses it would see."""
    from fiftyone import ViewField as F

    for name, score in _runs(view._dataset).items():
        view = view.filter_labels(name, F("confidence") >= score, only_matches=False)
    return view


def small_misses(dataset: Any, name: str) -> Any:
    """The objects of the protocol's smallest size, COCO's small ones, that a run does not find; all without sizes."""
    smallest = protocol_of_dataset(dataset).smallest
    return missed(dataset, name, smallest.name if smallest else None)


def missed(dataset: Any, name: str, size: str | None = None) -> Any:
    """The objects that a run does not find, of one size or of all."""
    from fiftyone import ViewField as F

    wanted = F(RunFields(name).object_found) == False  # noqa: E712 - it makes a condition for the database
    if size:
        wanted &= _of_size(dataset, size)
    return as_used(dataset.filter_labels(GROUND_TRUTH, wanted))


def _of_size(dataset: Any, size: str) -> Any:
    """A condition on objects: of a size of the protocol, also of one that others lie in, as SODA's small."""
    from fiftyone import ViewField as F

    protocol = protocol_of_dataset(dataset)
    wide = [own for own in protocol.bins if own.name == size and size not in protocol.size_labels]
    if not wide:
        return F("size_bin") == size
    return (F("area_px") >= wide[0].min_area_px) & (F("area_px") < wide[0].max_area_px)


def only_found_by(dataset: Any, a: str, b: str, size: str | None = None, class_name: str | None = None) -> Any:
    """The objects that run A finds and run B does not, of one size or class, or of all."""
    from fiftyone import ViewField as F

    wanted = (F(RunFields(a).object_found) == True) & (F(RunFields(b).object_found) == False)  # noqa: E712
    if size:
        wanted &= _of_size(dataset, size)
    if class_name:
        wanted &= F("label") == class_name
    return as_used(dataset.filter_labels(GROUND_TRUTH, wanted))


def errors_of(dataset: Any, name: str, kind: ErrorType) -> Any:
    """The detections of a run, as used, that are errors of one type; the objects for those missed at any score."""
    from fiftyone import ViewField as F

    if kind == ErrorType.MISSED:
        return as_used(dataset.filter_labels(GROUND_TRUTH, F(RunFields(name).object_error) == kind.label))
    return as_used(dataset).filter_labels(name, F("error") == kind.label)


def likely_label_errors(dataset: Any, fields: RunFields) -> Any:
    """The detections of a run that contradict annotations, images with the most likely errors first."""
    from fiftyone import ViewField as F

    doubted = dataset.filter_labels(fields.predictions, F("likelihood") >= LEAST_LIKELIHOOD)
    return doubted.sort_by(fields.label_error, reverse=True)


def _of_run(dataset: Any, fields: RunFields) -> Iterator[tuple[str, Shown]]:
    from fiftyone import ViewField as F

    name = fields.predictions
    rule = rules(dataset, name)
    smallest = fields.protocol.smallest
    if smallest:
        says = f"Objects of size {smallest.name} that {name} does not find; found: {rule}."
        yield f"{name}: {smallest.name} misses", Shown(small_misses(dataset, name), says)
    for kind in ERRORS:
        field = GROUND_TRUTH if kind == ErrorType.MISSED else name
        says = f"Errors of {name}: {kind.words}."
        yield f"{name}: {kind.words}", Shown(errors_of(dataset, name, kind), says, field)
    doubted = likely_label_errors(dataset, fields)
    says = f"Annotations that {name} contradicts, most likely errors first; `label_error` names the suspected error."
    yield f"{name}: likely label errors", Shown(doubted, says, name)
    if smallest and fields.ap_smallest:
        lowest = as_used(dataset).match(F(fields.ap_smallest) != None)  # noqa: E711
        says = f"Images where {name}'s AP of {smallest.name} objects is lowest."
        lowest = lowest.sort_by(fields.ap_smallest).limit(WORST)
        yield f"{name}: worst on {smallest.name} objects", Shown(lowest, says, None)
    verdicts = dataset.distinct(f"{GROUND_TRUTH}.detections.{fields.object_verdict}")
    for verdict in verdicts:
        if verdict not in {Verdict.FOUND.label, Verdict.CROWD.label}:
            view = as_used(dataset.filter_labels(GROUND_TRUTH, F(fields.object_verdict) == verdict))
            yield f"{name}: lost, {verdict}", Shown(view, f"Objects that {name} lost: {verdict}; found: {rule}.")


def _runs(dataset: Any) -> dict[str, float]:
    """The score from which each run's objects count as found, by its field."""
    runs = dataset.info[KEY]["runs"]
    return {name: run["score"] for name, run in runs.items() if run["score"] is not None and dataset.has_field(name)}


def rules(dataset: Any, *names: str) -> str:
    """Says what counts as found by runs."""
    runs = dataset.info[KEY]["runs"]
    return "; ".join(f"{name}: {found_words(runs[name]['iou'], runs[name]['score'])}" for name in names)


def _save_workspace(dataset: Any) -> None:
    import fiftyone as fo

    grid = fo.Panel(type="Samples", pinned=True)
    diff, evaluations = fo.Panel(type=PANEL), fo.Panel(type="model_evaluation_panel_builtin")
    space = fo.Space(
        children=[
            fo.Space(children=[grid], active_child=grid.component_id),
            fo.Space(children=[diff, evaluations], active_child=diff.component_id),
        ],
        orientation="horizontal",
        sizes=[0.6, 0.4],
    )
    dataset.save_workspace(WORKSPACE, space, description="Images beside what the runs get wrong.", overwrite=True)
