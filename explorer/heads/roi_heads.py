"""What CenterMask does with the boxes that FCOS finds: a mask for each, and how good that mask is.

Source: CenterMask (arXiv 1911.06667, Section 3 and Figure 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY, ROIHeads
from detectron2.modeling.roi_heads import build_mask_head, select_foreground_proposals
from detectron2.modeling.roi_heads.mask_head import BaseMaskRCNNHead
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from explorer.heads.mask_head import mask_targets
from explorer.heads.maskiou_head import ROI_MASKIOU_HEAD_REGISTRY, maskiou_loss, maskiou_targets
from explorer.heads.pooling import ScaleAdaptivePooler


@ROI_HEADS_REGISTRY.register()
class CenterROIHeads(ROIHeads):
    """Gives each detection of FCOS a mask, and the mask a score: the box's times the IoU that is predicted for it.

    Boxes keep their score, and none is dropped for its mask's.
    """

    @configurable
    def __init__(
        self,
        *,
        mask_in_features: Sequence[str],
        mask_pooler: ScaleAdaptivePooler,
        mask_head: BaseMaskRCNNHead,
        maskiou_head: nn.Module | None = None,
        maskiou_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Puts the heads to use.

        Args:
            mask_in_features: names of the maps that boxes are pooled from, finest first.
            mask_pooler: pools them.
            mask_head: as detectron2's.
            maskiou_head: predicts IoUs; None for masks that are scored like their boxes.
            maskiou_weight: multiplier of its loss.
            **kwargs: how proposals are sampled in training; see detectron2's `ROIHeads`.
        """
        super().__init__(**kwargs)
        self.mask_in_features = tuple(mask_in_features)
        self.mask_pooler, self.mask_head = mask_pooler, mask_head
        self.maskiou_head, self.maskiou_weight = maskiou_head, maskiou_weight

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Reads the arguments from `MODEL.ROI_HEADS`, `MODEL.ROI_MASK_HEAD` and `MODEL.ROI_MASKIOU_HEAD`.

        Raises:
            ValueError: the masks are for another number of classes than FCOS finds, or there are none.
        """
        model, node = cfg.MODEL, cfg.MODEL.ROI_MASK_HEAD
        if not model.MASK_ON:
            raise ValueError("CenterROIHeads gives masks, and MODEL.MASK_ON is False: set it True.")
        if model.PROPOSAL_GENERATOR.NAME == "FCOS" and model.FCOS.NUM_CLASSES != model.ROI_HEADS.NUM_CLASSES:
            raise ValueError(
                f"MODEL.FCOS.NUM_CLASSES is {model.FCOS.NUM_CLASSES} and MODEL.ROI_HEADS.NUM_CLASSES "
                f"{model.ROI_HEADS.NUM_CLASSES}: boxes and masks are of the same classes, so set both alike."
            )
        names, side = model.ROI_HEADS.IN_FEATURES, node.POOLER_RESOLUTION
        pooler = ScaleAdaptivePooler(
            output_size=side,
            scales=[1 / input_shape[name].stride for name in names],
            sampling_ratio=node.POOLER_SAMPLING_RATIO,
            pooler_type=node.POOLER_TYPE,
            criterion=node.ASSIGN_CRITERION,
        )
        shape = ShapeSpec(channels=input_shape[names[0]].channels, height=side, width=side)
        maskiou_head = None
        if model.MASKIOU_ON:
            maskiou_head = ROI_MASKIOU_HEAD_REGISTRY.get(model.ROI_MASKIOU_HEAD.NAME)(cfg, shape)
        sampling: dict[str, Any] = super().from_config(cfg)
        return sampling | {
            "mask_in_features": names,
            "mask_pooler": pooler,
            "mask_head": build_mask_head(cfg, shape),
            "maskiou_head": maskiou_head,
            "maskiou_weight": model.MASKIOU_LOSS_WEIGHT,
        }

    def forward(
        self,
        images: ImageList,
        features: Mapping[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], Mapping[str, Tensor]]:
        """Learns from sampled proposals, or gives detections their masks; see detectron2's `ROIHeads.forward`."""
        del images
        if not self.training:
            return self.forward_with_given_boxes(features, proposals), {}
        assert targets is not None
        sampled = self.label_and_sample_proposals(proposals, targets)
        foreground, _ = select_foreground_proposals(sampled, self.num_classes)
        return sampled, self._losses(features, foreground)

    def forward_with_given_boxes(self, features: Mapping[str, Tensor], instances: list[Instances]) -> list[Instances]:
        """Gives detections their masks.

        Args:
            features: the pyramid by name.
            instances: by image, with `pred_boxes`, `pred_classes` and `scores`.

        Returns:
            The same with `pred_masks`, `(n, 1, 2s, 2s)` probabilities within the boxes, and `mask_scores` `(n,)`.
        """
        pooled = self._pool(features, instances, "pred_boxes")
        instances = self.mask_head(pooled, instances)
        if self.maskiou_head is not None:
            classes = torch.cat([one.pred_classes for one in instances])
            found = self.maskiou_head(pooled, torch.cat([one.pred_masks for one in instances]))
            own = found[torch.arange(len(classes), device=classes.device), classes].float()
            for one, iou in zip(instances, own.split([len(one) for one in instances]), strict=True):
                one.mask_scores = one.scores * iou
        return instances

    def _losses(self, features: Mapping[str, Tensor], foreground: list[Instances]) -> dict[str, Tensor]:
        pooled = self._pool(features, foreground, "proposal_boxes")
        logits = self.mask_head.layers(pooled)
        classes = torch.cat([one.gt_classes for one in foreground])
        wanted = mask_targets(foreground, logits.shape[-1])
        own = logits[torch.arange(len(classes), device=classes.device), 0 if logits.shape[1] == 1 else classes].float()
        if not len(classes):  # a mean over no masks would be NaN
            losses = {"loss_mask": logits.sum() * 0}
        else:
            loss = F.binary_cross_entropy_with_logits(own, wanted.float())
            losses = {"loss_mask": loss * self.mask_head.loss_weight}
        if self.maskiou_head is not None:
            found = self.maskiou_head(pooled, own.sigmoid()[:, None])
            goal = maskiou_targets(own, wanted, foreground)
            losses["loss_maskiou"] = maskiou_loss(found, goal, classes) * self.maskiou_weight
        return losses

    def _pool(self, features: Mapping[str, Tensor], instances: list[Instances], boxes: str) -> Tensor:
        maps = [features[name] for name in self.mask_in_features]
        pooled: Tensor = self.mask_pooler(
            maps, [one.get(boxes) for one in instances], [one.image_size for one in instances]
        )
        return pooled
