"""Where in a detector each missed object was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from explorer.api.inputs import Data, Model, RunLike, as_run, as_truth, named, on_device
from explorer.api.objects import Row, object_rows
from explorer.api.result import Result
from explorer.autopsy.examine import autopsy as follow
from explorer.autopsy.result import Autopsy
from explorer.engine.detector import Detector
from explorer.engine.loading import detecting_up_to
from explorer.errors.bootstrap import RESAMPLES
from explorer.report.analysis import RunAnalysis, analyse
from explorer.report.document import fate_columns, run_document
from explorer.report.tables import Grid, fate_grid, verification_grid
from explorer.report.words import autopsy_sentences, found_sentence
from explorer.scoring.alike import data_facts
from explorer.scoring.classes import shared_classes
from explorer.scoring.columns import Run, Truth
from explorer.scoring.convert import run_from_detections
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.types import Detections


@dataclass(frozen=True, eq=False, repr=False)
class AutopsyReport(Result):
    """An autopsy: the stage of the detector that lost each object of a data set.

    Attributes:
        analysis: figures by size, error types and the autopsy, as in the report.
        autopsy: the verdict for each object, and its best box at each stage.
        origin: where the detector that was followed comes from (`Detector.origin`), where that is known.
    """

    analysis: RunAnalysis
    autopsy: Autopsy
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The detections beside the annotations."""
        return self.analysis.run

    @property
    def title(self) -> str:
        images, unscored = len(self.run.truth.image_ids), self.analysis.matches.unscored
        return f"{self.run.name}, {images:,} images with {int((~unscored).sum()):,} objects"

    def tables(self) -> list[Grid]:
        """Returns the outcomes of objects by size and, if verified, how many verdicts were confirmed."""
        return [fate_grid(self.analysis), *([verification_grid(self.autopsy)] if self.autopsy.verification else [])]

    def sentences(self) -> Sequence[str]:
        """Returns what counts as found, and which classes were not scored."""
        return (*autopsy_sentences(self.autopsy), found_sentence(self.analysis.point), *self.analysis.notes)

    def figure(self) -> go.Figure:
        """Draws the objects as a Sankey diagram, from sizes through the parts of the detector to outcomes."""
        from explorer.figures.autopsy import autopsy_flow

        return autopsy_flow(self.autopsy, self.analysis.matches.protocol.sizes)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer autopsy --json`."""
        return plain({**run_document(self.analysis), "followed": self.origin})  # type: ignore[no-any-return]

    def rows(self) -> list[Row]:
        """Returns one row per annotated object: verdict, responsible feature map and score."""
        scores = [np.nan if finding.score is None else finding.score for finding in self.autopsy.findings]
        columns = {"score": scores, **fate_columns(self.analysis)}
        return object_rows(self.run.truth, columns, self.run.protocol)

    def write_page(self, path: Path | str) -> Path:
        """Writes the report as a self-contained HTML page with the most informative misses."""
        from explorer.report.page import write_run_page

        return write_run_page(self.analysis, Path(path))


def autopsy(
    model: Model | RunLike,
    data: Data | None = None,
    *,
    limit: int | None = None,
    found: FoundRule = FOUND,
    verify: bool = False,
    resamples: int = RESAMPLES,
    device: str = "auto",
    progress: Progress | None = None,
) -> AutopsyReport:
    """Finds the stage of the detector that lost each missed object.

    Args:
        model: a Faster, Mask or Panoptic R-CNN, RetinaNet, FCOS or CenterMask: a `Detector`, or what `load_detector`
            takes. Without `data`, a run of such a model or its folder.
        data: `PATH[:SPLIT]` of a data set, or a `Truth`.
        limit: use only the first `limit` images.
        found: IoU and score from which an object counts as found.
        verify: check each verdict by relaxing only the stage that lost the object.
        resamples: number of bootstrap resamples for the intervals of `analysis`.
        device: device of a model that is not loaded yet: `auto`, `cpu`, `cuda` or `cuda:N`.
        progress: called after each image with the number of images done and the total.

    Raises:
        ValueError: the detector is not supported or shares no class with the data, or the run's model is not available.
        ImageError: an image cannot be read, or has another size than its annotations say.
        DownloadError: the model's weights cannot be downloaded.
    """
    if data is None:
        if isinstance(model, Detector):
            raise ValueError(
                f"{model.name} is a model: give the data set to follow it on as well, autopsy(model, data)."
            )
        run = as_run(cast("RunLike", model))  # anything else is refused
        if limit is not None:
            raise ValueError(
                f"limit is {limit}, but a run has its own images: give the model and the data set instead."
            )
        if not run.facts or "results" in run.facts:
            raise ValueError(
                f"{run.name} does not say which model made it: give the model and the data set, autopsy(model, data)."
            )
        analysis = analyse(run, found=found, resamples=resamples)
        return of_run(analysis, found=found, verify=verify, device=device, progress=progress)
    if isinstance(model, Run):
        raise ValueError(f"{model.name} is a run, which has its own data set: give the run alone, autopsy(run).")
    truth = as_truth(data, limit)
    options: dict[str, Any] = {"found": found, "verify": verify, "resamples": resamples, "progress": progress}
    follow_model = partial(_of_model, truth=truth, data=named(data), **options)
    return on_device(model, follow_model, device, exact=True)


def of_run(
    analysis: RunAnalysis,
    model: Model | None = None,
    *,
    found: FoundRule = FOUND,
    verify: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> AutopsyReport:
    """Follows the objects of a run that is analysed already.

    Args:
        analysis: of the run's boxes.
        model: as `autopsy` takes it; None for the run's own.
        found: what counts as found, as in the analysis.
        verify: as `autopsy` takes it.
        device: as `autopsy` takes it.
        progress: as `autopsy` takes it.

    Raises:
        ValueError: the run's model is not available, or as of `autopsy`.
    """
    from explorer.zoo.trained import recorded

    run, options = analysis.run, dict[str, Any]()
    if model is None:
        recipe = recorded(run.facts, run.name)
        model, options = recipe.model, {"weights": recipe.weights, "overrides": recipe.overrides}

    def followed(detector: Detector) -> tuple[Autopsy, Mapping[str, Any]]:
        renamed = detector.with_renamed(run.facts.get("renamed", {}))
        most = run.facts.get("detections_per_image")  # as many as when the run was made
        with detecting_up_to(renamed.model, most) if isinstance(most, int) and most > 0 else nullcontext():
            own = follow(renamed, run.truth, found=found, matches=analysis.matches, verify=verify, progress=progress)
        return own, detector.origin

    own, origin = on_device(model, followed, device, exact=True, **options)
    return AutopsyReport(replace(analysis, autopsy=own), own, origin)


def _of_model(
    detector: Detector,
    truth: Truth,
    data: str | None,
    found: FoundRule,
    verify: bool,
    resamples: int,
    progress: Progress | None,
) -> AutopsyReport:
    """Follows a model and scores what it reports meanwhile, so that one forward pass gives both."""
    shared = shared_classes(detector.class_names, truth.class_names)
    truth = truth.of_classes(shared.names)
    detections: list[Detections] = []
    followed = follow(detector, truth, found=found, verify=verify, progress=progress, on_detections=detections.append)
    facts = detector.origin | data_facts(data)
    run = run_from_detections(truth, detections, detector.name, facts, shared)
    run = replace(run, notes=(shared.note,) if shared.note else ())
    analysis = analyse(run, found=found, autopsy=followed, resamples=resamples)
    assert analysis.autopsy is not None
    return AutopsyReport(analysis, analysis.autopsy, detector.origin)
