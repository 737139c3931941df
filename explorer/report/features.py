"""What a detector's layers say about one photo, as pictures, a page and figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.data.images import write_picture
from explorer.engine.detector import Detector
from explorer.features.cam import DetectionCam, detection_cam, eigen_cam
from explorer.features.capture import feature_maps
from explorer.features.health import ChannelHealth, channel_health
from explorer.features.maps import energy, top_channels
from explorer.features.pca import pca
from explorer.features.usage import LayerUsage, layer_usage
from explorer.figures.export import write_page
from explorer.figures.features import feature_grid, linked_maps, usage_matrix
from explorer.figures.pictures import channel_sheet, over_photo
from explorer.report.tables import Grid
from explorer.types import FeatureMap, Pixels
from explorer.writing import alone_in, replacing_together

CHANNELS = 12
"""Channels that a sheet shows, the strongest first."""
PAGE = "features.html"


@dataclass(frozen=True, eq=False)
class FeatureReport:
    """What was seen of a detector's layers.

    Attributes:
        model: the detector's name.
        maps: by layer.
        health: by layer, what its channels did on this photo.
        usage: how much of each OSA layer the aggregation uses; empty without OSA blocks.
        cams: for the best detections, which places speak for each.
        files: what was written.
    """

    model: str
    maps: dict[str, FeatureMap]
    health: dict[str, ChannelHealth]
    usage: tuple[LayerUsage, ...]
    cams: tuple[tuple[str, DetectionCam], ...]
    files: tuple[Path, ...]

    def document(self) -> dict[str, Any]:
        """Returns the figures for JSON."""
        layers = {
            name: {
                "shape": list(feature.values.shape),
                "stride_px": list(feature.frame.stride_yx),
                **{key: value for key, value in vars(self.health[name]).items() if key != "layer"},
            }
            for name, feature in self.maps.items()
        }
        return {
            "model": self.model,
            "layers": layers,
            "usage": [vars(block) for block in self.usage],
            "detections": [
                {"name": name, "level": cam.level, "probability": cam.probability} for name, cam in self.cams
            ],
            "files": [str(file) for file in self.files],
        }

    def grid(self) -> Grid:
        """Lays the layers out for people."""
        rows = tuple(
            (
                name,
                " × ".join(map(str, feature.values.shape)),
                f"{feature.frame.stride_yx[0]:g}",
                f"{len(self.health[name].dead)}",
                f"{len(self.health[name].saturated)}",
                f"{self.health[name].effective_rank:.1f}",
            )
            for name, feature in self.maps.items()
        )
        return Grid(("layer", "channels × rows × columns", "stride", "dead", "saturated", "effective rank"), rows)


def default_layers(detector: Detector) -> tuple[str, ...]:
    """The layers to look at where none is named: a pyramid's levels, or a bare backbone's outputs."""
    model: Any = detector.model
    return ("p*",) if detector.finds_objects else tuple(model.backbone.output_shape())


def feature_report(
    detector: Detector, image_bgr: Pixels, layers: Sequence[str], out: Path, *, explained: int = 1
) -> FeatureReport:
    """Records layers on one photo and writes what they show.

    Per layer: `<layer>-energy.png`, `-pca.png` and `-eigencam.png` over the photo, and `-channels.png` with the
    strongest channels; per explained detection `detection-N-cam.png`; and `features.html` with all of it to zoom into.

    Args:
        detector: any.
        image_bgr: the photo, `(height, width, 3)`.
        layers: names and globs; see `explorer.features.layers.find_layers`.
        out: folder.
        explained: for so many detections, the best ones, show which places speak for them; a bare backbone has none.

    Raises:
        ValueError: a layer is unknown or gives no map of the photo.
        OSError: the folder cannot be written to, or another process writes there.
    """
    with alone_in(out), replacing_together(out, PAGE) as scratch:
        report = _written(detector, image_bgr, layers, scratch, explained)
    return replace(report, files=tuple(out / file.name for file in report.files))


def _written(detector: Detector, image_bgr: Pixels, layers: Sequence[str], out: Path, explained: int) -> FeatureReport:
    model_input = detector.model_input(image_bgr)
    maps = feature_maps(detector.model, model_input, layers)
    files: list[Path] = []
    figures: dict[str, Any] = {}
    for name, feature in maps.items():
        stem = re.sub(r"[^\w.]+", "-", name)
        views = {"energy": energy(feature), "pca": pca(feature), "eigencam": eigen_cam(feature)}
        files += [write_picture(over_photo(image_bgr, view), out / f"{stem}-{k}.png") for k, view in views.items()]
        ranked = top_channels(feature, CHANNELS)
        files.append(write_picture(channel_sheet(feature, ranked), out / f"{stem}-channels.png"))
        figures[f"{name}: energy, colours, strongest pattern"] = linked_maps(views, image_bgr)
        figures[f"{name}: channels"] = feature_grid(feature, ranked, by="energy")
    if len(maps) > 1:
        figures["Energy of all layers"] = linked_maps(
            {name: energy(feature) for name, feature in maps.items()}, image_bgr
        )
    cams = []
    for number, (label, box, cam) in enumerate(_explained(detector, image_bgr, explained), start=1):
        picture = over_photo(image_bgr, cam.view, box_xyxy=box)
        files.append(write_picture(picture, out / f"detection-{number}-cam.png"))
        title = f"What speaks for {label}, classified from {cam.level}"
        figures[title] = linked_maps({label: cam.view}, image_bgr, boxes_xyxy=[box])
        cams.append((label, cam))
    usage = _usage(detector)
    if usage:
        figures["Use of OSA layers"] = usage_matrix({detector.name: usage})
    files.append(write_page(f"What {detector.name} sees", figures, out / PAGE))
    health = {name: channel_health(feature) for name, feature in maps.items()}
    return FeatureReport(detector.name, maps, health, usage, tuple(cams), tuple(files))


def _explained(detector: Detector, image_bgr: Pixels, number: int) -> list[tuple[str, list[float], DetectionCam]]:
    if not number or not detector.finds_objects:
        return []
    found = detector.detect(image_bgr).detections
    explained = []
    for row in range(min(number, len(found))):
        box, index = found.boxes_xyxy[row].astype(float).tolist(), int(found.classes[row])
        cam = detection_cam(detector.model, detector.model_input(image_bgr), box, index)
        explained.append((f"{found.class_names[index]} {found.scores[row]:.2f}", box, cam))
    return explained


def _usage(detector: Detector) -> tuple[LayerUsage, ...]:
    try:
        return tuple(layer_usage(detector.model))
    except ValueError:  # no OSA block
        return ()
