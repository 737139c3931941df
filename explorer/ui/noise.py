"""Warnings that a user can do nothing about."""

from __future__ import annotations

import logging
import warnings

THIRD_PARTY_NOISE = (
    r".torch\.jit\.script. is deprecated",
    r"torch\.meshgrid: in an upcoming release",
    r"pkg_resources is deprecated as an API",
)
"""Warnings from inside detectron2."""


def silence_warnings() -> None:
    """Hides warnings from inside PyTorch and detectron2 about which a user can do nothing."""
    for message in THIRD_PARTY_NOISE:
        warnings.filterwarnings("ignore", message)
    # detectron2's list of the environment asks it for CUDA's compiler, and it misses a GPU that nobody wants
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
