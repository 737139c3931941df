"""VoVNet-V1 and VoVNet-V2 as detectron2 backbones."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from explorer.backbones.blocks import OSABlock, conv_norm_relu, separable_conv_norm_relu
from explorer.backbones.deformable import DeformableConvNormReLU, Deformation
from explorer.backbones.norms import freeze
from explorer.backbones.specs import ESE_PLACEMENTS, STAGES, ESEPlacement, VoVNetSpec, variant

_FEATURES = ("stem", *STAGES)
_PLAIN = Deformation()


class VoVNet(Backbone):
    """VoVNet: a stem of three convolutions (stride 4) and four stages of OSA blocks (strides 4, 8, 16, 32).

    Source: VoVNet (arXiv 1904.09730) and CenterMask (arXiv 1911.06667); features equal the release's.
    """

    @configurable
    def __init__(
        self,
        spec: VoVNetSpec | str,
        *,
        input_channels: int = 3,
        norm: str = "FrozenBN",
        ese: ESEPlacement | None = None,
        identity: bool | None = None,
        depthwise: bool | None = None,
        deformation: Deformation = _PLAIN,
        freeze_at: int = 0,
        out_features: Sequence[str] = STAGES,
    ) -> None:
        """Builds the network with random weights (He normal).

        Args:
            spec: a variant, or the name of one (see `explorer.backbones.specs.VARIANTS`).
            input_channels: channels of the image.
            norm: `FrozenBN`, `BN`, `SyncBN` or `GN`.
            ese: placement of eSE, instead of the variant's own.
            identity: identity mapping, instead of the variant's own.
            depthwise: separable convolutions, instead of the variant's own.
            deformation: which stages have deformable convolutions.
            freeze_at: 0 trains all, 1 freezes the stem, 2 also stage 2, … 5 everything. Only the frozen stages'
                norms stand still.
            out_features: names among `stem`, `stage2` … `stage5`; stages after the last one are not built.
        """
        super().__init__()
        spec = _override(variant(spec) if isinstance(spec, str) else spec, ese, identity, depthwise)
        _check_features(out_features, freeze_at)
        self.spec = spec
        self._out_features = [name for name in _FEATURES if name in set(out_features)]
        self._out_feature_strides: dict[str, int] = {"stem": 4, **{name: 4 * 2**i for i, name in enumerate(STAGES)}}
        self._out_feature_channels = dict(
            zip(_FEATURES, (spec.stem_channels[-1], *spec.stage_out_channels), strict=True)
        )

        self.stem = _make_stem(spec, input_channels, norm)
        self.stage_names = STAGES[: _FEATURES.index(self._out_features[-1])]
        for index, name in enumerate(self.stage_names):
            self.add_module(name, _make_stage(spec, index, norm, deformation))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        for module in self.modules():
            if isinstance(module, DeformableConvNormReLU):
                module.move_nothing()
        for name in _FEATURES[:freeze_at]:
            if hasattr(self, name):
                freeze(getattr(self, name))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict[str, Any]:
        """Reads the arguments from `MODEL.VOVNET` and `MODEL.BACKBONE.FREEZE_AT`."""
        node = cfg.MODEL.VOVNET
        return {
            "spec": node.CONV_BODY,
            "input_channels": input_shape.channels if input_shape else len(cfg.MODEL.PIXEL_MEAN),
            "norm": node.NORM,
            "ese": node.ESE,
            "identity": node.IDENTITY,
            "depthwise": node.DEPTHWISE,
            "deformation": Deformation(tuple(node.STAGE_WITH_DCN), node.WITH_MODULATED_DCN, node.DEFORMABLE_GROUPS),
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
            "out_features": node.OUT_FEATURES,
        }

    @property
    def size_divisibility(self) -> int:
        """The largest output stride: images padded to it give maps of exactly `size / stride`."""
        return max(self._out_feature_strides[name] for name in self._out_features)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Computes the features of a `(batch, input_channels, height, width)` image.

        The image is normalised as the checkpoint wants it (released weights: BGR, 0 to 255, mean subtracted).

        Returns:
            Maps by name of `out_features`, each `(batch, channels, height / stride, width / stride)`.
        """
        outputs = {}
        x = self.stem(x)
        if "stem" in self._out_features:
            outputs["stem"] = x
        for name in self.stage_names:
            x = getattr(self, name)(x)
            if name in self._out_features:
                outputs[name] = x
        return outputs


def _override(spec: VoVNetSpec, ese: ESEPlacement | None, identity: bool | None, depthwise: bool | None) -> VoVNetSpec:
    if ese is not None and ese not in ESE_PLACEMENTS:
        raise ValueError(f"MODEL.VOVNET.ESE is {ese!r}; choose one of {', '.join(ESE_PLACEMENTS)}.")
    return dataclasses.replace(
        spec,
        ese=spec.ese if ese is None else ese,
        identity=spec.identity if identity is None else identity,
        depthwise=spec.depthwise if depthwise is None else depthwise,
    )


def _check_features(out_features: Sequence[str], freeze_at: int) -> None:
    unknown = sorted(set(out_features) - set(_FEATURES))
    if unknown or not out_features:
        raise ValueError(f"OUT_FEATURES is {list(out_features)}; name at least one of {', '.join(_FEATURES)}.")
    if not 0 <= freeze_at <= len(_FEATURES):
        raise ValueError(f"FREEZE_AT is {freeze_at}; give 0 (train all) to {len(_FEATURES)} (freeze all).")


def _make_stem(spec: VoVNetSpec, input_channels: int, norm: str) -> nn.Sequential:
    first, second, third = spec.stem_channels
    make_layer = separable_conv_norm_relu if spec.depthwise else conv_norm_relu
    stem = nn.Sequential()
    for part in (
        conv_norm_relu("stem_1", input_channels, first, norm, stride=2),
        make_layer("stem_2", first, second, norm, stride=1),
        make_layer("stem_3", second, third, norm, stride=2),
    ):
        for name, layer in part.named_children():
            stem.add_module(name, layer)
    return stem


def _make_stage(spec: VoVNetSpec, index: int, norm: str, deformation: Deformation) -> nn.Sequential:
    """Stage `index + 2`: a 3x3 max pooling of stride 2 (not in stage 2) and its OSA blocks."""
    out_channels = spec.stage_out_channels[index]
    in_channels = spec.stage_out_channels[index - 1] if index else spec.stem_channels[-1]
    blocks = spec.blocks_per_stage[index]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if index:
        layers["Pooling"] = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    for i in range(blocks):
        name = f"OSA{index + 2}_{i + 1}"
        layers[name] = OSABlock(
            name,
            out_channels if i else in_channels,
            spec.stage_conv_channels[index],
            out_channels,
            spec.layers_per_block,
            norm=norm,
            depthwise=spec.depthwise,
            ese=spec.ese == "all" or (spec.ese == "last" and i == blocks - 1),
            identity=spec.identity and i > 0,
            deformation=deformation if deformation.stages[index] else None,
        )
    return nn.Sequential(layers)
