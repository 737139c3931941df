"""What using a trained detector otherwise adds, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Data, Model, as_truth, named, on_device
from explorer.api.result import Result
from explorer.engine.artifacts import provenance
from explorer.engine.detector import Detector
from explorer.engine.windows import OVERLAP
from explorer.errors.bootstrap import RESAMPLES
from explorer.errors.improve import Help, default_variants
from explorer.errors.improve import improve as measure
from explorer.errors.variants import Variant, tiled
from explorer.report.document import help_document
from explorer.report.tables import Grid, help_grid
from explorer.scoring.alike import data_facts
from explorer.scoring.classes import shared_classes
from explorer.scoring.protocols import Protocol, protocol_of
from explorer.scoring.runs import nothing_found
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class ImprovementReport(Result):
    """A detector used in several ways on the same images.

    Attributes:
        origin: where the figures come from: the detector's `origin`, and the data set with its hash.
        ways: metrics and times of each way of using the detector; the first one is the unchanged detector.
        note: classes that were not scored, and that nothing was found; or empty.
    """

    origin: Mapping[str, Any]
    ways: tuple[Help, ...]
    note: str = ""

    @property
    def model(self) -> str:
        """The detector's name."""
        return str(self.origin["model"])

    @property
    def title(self) -> str:
        return f"{self.model}, {self.ways[0].resamples.figures.images:,} images, in percentage points"

    def tables(self) -> list[Grid]:
        """Returns what each way adds to AP and to small objects' AP, and how many times as long it takes."""
        return [help_grid(self.ways)]

    def sentences(self) -> list[str]:
        """Returns a description of each way."""
        return [*(f"{way.name}: {way.says}" for way in self.ways[1:]), *filter(None, [self.note])]

    def figure(self) -> go.Figure:
        """Draws what each way adds to AP and to small objects' AP against the time that it takes."""
        from explorer.figures.improve import gain_against_time

        return gain_against_time(self.ways)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer improve --json`."""
        return plain({**self.origin, **help_document(self.ways), **provenance()})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per way and object size: AP, its difference to the first way, the time and its ratio."""
        rows = []
        for way in self.ways:
            points, time_ratio = way.differences.points, way.time_quartiles()[1]
            for place, size in enumerate(way.resamples.figures.bins[: points.value.shape[1]]):
                ends = {end: float(getattr(points, end)[0, place]) for end in ("value", "low", "high")}
                ap = float(way.resamples.figures.overall[0, place])
                row = {"way": way.name, "size": size.name, "AP": ap, "difference": ends.pop("value"), **ends}
                rows.append(row | {"time_ratio": time_ratio})
        return rows


def improve(
    model: Model,
    data: Data,
    variants: Sequence[Variant] = (),
    *,
    tile: int | None = None,
    overlap: float = OVERLAP,
    limit: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    protocol: str | Protocol | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> ImprovementReport:
    """Measures the gain and the cost of a larger input, more proposals, image slices and flips, without training.

    Args:
        model: a `Detector`, or what `load_detector` takes.
        data: `PATH[:SPLIT]` of a data set, or a `Truth`.
        variants: ways to use the model, of `explorer.errors.variants`; the first one is what the others are compared
            with. All that fit the model where empty.
        tile: also measure tiles with sides of this many pixels.
        overlap: of neighbouring tiles, as a share of their side.
        limit: use only the first `limit` images.
        resamples: number of bootstrap resamples of the images.
        seed: random seed of the resamples.
        protocol: size bins, IoU thresholds and detection limits, as in `evaluate`; None for COCO's without a limit on
            detections.
        device: device of a model that is not loaded yet: `auto`, `cpu`, `cuda` or `cuda:N`.
        progress: called after each image with the number of images done and the total.

    Raises:
        ValueError: there are no images, no such protocol, or the model and the data share no class.
        ImageError: an image cannot be read.
        DownloadError: the model's weights cannot be downloaded.
    """
    truth = as_truth(data, limit)
    rules = None if protocol is None else protocol_of(protocol)

    def measured(detector: Detector) -> ImprovementReport:
        note = shared_classes(detector.class_names, truth.class_names).note
        asked = [tiled(detector, tile, overlap)] if tile else []
        all_ways = [*(variants or default_variants(detector)), *asked]
        ways = measure(detector, truth, all_ways, resamples=resamples, seed=seed, protocol=rules, progress=progress)
        if not ways[0].detections:
            note = f"{note} {nothing_found(detector.name, ways[0].resamples.figures.images)}".lstrip()
        return ImprovementReport(detector.origin | data_facts(named(data)), ways, note)

    return on_device(model, measured, device, exact=True)
