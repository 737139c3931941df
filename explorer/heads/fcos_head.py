"""The towers of FCOS, shared by all levels of the pyramid.

Source: FCOS (arXiv 1904.01355, Section 3.2 and Figure 2), with the improvements that CenterMask builds on: centerness
from the box tower, and distances in strides, made positive by ReLU. Tensor names are those of the release.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.backbones.norms import make_norm


class DenseOutput(NamedTuple):
    """What FCOS says at every location of each level.

    Attributes:
        logits: by level, `(batch, classes, h, w)`.
        distances: by level, `(batch, 4, h, w)` from the location to the left, top, right and bottom side of the box, in
            strides of the level, 0 or more.
        centerness: by level, `(batch, 1, h, w)`, logits.
    """

    logits: list[Tensor]
    distances: list[Tensor]
    centerness: list[Tensor]


class Scale(nn.Module):
    """Multiplies by one learnt number: with one per level, shared towers can tell distances at all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class FCOSHead(nn.Module):
    """Classifies every location of the pyramid, and tells how far the sides of its object are and how central it is."""

    def __init__(
        self,
        channels: int,
        levels: int,
        *,
        classes: int,
        class_convs: int = 4,
        box_convs: int = 4,
        norm: str = "GN",
        scale_per_level: bool = True,
        prior_prob: float = 0.01,
    ) -> None:
        """Builds the head with random weights (normal, deviation 0.01).

        Args:
            channels: of the pyramid's maps, and of all hidden ones.
            levels: number of maps.
            classes: number of object classes.
            class_convs: 3x3 convolutions of the tower for classes.
            box_convs: 3x3 convolutions of the tower for boxes and centerness.
            norm: one of `explorer.backbones.norms.NORMS`, after each of them.
            scale_per_level: whether each level has a `Scale` of its own.
            prior_prob: probability of each class at the start of training (focal loss).
        """
        super().__init__()
        self.cls_tower = _tower(channels, class_convs, norm)
        self.bbox_tower = _tower(channels, box_convs, norm)
        self.cls_logits = nn.Conv2d(channels, classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.ctrness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() if scale_per_level else nn.Identity() for _ in range(levels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - prior_prob) / prior_prob))  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> DenseOutput:
        """Looks at one map per level, `(batch, channels, h, w)`."""
        output = DenseOutput([], [], [])
        for feature, scale in zip(features, self.scales, strict=True):
            box_feature = self.bbox_tower(feature)
            output.logits.append(self.cls_logits(self.cls_tower(feature)))
            output.distances.append(F.relu(scale(self.bbox_pred(box_feature))))
            output.centerness.append(self.ctrness(box_feature))
        return output


def _tower(channels: int, convs: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(convs):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels), nn.ReLU()]
    return nn.Sequential(*layers)
