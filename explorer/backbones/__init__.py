"""VoVNet, MobileNetV2 and timm models as detectron2 backbones; importing this package registers their builders."""

from explorer.backbones.alone import BackboneOnly
from explorer.backbones.build import with_fpn, with_fpn_p6p7
from explorer.backbones.mobilenet import MobileNetV2
from explorer.backbones.specs import VARIANTS, VoVNetSpec, variant
from explorer.backbones.timm_backbone import TimmBackbone, pixel_statistics
from explorer.backbones.vovnet import VoVNet

__all__ = [
    "VARIANTS",
    "BackboneOnly",
    "MobileNetV2",
    "TimmBackbone",
    "VoVNet",
    "VoVNetSpec",
    "pixel_statistics",
    "variant",
    "with_fpn",
    "with_fpn_p6p7",
]
