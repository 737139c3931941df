"""What the ranges of 8-bit integers are set by: photos, as an engine is given them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CalibrationPhotos:
    """Photos, each prepared as the model takes it.

    Attributes:
        source: where they come from, in words.
        photos: each gives detectron2's input when called.
        key: tells these photos, prepared so, from all others.
        keep: whether what they say is worth keeping; of random weights it is not.
    """

    source: str
    photos: tuple[Callable[[], dict[str, Any]], ...]
    key: str
    keep: bool = True
