"""Feature maps made visible: energy, single channels, and which channels to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from explorer.features.places import cells_inside
from explorer.types import Bools, FeatureMap, Floats, Floats32, MapView

Criterion = Literal["energy", "variance", "contrast"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)

_CONSTANT = 1e-6
"""A channel whose values differ by less than this share of the map's largest value says nothing."""


@dataclass(frozen=True)
class RankedChannel:
    """A channel and what it scored by a criterion."""

    channel: int
    score: float


def energy(feature: FeatureMap) -> MapView:
    """Returns the activation energy of a feature map: the L2 norm over its channels at each position.

    Args:
        feature: the feature map, as `feature_maps` returns it.
    """
    values = np.sqrt(np.square(feature.content, dtype=np.float64).sum(axis=0)).astype(np.float32)
    says = (
        "The strength of the layer's response at each position, which is the L2 norm over its channels. A bright "
        "position has high activity, but not necessarily an object."
    )
    return MapView("energy", feature.layer, values, feature.frame, says)


def channel(feature: FeatureMap, index: int) -> MapView:
    """Shows one channel as it is.

    Raises:
        ValueError: there is no such channel.
    """
    count = len(feature.values)
    if not 0 <= index < count:
        raise ValueError(f"{feature.layer} has no channel {index}; it has {count}, 0 to {count - 1}.")
    says = f"The values of channel {index} of {count}. Channels are learned and have no predefined meaning."
    return MapView(f"channel {index}", feature.layer, feature.content[index], feature.frame, says)


def top_channels(
    feature: FeatureMap, count: int, *, by: Criterion = "energy", box_xyxy: Sequence[float] | None = None
) -> list[RankedChannel]:
    """Ranks channels and returns the first ones, best first; equal scores in the channels' order.

    Args:
        feature: the map; cells of the padding do not count.
        count: how many to return; all if there are fewer.
        by: `energy`, the root mean square; `variance` over the map's places; or `contrast`, how much higher the mean
            inside a box is than outside, in standard deviations of the channel over the map. A constant channel has
            contrast 0.
        box_xyxy: the box of `contrast`, in the photo's pixels.

    Raises:
        ValueError: the criterion is unknown, `count` is not positive, or `contrast` has no box or one that does not
            overlap the photo or leaves nothing outside.
    """
    if by not in CRITERIA:
        raise ValueError(f"Channels cannot be ranked by {by!r}; choose one of {', '.join(CRITERIA)}.")
    if count < 1:
        raise ValueError(f"count is {count}; ask for at least one channel.")
    values = feature.content.astype(np.float64)
    if by == "energy":
        scores = np.sqrt(np.square(values).mean(axis=(1, 2)))
    elif by == "variance":
        scores = values.var(axis=(1, 2))
    elif box_xyxy is None:
        raise ValueError("contrast compares the inside of a box with the outside; give box_xyxy in the photo's pixels.")
    else:
        scores = _contrast(values, cells_inside(feature.frame, box_xyxy, values.shape[1:]))
    order = np.argsort(-scores, kind="stable")[:count]
    return [RankedChannel(int(index), float(scores[index])) for index in order]


def value_range(views: Sequence[MapView], *, percentile: float = 99.5) -> tuple[float, float]:
    """Returns one range of values for several views, so that one colour means one value in all of them.

    Args:
        views: views with one number per cell.
        percentile: values beyond this percentile, and below its counterpart, do not widen the range; a few extreme
            cells would otherwise take the contrast from all others. 100 takes all.

    Raises:
        ValueError: there is no view, or one has colours instead of numbers.
    """
    if not views or any(view.is_color for view in views):
        raise ValueError("A range is taken of at least one view, and of views with numbers; pca has colours.")
    values = np.concatenate([np.asarray(view.values, np.float64).ravel() for view in views])
    low, high = np.percentile(values, [100 - percentile, percentile])
    return float(low), float(high)


def normalise(values: Floats32, bounds: tuple[float, float]) -> Floats32:
    """Brings values from `bounds` to 0..1, clipped; a range of no width gives 0."""
    low, high = bounds
    if high <= low:
        return np.zeros_like(values)
    scaled: Floats32 = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return scaled


def _contrast(values: Floats, inside: Bools) -> Floats:
    if inside.all():
        raise ValueError("The box covers the whole map: nothing is left outside to compare with.")
    spread = values.std(axis=(1, 2))
    varies = spread > _CONSTANT * max(np.abs(values).max(), np.finfo(np.float64).tiny)
    difference = values[:, inside].mean(axis=1) - values[:, ~inside].mean(axis=1)
    return np.where(varies, difference / np.where(varies, spread, 1), 0)
