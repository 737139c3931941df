"""The families of detectors that can be followed, and which of them a detector is of."""

from __future__ import annotations

from explorer.autopsy.dense.tracer import DenseTracer
from explorer.autopsy.family import Tracer
from explorer.autopsy.two_stage.tracer import TwoStageTracer
from explorer.engine.detector import Detector

_FAMILIES = (TwoStageTracer, DenseTracer)


def tracer_of(detector: Detector) -> Tracer:
    """Takes a detector apart; it stays as it is.

    Raises:
        ValueError: it is of no kind whose stages can be followed.
    """
    for family in _FAMILIES:
        if family.fits(detector):
            return family(detector)
    supported = " and of ".join(family.says for family in _FAMILIES)
    raise ValueError(
        f"{detector.name} is a {type(detector.model).__name__} without stages that can be followed, which are those of "
        f"{supported}. `explorer zoo list` shows such models."
    )


def is_followed(detector: Detector) -> bool:
    """Whether a detector is of a kind whose stages can be followed."""
    return any(family.fits(detector) for family in _FAMILIES)
