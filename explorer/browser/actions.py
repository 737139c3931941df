"""What the plugin's operators and its panel do, as functions of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.browser.names import GROUND_TRUTH, RunFields, field_name
from explorer.browser.reading import run_of
from explorer.browser.state import read_state
from explorer.browser.views import only_found_by, rules, small_misses
from explorer.scoring.convert import xywh
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.protocols import COCO
from explorer.text import in_markdown

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.scoring.columns import Truth

__all__ = [
    "detect",
    "explain_object",
    "figures_of",
    "model_names",
    "only_found_by",
    "rules",
    "runs_in",
    "runs_with_models",
    "selected_object",
    "small_misses",
    "who_finds",
]

WRITTEN_AT_A_TIME = 8


def runs_in(dataset: Any) -> list[str]:
    """Names the fields of the runs that a data set was built with."""
    state = read_state(dataset)
    return [] if state is None else [name for name, run in state.runs.items() if run.stage == "done"]


def runs_with_models(dataset: Any) -> list[str]:
    """Those of them whose folder says which model they are of."""
    state = read_state(dataset)
    return [name for name in runs_in(dataset) if state and (Path(state.runs[name].path) / "run.json").is_file()]


def selected_object(selected_labels: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Returns sample id and label id of the one object that is selected; None where none is, or several are."""
    chosen = [label for label in selected_labels if label.get("field") == GROUND_TRUTH]
    return (chosen[0]["sample_id"], chosen[0]["label_id"]) if len(chosen) == 1 else None


def who_finds(dataset: Any, a: str, b: str, size: str | None = None) -> dict[str, int]:
    """Counts objects by who finds them; crowds count nowhere."""
    path = f"{GROUND_TRUTH}.detections"
    columns = dataset.values(
        [f"{path}.{name}" for name in (RunFields(a).object_found, RunFields(b).object_found, "size_bin")], unwind=True
    )
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for by_a, by_b, own in zip(*columns, strict=True):
        if by_a is not None and by_b is not None and size in (None, own):
            counts[by_a, by_b] += 1
    return dict(zip(("both", f"only {a}", f"only {b}", "neither"), counts.values(), strict=True))


def figures_of(samples: Any, gt_field: str, pred_field: str) -> dict[str, float | None]:
    """Computes COCO's figures of any FiftyOne labels, in percent; None where there is no object."""
    figures = score(match(run_of(samples, gt_field, pred_field), bins=COCO.bins)).named()
    return {name: None if np.isnan(value) else value for name, value in figures.items()}


def explain_object(dataset: Any, run: str, sample_id: str, label_id: str) -> dict[str, Any]:
    """Follows an object through a run's model.

    Returns:
        Plotly's `figure` (data) and `layout`, and the `story` in Markdown.

    Raises:
        ValueError: the object was drawn in the App, or the model cannot be built or followed.
    """
    _import_detectron2()
    from explorer.autopsy.explain import explain
    from explorer.browser.ids import kept_ids
    from explorer.figures.explain import explained
    from explorer.scoring.classes import shared_classes

    state = read_state(dataset)
    assert state is not None
    label = next(own for own in dataset[sample_id][GROUND_TRUTH].detections if own.id == label_id)
    truth = _truth(state.source, state.fingerprint)
    if not label.has_field("coco_id") or label["coco_id"] is None:
        raise ValueError("this object was drawn here: export the annotations and browse the new file to follow it")
    own = state.runs[run]
    detector = _detector(own.path, own.fingerprint)
    truth = truth.of_classes(shared_classes(detector.class_names, truth.class_names).names)
    ids = kept_ids(truth.ids)
    if label["coco_id"] not in ids:
        raise ValueError(f"{detector.name} has no class {label.label!r}, so it cannot be followed in it")
    row = ids.index(label["coco_id"])
    explanation = explain(detector, truth, row, iou=own.iou, score=own.score or 0.0)
    # FiftyOne hides the legend unless asked, and puts it to the right
    drawn = explained(explanation).update_layout(showlegend=True, legend={"x": 0, "xanchor": "left"})
    figure = drawn.to_plotly_json()
    story = "\n".join(f"- {in_markdown(sentence)}" for sentence in explanation.sentences)
    return {
        "figure": plain_arrays(figure["data"]),
        "layout": plain_arrays(figure["layout"]),
        "story": f"**{in_markdown(label.label)}**, {label['size_bin']}, in {in_markdown(explanation.model)}\n\n{story}",
    }


def model_names() -> list[str]:
    """Names the detectors of the zoo."""
    from explorer.zoo import registry

    return [entry.name for entry in registry.entries() if entry.config is not None]


def detect(view: Any, model: str, field: str | None = None) -> Iterator[tuple[int, int]]:
    """Runs a detector on the images of a view and writes its detections, image by image.

    Args:
        view: FiftyOne's.
        model: what `load_detector` takes but a LazyConfig, which is code that no page may start.
        field: for the detections; None for one after the model.

    Yields:
        The number of images done, and of all.

    Raises:
        ValueError: there is no such model, or the field is that of something else.
    """
    _import_detectron2()
    import fiftyone as fo

    from explorer.data.images import read_image
    from explorer.engine.loading import load_detector

    if model.endswith(".py"):
        raise ValueError(
            f"{model} is Python code, which the App does not run: use explorer evaluate, then browse its run"
        )
    field = field or field_name(model)
    if field == GROUND_TRUTH:
        raise ValueError(f"{GROUND_TRUTH} holds the annotations: choose another field for the detections")
    detector = load_detector(model)
    if detector.caveat:
        field = field_name(f"{field} {detector.caveat}")
    total = len(view)
    if not view._dataset.has_field(field):
        view._dataset.add_sample_field(field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    for done, sample in enumerate(view.select_fields().iter_samples(autosave=True, batch_size=WRITTEN_AT_A_TIME), 1):
        found = detector.detect(read_image(sample.filepath)).detections
        height, width = found.image_size
        boxes = xywh(found.boxes_xyxy) / (width, height, width, height)
        sample[field] = fo.Detections(
            detections=[
                fo.Detection(label=found.class_names[kind], bounding_box=box, confidence=score_)
                for kind, box, score_ in zip(found.classes.tolist(), boxes.tolist(), found.scores.tolist(), strict=True)
            ]
        )
        yield done, total


def plain_arrays(value: Any) -> Any:
    """Replaces NumPy's arrays by lists, which FiftyOne can send."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain_arrays(item) for key, item in value.items()}
    return [plain_arrays(item) for item in value] if isinstance(value, (list, tuple)) else value


def _import_detectron2() -> None:
    """Imports detectron2 whole: its modules import one another, which fails where two of the App's threads begin."""
    import_module("detectron2.engine")


@lru_cache(maxsize=1)
def _detector(path: str, fingerprint: str) -> Detector:
    """The model of a run, kept for the next object as long as the run does not change."""
    from explorer.engine.loading import load_detector
    from explorer.scoring.runs import read_facts
    from explorer.zoo.trained import find_recipe

    assert fingerprint
    recipe = find_recipe(path)
    if recipe is None:
        raise ValueError(f"{path} does not record its model: it has no run.json")
    detector = load_detector(recipe.model, weights=recipe.weights, overrides=recipe.overrides)
    return detector.with_renamed(read_facts(Path(path)).get("renamed", {}))


@lru_cache(maxsize=1)
def _truth(source: str, fingerprint: str) -> Truth:
    """The annotations, kept as long as they do not change."""
    from explorer.scoring.runs import read_truth

    assert fingerprint
    return read_truth(source)
