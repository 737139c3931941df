"""What a model's layers respond to on one photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.inputs import Model, as_detector
from explorer.api.result import Result
from explorer.data.images import read_image
from explorer.engine.artifacts import provenance
from explorer.engine.windows import seen_whole
from explorer.features.maps import energy
from explorer.report.features import FeatureReport, default_layers, feature_report
from explorer.report.tables import Grid
from explorer.types import Pixels
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class FeatureInspection(Result):
    """The feature maps of a model's layers on one photo.

    Attributes:
        image_bgr: the photo, `(height, width, 3)`.
        report: the maps, their dead and saturated channels, the regions that contribute to detections, and the files.
        origin: where the maps come from, as `Detector.origin` says it.
        note: says that the photo was processed as a whole, if the model cuts photos of this size into tiles; or empty.
    """

    image_bgr: Pixels
    report: FeatureReport
    origin: Mapping[str, Any]
    note: str = ""

    @property
    def title(self) -> str:
        height, width = self.image_bgr.shape[:2]
        return f"{self.report.model} on a photo of {height}×{width} px"

    def tables(self) -> list[Grid]:
        """Returns the shape of each layer's map, its stride, and how many of its channels are dead or saturated."""
        return [self.report.grid()]

    def sentences(self) -> list[str]:
        """Returns the feature map that classified each explained detection, and where the pictures are."""
        classified = [f"{name} is classified from {cam.level}" for name, cam in self.report.cams]
        page, pictures = self.report.files[-1], len(self.report.files) - 1
        return [*filter(None, [self.note]), *classified, f"{pictures} pictures and {page}"]

    def figure(self) -> go.Figure:
        """Draws the energy of each layer over the photo; zooming into one zooms into all."""
        from explorer.figures.features import linked_maps

        return linked_maps({name: energy(own) for name, own in self.report.maps.items()}, self.image_bgr)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report of `explorer features --json`."""
        random = {"random_weights": self.origin["weights"] is None}
        return plain({**self.origin, **random, **self.report.document(), **provenance()})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per layer."""
        layers = self.report.document()["layers"]
        return [{"layer": name, **own} for name, own in layers.items()]


def inspect_features(
    model: Model,
    image: Pixels | str | Path,
    layers: Sequence[str] = (),
    *,
    out: str | Path,
    explained: int = 1,
    device: str = "cpu",
) -> FeatureInspection:
    """Visualises layers on one photo: energy, principal components, channels, and what contributes to a detection.

    Args:
        model: a `Detector`, or what `load_detector` takes; a backbone alone, too.
        image: `(height, width, 3)` uint8 in BGR, or a file.
        layers: names or globs, such as `p2`, `stage4`, `backbone.bottom_up.stage4.*`; where empty, the levels of the
            pyramid, or the outputs of a backbone.
        out: folder for the pictures and `features.html`.
        explained: number of detections, the best ones, for which the regions that contribute are shown.
        device: device of a model that is not loaded yet.

    Raises:
        ImageError: the file cannot be read.
        ValueError: a layer does not exist or gives no map of the photo.
        OSError: the folder cannot be written to.
        DownloadError: the model's weights cannot be downloaded.
    """
    photo = image if not isinstance(image, (str, Path)) else read_image(image)
    detector = as_detector(model, device=device, exact=True, bare=True)
    note = seen_whole(detector.cut, [photo.shape[:2]], "This command")
    report = feature_report(detector, photo, layers or default_layers(detector), Path(out), explained=explained)
    return FeatureInspection(photo, report, detector.origin, note)
