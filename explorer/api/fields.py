"""How far a detector's stages and levels see, beside its anchors and the objects that each level has to find."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Data, Model, as_detector, as_truth
from explorer.api.result import Result
from explorer.report.fields import FieldReport, LevelField, field_grid, field_report
from explorer.report.tables import Grid
from explorer.types import Progress
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class ReceptiveFieldReport(Result):
    """The receptive fields of a detector.

    Attributes:
        model: its name.
        fields: the fields themselves, theoretical and effective, by stage and level.
    """

    model: str
    fields: FieldReport

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
        """Returns the fields of each stage and level."""
        return plain({"model": self.model, **self.fields.document()})  # type: ignore[no-any-return]

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
    progress: Progress | None = None,
) -> ReceptiveFieldReport:
    """Computes theoretical and measures effective receptive fields of a detector's stages and levels.

    Args:
        model: a `Detector`, or what `load_detector` takes.
        data: `PATH[:SPLIT]` of a data set, or a `Truth`, whose objects are compared with the fields.
        limit: use only the first `limit` images.
        inputs: maximum number of noise images for effective fields; 0 skips them.
        size: `(height, width)` of these in pixels.
        progress: called after each batch with the number of inputs done and the number in all.

    Raises:
        ValueError: the model has no backbone with named feature maps.
        DownloadError: its weights cannot be downloaded.
    """
    detector = as_detector(model, exact=True)
    truth = None if data is None else as_truth(data, limit)
    return ReceptiveFieldReport(
        detector.name, field_report(detector, truth, inputs=inputs, size=size, progress=progress)
    )
