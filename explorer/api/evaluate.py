"""A model measured on a data set: COCO's figures, with the detections and objects that they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from explorer.api.inputs import Data, Model, on_device
from explorer.api.objects import Row, object_rows
from explorer.api.result import Result
from explorer.data.coco import register_coco
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import evaluate as run_model
from explorer.engine.evaluation.evaluate import metrics_as_dict
from explorer.engine.evaluation.tables import TITLES, columns_of, number
from explorer.report.analysis import RunAnalysis, analyse
from explorer.report.document import fate_columns
from explorer.report.tables import Grid
from explorer.scoring.columns import Run, Truth
from explorer.scoring.metrics import metrics_of
from explorer.scoring.outcomes import object_scores
from explorer.scoring.protocols import COCO, Protocol, protocol_of
from explorer.scoring.runs import load_run as read_run
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


_ORIGIN = ("config", "config_sha256", "overrides", "weights", "results", "note")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result, Run):
    """A run with COCO's metrics, as numbers in `metrics`. The other attributes are those of `Run`."""

    @classmethod
    def of(cls, run: Run) -> Self:
        """Returns a run as an evaluation, whose metrics are computed unless the run has them."""
        measured = run if run.metrics.values else replace(run, metrics=metrics_of(run))
        return cls(**{field.name: getattr(measured, field.name) for field in fields(Run)})

    @cached_property
    def analysis(self) -> RunAnalysis:
        """Figures by size with 95 % intervals, error types and the outcome of each object; computed once.

        Raises:
            ValueError: there are no annotated objects.
        """
        return analyse(self)

    @property
    def origin(self) -> dict[str, Any]:
        """The model of the run, as `Detector.origin` has it or, for a results file, that file and its hash."""
        return {"model": self.name} | {name: self.facts[name] for name in _ORIGIN if name in self.facts}

    @property
    def title(self) -> str:
        on = f" on {self.facts['data']}" if self.facts.get("data") else ""
        return f"{self.name}{on}, {self.metrics.images:,} images, in percent"

    def tables(self) -> list[Grid]:
        """Returns COCO's figures, of boxes and masks or of segments, and the AP of each class."""
        return [*_figures(self.metrics.values), *_classes(self.metrics.details.get("per_class", {}))]

    def sentences(self) -> Sequence[str]:
        """Returns what was not scored."""
        notes: Sequence[str] = self.metrics.details.get("notes", ())
        return notes

    def figure(self) -> go.Figure:
        """Draws AP by object size with 95 % intervals over the images.

        Raises:
            ValueError: there are no annotated objects.
        """
        from explorer.figures.errors import ap_by_size

        return ap_by_size([self.analysis.resamples])

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures in percent, by task and name and by class, and the origin of the run."""
        return plain({"name": self.name, **metrics_as_dict(self.metrics), "facts": self.facts})  # type: ignore[no-any-return]

    def rows(self) -> list[Row]:
        """Returns one row per annotated object: whether it is found, its score and its error type."""
        analysis = self.analysis
        scores = object_scores(analysis.matches, analysis.point.iou).tolist()
        return object_rows(self.truth, {"score": scores, **fate_columns(analysis)}, self.protocol)

    def _ipython_display_(self) -> None:
        """Shows the tables alone: the figure's intervals are computed where it is asked for."""
        from IPython.display import HTML, display

        display(HTML(self._repr_html_()))  # type: ignore[no-untyped-call]


def evaluate(
    model: Model,
    data: Data,
    *,
    out: Path | str | None = None,
    limit: int | None = None,
    classes: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    protocol: str | Protocol = COCO,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Runs a model on a data set and computes COCO's metrics, which equal those of pycocotools.

    Args:
        model: a `Detector`, or an argument of `load_detector`: `"demo/V-19"`, a run folder, a checkpoint file.
        data: `PATH[:SPLIT]` of a data set, a registered name, or a `Truth`, with which boxes and masks but no panoptic
            segments are scored.
        out: output folder for detections, figures and metadata; `load_run` reads it.
        limit: evaluate only the first `limit` images.
        classes: score only these classes.
        renamed: new names by old names, applied to detections and annotations: `{"minibus": "car"}`.
        protocol: size bins, IoU thresholds and detection limits of a benchmark: `"coco"`, `"ai-tod"`, `"soda"`,
            `"soda-d"`, `"tinyperson"`, `"visdrone"`, sides that separate sizes as in `"8,16,32,96"`, or a result of
            `protocol_of`.
        device: device of a model that is not loaded yet: `auto`, `cpu`, `cuda` or `cuda:N`.
        progress: called after each image with the number of images done and the total.

    Raises:
        ImageError: an image cannot be read.
        ValueError: the model or data set does not exist, they share no class, or there is nothing to score.
        DownloadError: the model's weights cannot be downloaded.
    """
    options: dict[str, Any] = {"classes": classes, "renamed": renamed, "protocol": protocol_of(protocol)}
    if not isinstance(model, Detector) and not isinstance(data, Truth):
        register_coco(str(data))  # says what is wrong with the data before weights are fetched

    def measure(detector: Detector) -> Run:
        return run_model(detector, data, out=out, limit=limit, progress=progress, **options)

    return Evaluation.of(on_device(model, measure, device))


def load_run(
    path: str | Path,
    data: str | None = None,
    name: str | None = None,
    match_by: str | None = None,
    protocol: str | Protocol | None = None,
) -> Evaluation:
    """Reads the run of any detector and computes its metrics.

    Args:
        path: a folder that `evaluate(…, out=…)` or `explorer evaluate --out` wrote, or a file of detections in COCO's
            results format.
        data: the data set of the run, `PATH[:SPLIT]`; not needed for a folder, which records it.
        name: name of the run; None for the name of the model or file.
        match_by: `id` or `file_name`, how results refer to images; None for ids if they match, otherwise file names.
        protocol: as in `evaluate`; None for the protocol that the run records, otherwise COCO's.

    Raises:
        ValueError: a file is missing or invalid, or the detections belong to other data.
    """
    return Evaluation.of(read_run(path, data, name, match_by, None if protocol is None else protocol_of(protocol)))


def _figures(values: Mapping[str, Mapping[str, float]]) -> list[Grid]:
    """One table per kind of figure, one row per task."""
    rows: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for task, own in values.items():
        kind, title = TITLES[task]
        columns = columns_of(kind, own)
        rows.setdefault(columns, []).append((title, *(number(own[name]) for name in columns)))
    return [Grid(("", *columns), tuple(own)) for columns, own in rows.items()]


def _classes(per_class: Mapping[str, Mapping[str, float]]) -> list[Grid]:
    """The figures of single classes, the best of the first task first; those without objects are left out."""
    known = {task: {n: v for n, v in own.items() if not math.isnan(v)} for task, own in per_class.items()}
    tasks = [task for task, own in known.items() if own]
    if not tasks:
        return []
    names = sorted(known[tasks[0]], key=lambda name: -known[tasks[0]][name])
    rows = tuple((name, *(number(known[task].get(name, math.nan)) for task in tasks)) for name in names)
    return [Grid(("class", *(TITLES[task][1] for task in tasks)), rows)]
