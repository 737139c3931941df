"""What a layer does not use: dead and saturated channels, and how many independent things its channels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.types import FeatureMap

DEAD = 1e-6
"""A channel is dead if its values span less than this share of the layer's largest value."""
CEILING = 0.01
"""A value is at its channel's ceiling if it is within this share of the channel's span below its largest value."""
SATURATED = 0.5
"""A channel is saturated if it is at its ceiling in at least this share of places."""


@dataclass(frozen=True)
class ChannelHealth:
    """What a layer's channels did on one or more photos.

    Attributes:
        layer: the layer.
        channels: how many there are.
        places: number of cells looked at, those of the padding left out.
        dead: channels that gave the same value everywhere, as after a ReLU that nothing passes. They may wake on other
            photos.
        saturated: channels that vary but are at their own ceiling in half of the places or more, as behind ReLU6 or a
            sigmoid that is driven too high: there they tell nothing apart.
        zeros: share of values that are exactly 0.
        effective_rank: how many independent patterns the channels make over the photo, 1 to `channels`; 0 if all are
            dead. The channels' means do not count.
    """

    layer: str
    channels: int
    places: int
    dead: tuple[int, ...]
    saturated: tuple[int, ...]
    zeros: float
    effective_rank: float


def channel_health(features: FeatureMap | Sequence[FeatureMap]) -> ChannelHealth:
    """Judges the channels of one layer, on one photo or on several together; the more, the surer is "dead".

    Raises:
        ValueError: there is no map, or they are of layers of different names or widths.
    """
    maps = [features] if isinstance(features, FeatureMap) else list(features)
    if len({(feature.layer, len(feature.values)) for feature in maps}) != 1:
        named = ", ".join(f"{feature.layer} ({len(feature.values)} channels)" for feature in maps) or "none"
        raise ValueError(f"Channels are judged over maps of one layer; got {named}.")
    values = np.concatenate([feature.content.reshape(len(feature.values), -1) for feature in maps], axis=1)
    lowest, highest = values.min(axis=1).astype(np.float64), values.max(axis=1).astype(np.float64)
    span = highest - lowest
    dead = span <= DEAD * np.abs(values).max()
    at_ceiling = (values >= (highest - CEILING * span)[:, None]).mean(axis=1)
    return ChannelHealth(
        layer=maps[0].layer,
        channels=len(values),
        places=values.shape[1],
        dead=tuple(np.flatnonzero(dead).tolist()),
        saturated=tuple(np.flatnonzero(~dead & (at_ceiling >= SATURATED)).tolist()),
        zeros=float((values == 0).mean()),
        effective_rank=effective_rank(values - values.mean(axis=1, keepdims=True)),
    )


def effective_rank(matrix: npt.ArrayLike) -> float:
    """Returns the exponential of the entropy of a matrix's singular values, taken as shares of their sum.

    It is n for n equal singular values and 1 for a single one, and changes smoothly between; a matrix of zeros has 0.

    Source: Roy and Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007, Definition 1.
    """
    values = np.asarray(matrix, np.float64)
    narrow = values if values.shape[0] <= values.shape[1] else values.T
    # Squared singular values: of a small matrix instead of one with a column per place.
    squares = np.clip(np.linalg.eigvalsh(narrow @ narrow.T), 0, None)
    singular = np.sqrt(squares[squares > squares.max(initial=0) * np.finfo(np.float64).eps * len(squares)])
    if not singular.size:
        return 0.0
    shares = singular / singular.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
