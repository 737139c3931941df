"""A backbone without a detector, where detectron2 expects a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from detectron2.structures import ImageList
from torch import Tensor, nn


@META_ARCH_REGISTRY.register()
class BackboneOnly(nn.Module):
    """Prepares images as detectron2's detectors do, and gives the backbone's maps of them; it finds no objects."""

    pixel_mean: Tensor
    pixel_std: Tensor

    @configurable
    def __init__(self, *, backbone: Backbone, pixel_mean: Sequence[float], pixel_std: Sequence[float]) -> None:
        """Takes a backbone and how images are normalised for it.

        Args:
            backbone: any.
            pixel_mean: per channel, in 0 to 255, in the channel order of the input.
            pixel_std: per channel.
        """
        super().__init__()
        self.backbone = backbone
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Reads the arguments from `MODEL.BACKBONE`, `MODEL.PIXEL_MEAN` and `MODEL.PIXEL_STD`."""
        model = cfg.MODEL
        return {"backbone": build_backbone(cfg), "pixel_mean": model.PIXEL_MEAN, "pixel_std": model.PIXEL_STD}

    def preprocess_image(self, batched_inputs: Sequence[Mapping[str, Any]]) -> ImageList:
        """Normalises, pads and batches detectron2's inputs: `image` is `(channels, height, width)` in 0 to 255."""
        device = self.pixel_mean.device
        images = [(one["image"].to(device) - self.pixel_mean) / self.pixel_std for one in batched_inputs]
        return ImageList.from_tensors(
            images, self.backbone.size_divisibility, padding_constraints=self.backbone.padding_constraints
        )

    def forward(self, batched_inputs: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Returns the maps of detectron2's inputs by name, each `(batch, channels, height, width)`."""
        maps: dict[str, Tensor] = self.backbone(self.preprocess_image(batched_inputs).tensor)
        return maps
