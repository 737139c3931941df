"""How many multiplications an operation takes, by torch's own formulas and by ours for what it does not count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torchvision.ops  # noqa: F401 - registers the operation below
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

__all__ = ["FlopCounterMode", "flop_registry"]

DEFORMABLE = torch.ops.torchvision.deform_conv2d


def _deformable(*shapes: Any, out_shape: Sequence[int], **_: Any) -> int:
    """Of a deformable convolution as many as of a plain one; weighing and moving its samples is left out."""
    batch, _channels, height, width = out_shape
    return int(2 * batch * height * width * math.prod(shapes[1]))  # a multiplication comes with an addition


if DEFORMABLE not in flop_registry:
    register_flop_formula(DEFORMABLE)(_deformable)
