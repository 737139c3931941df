"""What layers of several models say about one photo, and what speaks for an object that they found."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from explorer.text import in_markdown
from explorer.types import Pixels
from explorer.ui.actions.comparison import WIDTH_PX, PhotoComparison
from explorer.ui.actions.fields import layers_of
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models
from explorer.ui.actions.progress import ProgressBar, part_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.types import FeatureMap, MapView

Kind = Literal["energy", "principal components", "EigenCAM", "one channel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_, COMPONENTS, _, ONE_CHANNEL = KINDS
LAYERS = ("stem", "stage2", "stage3", "stage4", "stage5", "res2", "res3", "res4", "res5", "p2", "p3", "p4", "p5", "p6")
"""Layers to offer: the stages of VoVNet, those of ResNet and MobileNetV2, and the levels of the pyramid."""
MOST_MAPS = 8
_TWO_SCORES = (
    "The two scores can differ: a detector scores the proposal and then adjusts its box, whereas here the "
    "final box is scored."
)


class Maps:
    """The maps of the last few photos and layers, so that another channel of a map is shown at once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes, str], FeatureMap] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, detector: Any, image_bgr: Pixels, layers: Sequence[str]) -> dict[str, FeatureMap]:
        """Returns the maps of those of the layers that the detector has."""
        photo = hashlib.sha256(image_bgr.tobytes()).digest()
        keys = {layer: (detector.name, photo, layer) for layer in layers}
        with self._lock:
            missing = [layer for layer, key in keys.items() if key not in self._known]
            for layer, found in (_maps(detector, image_bgr, missing) if missing else {}).items():
                self._known[keys[layer]] = found
            maps = {layer: self._known[key] for layer, key in keys.items() if key in self._known}
            while len(self._known) > MOST_MAPS:
                self._known.popitem(last=False)
            return maps


def show_layers(
    models: Models,
    names: Sequence[str],
    image_bgr: Pixels,
    layers: Sequence[str],
    kind: Kind,
    *,
    channel: int = 0,
    shared: bool = True,
    width_px: int = WIDTH_PX,
    known: Maps | None = None,
    progress: ProgressBar | None = None,
) -> go.Figure:
    """Draws maps of layers of one to four models over the photo, zoom and pan linked.

    Args:
        models: where detectors are kept.
        names: the models.
        image_bgr: the photo.
        layers: their names; of each model those that it has.
        kind: what to show of them.
        channel: which one, where one channel is asked for.
        shared: of principal components, turn the models' axes so that like places have like colours.
        width_px: how wide the figure will be.
        known: where maps are kept from one call to the next.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: no layer or too many, none of the models has one of them, or a map has no such channel.
        DownloadError: a model's weights cannot be downloaded.
    """
    from explorer.figures.features import linked_maps

    if not layers:
        raise ValueError("Choose at least one layer.")
    wanted = models.networks(names)
    maps: dict[str, FeatureMap] = {}
    for place, name in enumerate(wanted):
        detector = models.get(name, part_of(progress, place, len(wanted), name))
        found = known.of(detector, image_bgr, layers) if known else _maps(detector, image_bgr, layers)
        maps |= {f"{detector.name} · {layer}": own for layer, own in found.items()}
    if not maps:
        raise ValueError(f"None of the models has {', '.join(layers)}; choose stages or levels such as p2.")
    if len(maps) > MOST_MAPS:
        raise ValueError(
            f"{len(maps)} maps are selected, but at most {MOST_MAPS} can be drawn; choose fewer layers or models."
        )
    return linked_maps(_views(maps, kind, channel, shared=shared), image_bgr, width_px=width_px)


def _maps(detector: Any, image_bgr: Pixels, layers: Sequence[str]) -> dict[str, FeatureMap]:
    from explorer.features.capture import feature_maps

    own = set(layers_of(detector))
    if hasattr(getattr(detector.model.backbone, "bottom_up", None), "stem"):
        own.add("stem")
    known = [layer for layer in layers if layer in own]
    if not known:
        return {}
    return feature_maps(detector.model, detector.model_input(image_bgr), known)


def _views(maps: dict[str, FeatureMap], kind: Kind, channel: int, *, shared: bool) -> dict[str, MapView]:
    from explorer.features.cam import eigen_cam
    from explorer.features.maps import channel as one_channel
    from explorer.features.maps import energy
    from explorer.features.pca import pca_rgb

    if kind == "principal components":
        views = pca_rgb(list(maps.values()), share="places" if shared and len(maps) > 1 else "nothing")
        return dict(zip(maps, views, strict=True))
    if kind == "one channel":
        return {title: one_channel(feature, channel) for title, feature in maps.items()}
    return {title: (energy if kind == "energy" else eigen_cam)(feature) for title, feature in maps.items()}


def what_speaks_for(
    models: Models,
    comparison: PhotoComparison,
    filters: Filters,
    number: int,
    *,
    width_px: int = WIDTH_PX,
    progress: ProgressBar | None = None,
) -> tuple[go.Figure, str]:
    """Shows, for each model that sees an object, which places speak for its class there, and the level that carries it.

    Args:
        models: where detectors are kept.
        comparison: what was found.
        filters: which of it is shown.
        number: the object's, in `PhotoComparison.who_sees_what`.
        width_px: how wide the figure will be.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: there is no such object, or only files of results have it.

    Returns:
        The figure, and a sentence per model in Markdown.
    """
    from explorer.features.cam import detection_cam
    from explorer.figures.features import linked_maps

    known = comparison.sightings(filters)
    if not 0 <= number < len(known):
        raise ValueError(
            "Choose an object first: run Compare, then click an object in the picture or select it from the list."
        )
    one = known[number]
    views, sentences = {}, []
    seen_by = models.networks(list(one.scores))
    for place, name in enumerate(seen_by):
        part_of(progress, place, len(seen_by), name)
        detector = models.get(name)
        index = detector.class_names.index(one.class_name)
        cam = detection_cam(detector.model, detector.model_input(comparison.image_bgr), one.box_xyxy, index)
        views[f"{comparison.letters[name]} · {name} · {cam.level}"] = cam.view
        sentences.append(
            f"- **{in_markdown(name)}** classifies this box from **{in_markdown(cam.level)}**. In Compare, its "
            f"own box has a score of {one.scores[name]:.2f}; for the box drawn here (that of the most confident "
            f"model), the head predicts {in_markdown(one.class_name)} {cam.probability:.2f}."
        )
    sentences.append(f"\n{_TWO_SCORES}")
    figure = linked_maps(views, comparison.image_bgr, boxes_xyxy=[one.box_xyxy], width_px=width_px)
    return figure, "\n".join(sentences)


def object_at(comparison: PhotoComparison, filters: Filters, point_xy: tuple[float, float]) -> int:
    """Returns the number of the smallest object shown that holds a point of the photo.

    Raises:
        ValueError: nothing found is there.
    """
    x, y = point_xy
    known = comparison.sightings(filters)
    there = [
        number
        for number, one in enumerate(known)
        if one.box_xyxy[0] <= x <= one.box_xyxy[2] and one.box_xyxy[1] <= y <= one.box_xyxy[3]
    ]
    if not there:
        raise ValueError("There is no object at this point; click inside a box, or lower the minimum score.")
    return min(there, key=lambda number: known[number].area_px)
