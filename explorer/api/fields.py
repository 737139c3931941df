"""How far a detector's stages and levels see, beside its anchors and the objects that each level has to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Data, Model, as_truth, named, on_device
from explorer.api.result import Result
from explorer.engine.artifacts import provenance
from explorer.report.fields import NARROWER_THAN, FieldReport, LevelField, field_grid, field_report
from explorer.report.tables import Grid
from explorer.scoring.alike import data_facts
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.engine.detector import Detector
    from explorer.receptive_field.theoretical import ReceptiveField

_LEAST_PX = 64


@dataclass(frozen=True, eq=False, repr=False)
class ReceptiveFieldReport(Result):
    """The receptive fields of a detector. All lengths are in pixels of the network's input.

    Attributes:
        origin: where the fields come from: the detector's `origin`, and the data set with its hash.
        fields: the theoretical and effective fields of each stage and level.
    """

    origin: Mapping[str, Any]
    fields: FieldReport

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.origin["model"])

    @property
    def stages(self) -> tuple[LevelField, ...]:
        """The stages of the backbone."""
        return tuple(level for level in self.fields.levels if not level.name.startswith("p"))

    @property
    def levels(self) -> tuple[LevelField, ...]:
        """The levels of the pyramid, `p2` to `p7`."""
        return tuple(level for level in self.fields.levels if level.name.startswith("p"))

    @property
    def title(self) -> str:
        return f"{self.model}, lengths in pixels of the network's input"

    def tables(self) -> list[Grid]:
        """Returns the fields, anchors and objects of each stage and level."""
        return [field_grid(self.fields.levels)]

    def sentences(self) -> list[str]:
        """Returns what the fields leave out, and how many inputs the effective ones were measured on."""
        levels, without = self.fields.levels, self.fields.objects_without_level
        said = [f"Training assigns no anchor or location of any level to {without:,} objects."] if without else []
        said += sorted({level.partial for level in levels if level.partial})
        if whole := levels[-1].whole:
            said.append(
                f"Theoretical fields leave out {whole} layers that see the whole map (squeeze-excitation, group "
                "normalisation)."
            )
        if any(level.inputs for level in levels):
            used = ", ".join(f"{level.name} {level.inputs}" for level in levels)
            said.append(
                f"Number of inputs on which effective fields were measured: {used}. A level is done once its side is "
                f"known to within {NARROWER_THAN:.0%}, or at the maximum number of inputs."
            )
        return said

    def figure(self) -> go.Figure:
        """Draws, for each level of the pyramid, its fields, its anchors and the objects that it has to find."""
        from explorer.figures.receptive_field import fields_against_objects

        shown = self.levels or self.stages
        return fields_against_objects(
            {level.name: float(level.theoretical_px) for level in shown},
            {level.name: level.effective_px for level in shown},
            {level.name: level.anchors_px for level in shown},
            self.fields.object_sides_px,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer receptive-field --json`."""
        random = {"random_weights": self.origin["weights"] is None}
        return plain({**self.origin, **random, **self.fields.document(), **provenance()})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per stage and level."""
        return [asdict(level) for level in self.fields.levels]


def receptive_fields(
    model: Model,
    data: Data | None = None,
    *,
    limit: int | None = None,
    inputs: int = 16,
    size: tuple[int, int] = (512, 512),
    gates: bool = True,
    device: str = "cpu",
    first: Callable[[dict[str, ReceptiveField]], None] | None = None,
    progress: Progress | None = None,
) -> ReceptiveFieldReport:
    """Computes theoretical and measures effective receptive fields of a detector's stages and levels.

    Args:
        model: a `Detector`, or what `load_detector` takes.
        data: `PATH[:SPLIT]` of a data set, or a `Truth`, whose objects are compared with the fields.
        limit: use only the first `limit` images.
        inputs: maximum number of noise images for effective fields; 0 skips them.
        size: `(height, width)` of these in pixels, 64 or more each.
        gates: whether squeeze-excitation is active while effective fields are measured.
        device: device of a model that is not loaded yet: `auto`, `cpu`, `cuda` or `cuda:N`.
        first: called with the theoretical fields by name before effective fields, which take longer, are measured.
        progress: called after each batch with the number of inputs done and the total.

    Raises:
        ValueError: the model has no backbone with named feature maps, the noise is too small, or there are no objects.
        DownloadError: its weights cannot be downloaded.
        DeviceError: the GPU fails, and it was asked for by name or the detector is on it.

    Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks" (Distill, 2019) for theoretical
    fields; Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks" (NeurIPS
    2016) for effective ones.
    """
    if min(size) < _LEAST_PX:
        raise ValueError(
            f"`size` is {size[0]}x{size[1]}: effective fields need noise images of {_LEAST_PX} pixels or more per side "
            f"(size=(512, 512), or --size 512x512)."
        )
    truth = None if data is None else as_truth(data, limit)
    if truth is not None:
        truth.check_has_objects(named(data) or "data")

    def measure(detector: Detector) -> ReceptiveFieldReport:
        report = field_report(detector, truth, inputs=inputs, size=size, gates=gates, first=first, progress=progress)
        known = {} if data is None else data_facts(named(data))
        return ReceptiveFieldReport(detector.origin | known, report)

    return on_device(model, measure, device, exact=True)
