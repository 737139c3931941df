"""The expensive part of a detector as one network of plain tensors: backbone, pyramid, dense heads."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from detectron2.modeling.proposal_generator import RPN
from torch import Tensor, nn

from explorer.engine.fast.networks import Network
from explorer.heads.fcos import FCOS

SAMPLE_SIZE = (128, 192)
"""`(height, width)` of the image by which a trunk is traced and checked: uneven, and four cells in the coarsest map."""


class Trunk(nn.Module):
    """Backbone, FPN and dense heads: images in, a flat tuple of maps out.

    The dense head is an RPN's, a RetinaNet's or an FCOS's, CenterMask's among them; a panoptic model's semantic head
    comes with it. Which tensor is what follows from `levels`, `outputs` and `levels_seen`.

    Attributes:
        levels: names of the feature maps, which come first.
        outputs: how many lists of maps the dense head gives, each with a map per level that it looks at.
        levels_seen: names of those levels.
        semantic: whether the last tensor is the semantic head's.
    """

    def __init__(self, model: nn.Module, *, heads: bool = True) -> None:
        """Takes copies of the parts of `model`, a detectron2 detector in evaluation mode; without dense heads if so."""
        super().__init__()
        known: Any = model
        self.backbone: Any = copy.deepcopy(known.backbone)
        self.head: nn.Module | None = None
        self.levels_seen: tuple[str, ...] = ()
        if heads and (home := dense_head(model)):
            path, levels = home
            self.head, self.levels_seen = copy.deepcopy(known.get_submodule(path)), levels
        semantic = getattr(model, "sem_seg_head", None)
        self.semantic_head = copy.deepcopy(semantic) if heads and type(semantic) is SemSegFPNHead else None
        self.semantic = self.semantic_head is not None
        self.levels = tuple(known.backbone.output_shape())
        self.outputs = 0
        self._channels, self._device = len(known.pixel_mean), known.pixel_mean.device
        self.requires_grad_(requires_grad=False).eval()
        with torch.no_grad():
            self(self.sample())

    def sample(self) -> Tensor:
        """Returns a small noise image that any trunk takes, `(1, channels, height, width)`, always the same."""
        image = torch.randn(1, self._channels, *SAMPLE_SIZE, generator=torch.Generator().manual_seed(0))
        return image.to(self._device)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps `(batch, channels, height, width)`, normalised and padded, to maps."""
        features: Mapping[str, Tensor] = self.backbone(images)
        maps = list(features.values())
        if self.head is not None:
            lists = self.head([features[name] for name in self.levels_seen])
            self.outputs = len(lists)
            maps += [one for own in lists for one in own]
        if self.semantic_head is not None:
            maps.append(self.semantic_head.layers(features))
        return tuple(maps)


def dense_head(model: nn.Module) -> tuple[str, tuple[str, ...]] | None:
    """Returns where a model has the head that looks at every cell, and at which levels it looks; None for none."""
    known: Any = model
    generator = getattr(model, "proposal_generator", None)
    for kind, name in ((RPN, "rpn_head"), (FCOS, "fcos_head")):
        if isinstance(generator, kind):
            return f"proposal_generator.{name}", tuple(known.proposal_generator.in_features)
    if isinstance(model, DenseDetector):
        return "head", tuple(known.head_in_features)
    return None


class FastBackbone(Backbone):
    """Stands where the backbone stood, and runs the whole trunk; what heads made of it travels with its maps."""

    def __init__(self, original: Backbone, network: Network, trunk: Trunk) -> None:
        super().__init__()
        self._network, self._levels, self._seen = network, trunk.levels, trunk.levels_seen
        self._lists, self._has_semantic = trunk.outputs, trunk.semantic
        self._shape: dict[str, ShapeSpec] = original.output_shape()
        self._divisibility: int = original.size_divisibility
        self._constraints: dict[str, int] = original.padding_constraints

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the feature maps by level, channels-last in memory."""
        maps = self._network(images)
        features = dict(zip(self._levels, maps, strict=False))
        at = len(self._levels)
        if self._lists:
            size = len(self._seen)
            lists = [list(maps[at + i * size : at + (i + 1) * size]) for i in range(self._lists)]
            features[self._seen[0]].dense_lists = lists
        if self._has_semantic:
            features[self._levels[0]].semantic = maps[-1]
        return features

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self._shape

    @property
    def size_divisibility(self) -> int:
        return self._divisibility

    @property
    def padding_constraints(self) -> dict[str, int]:
        return self._constraints


class RecallDense(nn.Module):
    """Stands where the dense head stood, and says what it said: the trunk has run it already."""

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        return tuple(features[0].dense_lists)  # type: ignore[attr-defined]


class RecallSemantic(nn.Module):
    """Stands where the semantic head stood; the trunk has run it up to the resizing to the image."""

    def __init__(self, original: SemSegFPNHead, level: str) -> None:
        super().__init__()
        self._stride, self._level = original.common_stride, level

    def forward(self, features: Mapping[str, Tensor], targets: None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns logits of the semantic classes at the input's resolution, and no losses."""
        assert targets is None
        logits: Tensor = features[self._level].semantic  # type: ignore[attr-defined]
        return F.interpolate(logits, scale_factor=self._stride, mode="bilinear", align_corners=False), {}
