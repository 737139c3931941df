"""Receptive fields at a point of the photo: what a unit there can see, and what it does see."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.types import Pixels
from explorer.ui.actions.comparison import WIDTH_PX
from explorer.ui.actions.progress import ProgressBar, part_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.engine.detector import Detector
    from explorer.receptive_field.effective import EffectiveField
    from explorer.receptive_field.theoretical import ReceptiveField
    from explorer.types import Detections

INPUTS, SIZE = 4, (512, 512)
"""Effective fields are measured on so many inputs of noise of this size; they are kept on disk."""
_MOST_KEPT = 16


class Fields:
    """Theoretical fields by model and input size, found once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[int, int]], dict[str, ReceptiveField]] = {}
        self._lock = threading.Lock()

    def of(self, detector: Detector, size: tuple[int, int]) -> dict[str, ReceptiveField]:
        """Returns the fields of all layers of a detector's backbone for inputs of a size, `(height, width)`."""
        from explorer.receptive_field.theoretical import theoretical_fields

        key = (detector.name, size)
        with self._lock:
            if key not in self._known:
                while len(self._known) >= _MOST_KEPT:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = theoretical_fields(detector.model.backbone, size, ignore_global=True)  # type: ignore[arg-type]
            return self._known[key]


def layers_of(detector: Detector) -> dict[str, str]:
    """Returns the stages and levels of a detector's backbone: the names of their modules by short names."""
    from explorer.report.fields import layer_names

    backbone: Any = getattr(detector.model, "backbone", None)
    if backbone is None or not hasattr(backbone, "output_shape"):
        raise ValueError(f"{detector.name} has no backbone with named feature maps; choose a detector with an FPN.")
    return layer_names(backbone)


def fields_at(
    known: Fields,
    detector: Detector,
    image_bgr: Pixels,
    point_xy: tuple[float, float],
    layers: Sequence[str],
    *,
    effective: bool = True,
    gates: bool = True,
    width_px: int = WIDTH_PX // 2,
    progress: ProgressBar | None = None,
) -> go.Figure:
    """Draws the fields of some layers' units at a point, over the photo as the network sees it.

    Args:
        known: where theoretical fields are kept.
        detector: the model.
        image_bgr: the photo.
        point_xy: in the photo's pixels.
        layers: short names of stages and levels; those that the model has are drawn.
        effective: measure what is seen, too.
        gates: whether squeeze-excitation works while that is measured.
        width_px: how wide the figure will be.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: the point lies outside the photo, no layer is chosen, or the model has none of them.
    """
    from explorer.figures.receptive_field import fields_over_photo

    if not layers:
        raise ValueError("Choose at least one layer, such as p2.")
    names = {layer: module for layer, module in layers_of(detector).items() if layer in layers}
    if not names:
        raise ValueError(f"{detector.name} has none of the layers {', '.join(layers)}; choose levels such as p2.")
    padded, scale = _as_the_network_sees(detector, image_bgr)
    measured = measured_fields(detector, names, gates=gates, progress=progress) if effective else None
    found = known.of(detector, (padded.shape[0], padded.shape[1]))
    x, y = point_xy[0] * scale[1], point_xy[1] * scale[0]
    theoretical = {layer: found[module] for layer, module in names.items()}
    return fields_over_photo(padded, (x, y), theoretical, measured, title=detector.name, width_px=width_px)


def on_photo(detector: Detector, image_bgr: Pixels, input_xy: tuple[float, float]) -> tuple[float, float]:
    """Brings a point of the picture that `fields_at` draws to the photo's pixels; what lies in the padding to its edge.

    Args:
        detector: the model.
        image_bgr: the photo.
        input_xy: in pixels of the network's input.
    """
    height, width = image_bgr.shape[:2]
    rows, columns = detector.model_input.size_for(height, width)
    x, y = input_xy[0] * width / columns, input_xy[1] * height / rows
    return min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)


def measured_fields(
    detector: Detector, names: dict[str, str], *, gates: bool = True, progress: ProgressBar | None = None
) -> dict[str, EffectiveField]:
    """Measures effective fields on noise, or reads them from disk, by short name."""
    from explorer.receptive_field.effective import cached_effective_fields
    from explorer.report.fields import NARROWER_THAN

    backbone: Any = detector.model.backbone
    modules = list(layers_of(detector).values())  # all at once, which costs little more than one
    count = part_of(progress, 0, 1, f"{detector.name}: measuring effective fields")
    settings: dict[str, Any] = {"inputs": INPUTS, "size": SIZE, "batch": 1, "narrower_than": NARROWER_THAN}
    found = cached_effective_fields(backbone, modules, gates=gates, progress=count, **settings)
    return {layer: found[module] for layer, module in names.items()}


def fields_and_objects(
    known: Fields,
    detector: Detector,
    objects: Detections | None,
    *,
    gates: bool = True,
    progress: ProgressBar | None = None,
) -> go.Figure:
    """Draws, per level, its fields, its anchors, and the sides of the objects found in the photo that it carries.

    Args:
        known: where theoretical fields are kept.
        detector: the model.
        objects: found in a photo; none are drawn without them.
        gates: see `fields_at`.
        progress: called with the share that is done and what is being done.
    """
    from explorer.figures.receptive_field import fields_against_objects
    from explorer.receptive_field.theoretical import FIRST_SIZE_PX
    from explorer.report.fields import anchor_sides

    levels = {name: module for name, module in layers_of(detector).items() if name.startswith("p")}
    found = known.of(detector, (FIRST_SIZE_PX, FIRST_SIZE_PX))  # no edge cuts them
    measured = measured_fields(detector, levels, gates=gates, progress=progress)
    return fields_against_objects(
        {name: float(max(found[module].size_px)) for name, module in levels.items()},
        {name: field.side_px() for name, field in measured.items()},
        anchor_sides(detector),
        _sides_by_level(detector, objects) if objects is not None else {},
    )


def _sides_by_level(detector: Detector, objects: Detections) -> dict[str, Any]:
    from explorer.autopsy.two_stage.anatomy import has_two_stages, pyramid_of

    if not has_two_stages(detector):
        return {}
    pyramid = pyramid_of(detector.model)
    height, width = objects.image_size
    resized = detector.model_input.size_for(height, width)
    scale = np.array([resized[1] / width, resized[0] / height] * 2)
    boxes = objects.boxes_xyxy * scale
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    levels = pyramid.levels_of(boxes)
    return {name: sides[levels == place] for place, name in enumerate(pyramid.names)}


def _as_the_network_sees(detector: Detector, image_bgr: Pixels) -> tuple[Pixels, tuple[float, float]]:
    """The photo resized and padded as for the network, and how many of its pixels one of the photo's is."""
    import cv2

    height, width = image_bgr.shape[:2]
    rows, columns = detector.model_input.size_for(height, width)
    resized = cv2.resize(image_bgr, (columns, rows), interpolation=cv2.INTER_LINEAR)
    backbone: Any = detector.model.backbone
    step = max(int(backbone.size_divisibility), 1)
    below, right = -rows % step, -columns % step
    padded = cv2.copyMakeBorder(resized, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    return np.asarray(padded, np.uint8), (rows / height, columns / width)
