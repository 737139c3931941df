"""Builders that detectron2 finds by name in `MODEL.BACKBONE.NAME`; importing this module registers them."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone, build_resnet_backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7

from explorer.backbones.mobilenet import MobileNetV2
from explorer.backbones.timm_backbone import TimmBackbone
from explorer.backbones.vovnet import VoVNet


def with_fpn(cfg: CfgNode, bottom_up: Backbone) -> FPN:
    """Puts a feature pyramid with `p6` by max pooling on `bottom_up` (Faster and Mask R-CNN, Panoptic FPN)."""
    return _fpn(cfg, bottom_up, LastLevelMaxPool())


def with_fpn_p6p7(cfg: CfgNode, bottom_up: Backbone, start: str = "") -> FPN:
    """Puts a feature pyramid with `p6` and `p7` by strided convolution on `bottom_up` (RetinaNet, FCOS).

    They start from `MODEL.FPN.TOP_BLOCK_IN_FEATURE`; where that is empty, from `start`, which is `p5` for FCOS; where
    that is, too, from the last feature of the bottom-up network, as in RetinaNet.
    """
    channels = cfg.MODEL.FPN.OUT_CHANNELS
    start = cfg.MODEL.FPN.TOP_BLOCK_IN_FEATURE or start or cfg.MODEL.FPN.IN_FEATURES[-1]
    shapes = bottom_up.output_shape()
    in_channels = shapes[start].channels if start in shapes else channels
    return _fpn(cfg, bottom_up, LastLevelP6P7(in_channels, channels, start))


def _fpn(cfg: CfgNode, bottom_up: Backbone, top_block: LastLevelMaxPool | LastLevelP6P7) -> FPN:
    node = cfg.MODEL.FPN
    missing = [name for name in node.IN_FEATURES if name not in bottom_up.output_shape()]
    if missing:
        raise ValueError(
            f"MODEL.FPN.IN_FEATURES names {', '.join(missing)}, which {type(bottom_up).__name__} does not "
            f"provide. It provides {', '.join(bottom_up.output_shape())}: set IN_FEATURES and the backbone's "
            "OUT_FEATURES alike."
        )
    return FPN(bottom_up, node.IN_FEATURES, node.OUT_CHANNELS, node.NORM, top_block, node.FUSE_TYPE)


@BACKBONE_REGISTRY.register()
def build_vovnet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """VoVNet alone."""
    return VoVNet(cfg, input_shape)


@BACKBONE_REGISTRY.register()
def build_vovnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """VoVNet with FPN, `p2` to `p6`."""
    return with_fpn(cfg, VoVNet(cfg, input_shape))


@BACKBONE_REGISTRY.register()
def build_vovnet_fpn_p6p7_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """VoVNet with FPN and `p6`, `p7` for RetinaNet and FCOS."""
    return with_fpn_p6p7(cfg, VoVNet(cfg, input_shape))


@BACKBONE_REGISTRY.register()
def build_fcos_vovnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """VoVNet with FPN and `p6`, `p7` from `p5`, as CenterMask has it."""
    return with_fpn_p6p7(cfg, VoVNet(cfg, input_shape), "p5")


@BACKBONE_REGISTRY.register()
def build_fcos_mobilenetv2_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """MobileNetV2 with FPN and `p6`, `p7` from `p5`, as CenterMask has it."""
    return with_fpn_p6p7(cfg, MobileNetV2(cfg, input_shape), "p5")


@BACKBONE_REGISTRY.register()
def build_fcos_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """ResNet with FPN and `p6`, `p7` from `p5`, as CenterMask has it."""
    return with_fpn_p6p7(cfg, build_resnet_backbone(cfg, input_shape), "p5")


@BACKBONE_REGISTRY.register()
def build_mobilenetv2_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """MobileNetV2 alone."""
    return MobileNetV2(cfg, input_shape)


@BACKBONE_REGISTRY.register()
def build_mobilenetv2_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """MobileNetV2 with FPN, `p2` to `p6`."""
    return with_fpn(cfg, MobileNetV2(cfg, input_shape))


@BACKBONE_REGISTRY.register()
def build_timm_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """A timm model alone."""
    return TimmBackbone(cfg, input_shape)


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """A timm model with FPN, `p2` to `p6`."""
    return with_fpn(cfg, TimmBackbone(cfg, input_shape))


@BACKBONE_REGISTRY.register()
def build_timm_fpn_p6p7_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """A timm model with FPN and `p6`, `p7` for RetinaNet and FCOS."""
    return with_fpn_p6p7(cfg, TimmBackbone(cfg, input_shape))
