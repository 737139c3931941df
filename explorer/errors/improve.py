"""What helps: the same detector used in other ways, by what each adds to AP by size and by what it costs in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.engine.devices import gpu_explained
from explorer.engine.loading import detecting_for
from explorer.errors.bootstrap import CONFIDENCE, RESAMPLES, Resamples, bootstrap
from explorer.errors.paired import Differences, differences
from explorer.scoring.classes import shared_classes
from explorer.scoring.columns import Truth
from explorer.scoring.convert import run_from_detections
from explorer.scoring.ignored import run_under, truth_under
from explorer.scoring.matching import match
from explorer.scoring.protocols import COCO, Protocol
from explorer.types import Floats, Progress

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.errors.variants import Variant
    from explorer.types import Detections

MOST_DETECTIONS = 300
"""The limit for the figures, as many as the most generous variant gives; COCO's is 100."""


@dataclass(frozen=True, eq=False)
class Help:
    """What one way of using the detector gives.

    Attributes:
        name: of the variant.
        says: what is done.
        resamples: its figures, and the same on resampled images.
        differences: its figures minus those of the detector as it is, arrays `(F, S)`.
        seconds: `(I,)` of each image.
        detections: how many there are in all.
        time_ratios: `(I,)` to the detector as it is on the same image, measured one after the other.
    """

    name: str
    says: str
    resamples: Resamples
    differences: Differences
    seconds: Floats
    time_ratios: Floats
    detections: int

    def time_quartiles(self) -> tuple[float, float, float]:
        """The median of the ratios in the middle, between their quartiles."""
        low, middle, high = np.quantile(self.time_ratios, [0.25, 0.5, 0.75]).tolist()
        return low, middle, high


def default_variants(detector: Detector) -> tuple[Variant, ...]:
    """The detector as it is, and all other ways of using it that fit it."""
    from explorer.errors import variants

    ways = [variants.as_is(detector)]
    makers = (variants.larger_input, variants.more_boxes, variants.sliced, variants.flipped)
    for make in makers:
        try:
            ways.append(make(detector))
        except ValueError:  # it does not fit this kind of detector
            continue
    return tuple(ways)


@gpu_explained()
def improve(
    detector: Detector,
    truth: Truth,
    variants: Sequence[Variant] = (),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
) -> tuple[Help, ...]:
    """Measures variants of a detector on the same images, taking turns image by image, so that a drift hurts all alike.

    Args:
        detector: what to improve.
        truth: what is there, and the image files.
        variants: the first one is what the others are compared with; `default_variants` where empty.
        resamples: number of resamples of the images.
        seed: of the draws.
        protocol: whose sizes, IoU thresholds and limits figures go by; None for COCO's with a limit that cuts nothing.
        progress: called after each image.

    Returns:
        One per variant, the first one with itself.

    Raises:
        ValueError: there are no images, or the model and the data share no class.
        ImageError: an image cannot be read, or has another size than its annotations say.
    """
    from explorer.engine.evaluation.reading import read_row

    ways = tuple(variants) or default_variants(detector)
    classes = shared_classes(detector.class_names, truth.class_names)
    asked = protocol or COCO  # without a protocol, the model's own limit holds, which one of the ways raises
    protocol = protocol or COCO.with_limit(MOST_DETECTIONS)
    truth = truth_under(protocol, truth.of_classes(classes.names))
    truth.check_has_objects(detector.name)
    images = len(truth.image_ids)
    found: list[list[Detections]] = [[] for _ in ways]
    seconds = np.zeros((len(ways), images))
    with detecting_for(detector.model, asked):
        for way in ways:  # the first call is slower
            way.detect(read_row(truth, 0))
        for image in range(images):
            pixels = read_row(truth, image)
            for turn in range(len(ways)):
                place = (turn + image) % len(ways)
                detections, seconds[place, image] = ways[place].timed(pixels)
                found[place].append(detections)
            if progress:
                progress(image + 1, images)
    resampled = [
        bootstrap(
            match(
                run_under(protocol, run_from_detections(truth, own, way.name, classes=classes)),
                bins=protocol.bins,
            ),
            resamples,
            seed,
        )
        for way, own in zip(ways, found, strict=True)
    ]
    return tuple(
        Help(
            way.name,
            way.says,
            own,
            differences(resampled[0], own, CONFIDENCE),
            seconds[place],
            seconds[place] / seconds[0],
            sum(map(len, found[place])),
        )
        for place, (way, own) in enumerate(zip(ways, resampled, strict=True))
    )
