"""VoVNet-V1 and VoVNet-V2 as detectron2 backbones."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from explorer.backbones.blocks import OSABlock, conv_norm_relu, separable_conv_norm_relu
from explorer.backbones.deformable import DeformableConvNormReLU, Deformation
from explorer.backbones.norms import freeze
from explorer.backbones.specs import ESE_PLACEMENTS, STAGES, ESEPlacement, Identity, VoVNetSpec, variant

_FEATURES = ("stem", *STAGES)
_PLAIN = Deformation()


class VoVNet(Backbone):
    """VoVNet: a stem of three convolutions and four stages of OSA blocks, of strides 4, 8, 16 and 32 as released.

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
        identity: Identity | None = None,
        depthwise: bool | None = None,
        stage_out_channels: Sequence[int] = (),
        stem_strides: Sequence[int] = (),
        stage2_pool: bool | None = None,
        pool_padding: int | None = None,
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
            stage_out_channels: channels of stages 2 to 5, instead of the variant's own.
            stem_strides: of the three stem convolutions, instead of the variant's own.
            stage2_pool: whether stage 2 begins with a pooling, instead of the variant's own.
            pool_padding: 0 or 1 pixel around the maps that are pooled, instead of the variant's own.
            deformation: which stages have deformable convolutions.
            freeze_at: 0 trains all, 1 freezes the stem, 2 also stage 2, … 5 everything. Only the frozen stages'
                norms stand still.
            out_features: names among `stem`, `stage2` … `stage5`; stages after the last one are not built.
        """
        super().__init__()
        own = {
            "ese": ese,
            "identity": identity,
            "depthwise": depthwise,
            "stage_out_channels": tuple(stage_out_channels) or None,
            "stem_strides": tuple(stem_strides) or None,
            "stage2_pool": stage2_pool,
            "pool_padding": pool_padding,
        }
        spec = _override(variant(spec) if isinstance(spec, str) else spec, own)
        _check_features(out_features, freeze_at)
        self.spec = spec
        self._out_features = [name for name in _FEATURES if name in set(out_features)]
        self._out_feature_strides: dict[str, int] = dict(zip(_FEATURES, spec.strides, strict=True))
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
            "stage_out_channels": node.STAGE_OUT_CHANNELS,
            "stem_strides": node.STEM_STRIDES,
            "stage2_pool": node.STAGE2_POOL,
            "pool_padding": node.POOL_PADDING,
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


def _override(spec: VoVNetSpec, own: Mapping[str, Any]) -> VoVNetSpec:
    """Replaces what is not None in `own`."""
    spec = dataclasses.replace(spec, **{key: value for key, value in own.items() if value is not None})
    allowed: dict[str, tuple[Any, ...]] = {
        "ese": ESE_PLACEMENTS,
        "identity": (True, False, "matching"),
        "pool_padding": (0, 1),
    }
    for key, choices in allowed.items():
        value = getattr(spec, key)
        if value not in choices:
            raise ValueError(f"MODEL.VOVNET.{key.upper()} is {value!r}; choose one of {', '.join(map(str, choices))}.")
    for key, count in (("stage_out_channels", 4), ("stem_strides", 3)):
        value = getattr(spec, key)
        if len(value) != count or not all(isinstance(number, int) and number > 0 for number in value):
            raise ValueError(f"MODEL.VOVNET.{key.upper()} is {list(value)}; give {count} whole numbers from 1 up.")
    return spec


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
        conv_norm_relu("stem_1", input_channels, first, norm, stride=spec.stem_strides[0]),
        make_layer("stem_2", first, second, norm, stride=spec.stem_strides[1]),
        make_layer("stem_3", second, third, norm, stride=spec.stem_strides[2]),
    ):
        for name, layer in part.named_children():
            stem.add_module(name, layer)
    return stem


def _make_stage(spec: VoVNetSpec, index: int, norm: str, deformation: Deformation) -> nn.Sequential:
    """Stage `index + 2`: a 3x3 max pooling of stride 2 (in stage 2 if the spec says so) and its OSA blocks."""
    out_channels = spec.stage_out_channels[index]
    in_channels = spec.stage_out_channels[index - 1] if index else spec.stem_channels[-1]
    blocks = spec.blocks_per_stage[index]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if index or spec.stage2_pool:
        padding = spec.pool_padding
        layers["Pooling"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=padding, ceil_mode=not padding)
    for i in range(blocks):
        name, width = f"OSA{index + 2}_{i + 1}", out_channels if i else in_channels
        layers[name] = OSABlock(
            name,
            width,
            spec.stage_conv_channels[index],
            out_channels,
            spec.layers_per_block,
            norm=norm,
            depthwise=spec.depthwise,
            ese=spec.ese == "all" or (spec.ese == "last" and i == blocks - 1),
            identity=width == out_channels if spec.identity == "matching" else spec.identity and i > 0,
            deformation=deformation if deformation.stages[index] else None,
        )
    return nn.Sequential(layers)
