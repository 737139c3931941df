"""MobileNetV2 as a detectron2 backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch import Tensor, nn

from explorer.backbones.norms import freeze, make_norm

# Expansion, channels, repeats, stride: MobileNetV2, Table 2, without the classifier's last 1x1 convolution.
_ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST_INDEX = {"res2": 3, "res3": 6, "res4": 13, "res5": 17}
_CHANNELS = {"res2": 24, "res3": 32, "res4": 96, "res5": 320}
_STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}


class InvertedResidual(nn.Module):
    """A 1x1 expansion, a depthwise 3x3 and a linear 1x1 convolution, added to the input where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int, norm: str) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += _conv_norm_relu6(in_channels, hidden, norm, kernel_size=1)
        layers += _conv_norm_relu6(hidden, hidden, norm, stride=stride, groups=hidden)
        layers += [nn.Conv2d(hidden, out_channels, 1, bias=False), make_norm(norm, out_channels)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, in_channels, h, w)` to `(batch, out_channels, h / stride, w / stride)`."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(Backbone):
    """MobileNetV2 of width 1.0 with features after strides 4, 8, 16 and 32 (`res2` to `res5`).

    Source: Sandler et al., CVPR 2018 (arXiv 1801.04381); tensor names and features equal the release's.
    """

    @configurable
    def __init__(
        self,
        *,
        input_channels: int = 3,
        norm: str = "FrozenBN",
        freeze_at: int = 0,
        out_features: Sequence[str] = tuple(_LAST_INDEX),
    ) -> None:
        """Builds the network with random weights (He normal, fan out).

        Args:
            input_channels: channels of the image.
            norm: `FrozenBN`, `BN`, `SyncBN` or `GN`.
            freeze_at: 0 trains all, 1 freezes the layers before `res2`'s, 2 also those of `res2`, … 5 everything.
            out_features: names among `res2` … `res5`; layers after the last one are not built.
        """
        super().__init__()
        unknown = sorted(set(out_features) - set(_LAST_INDEX))
        if unknown or not out_features:
            raise ValueError(f"OUT_FEATURES is {list(out_features)}; name at least one of {', '.join(_LAST_INDEX)}.")
        if not 0 <= freeze_at <= 5:
            raise ValueError(f"FREEZE_AT is {freeze_at}; give 0 (train all) to 5 (freeze all).")
        self._out_features = [name for name in _LAST_INDEX if name in set(out_features)]
        self._out_feature_channels, self._out_feature_strides = _CHANNELS, _STRIDES

        channels = 32
        layers: list[nn.Module] = [nn.Sequential(*_conv_norm_relu6(input_channels, channels, norm, stride=2))]
        for expansion, out_channels, repeats, stride in _ROWS:
            for i in range(repeats):
                block = InvertedResidual(
                    channels, out_channels, stride=1 if i else stride, expansion=expansion, norm=norm
                )
                layers.append(block)
                channels = out_channels
        self.features = nn.Sequential(*layers[: _LAST_INDEX[self._out_features[-1]] + 1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        frozen_layers = (0, 2, *(last + 1 for last in _LAST_INDEX.values()))[freeze_at]
        freeze(self.features[:frozen_layers])

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec | None = None) -> dict[str, Any]:
        """Reads the arguments from `MODEL.MOBILENET` and `MODEL.BACKBONE.FREEZE_AT`."""
        return {
            "input_channels": input_shape.channels if input_shape else len(cfg.MODEL.PIXEL_MEAN),
            "norm": cfg.MODEL.MOBILENET.NORM,
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
            "out_features": cfg.MODEL.MOBILENET.OUT_FEATURES,
        }

    @property
    def size_divisibility(self) -> int:
        """The largest output stride: images padded to it give maps of exactly `size / stride`."""
        return max(_STRIDES[name] for name in self._out_features)

    @property
    def stages(self) -> dict[str, tuple[nn.Module, ...]]:
        """The blocks that lead to each map, by its name: those behind the last map and up to this one."""
        ends = [0, *(last + 1 for last in _LAST_INDEX.values() if last < len(self.features))]
        spans = zip(_LAST_INDEX, ends, ends[1:], strict=False)
        return {name: tuple(self.features[start:end]) for name, start, end in spans}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Computes the features of a `(batch, input_channels, height, width)` image, by name of `out_features`."""
        outputs = {}
        names = {_LAST_INDEX[name]: name for name in self._out_features}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in names:
                outputs[names[index]] = x
        return outputs


def _conv_norm_relu6(
    in_channels: int, out_channels: int, norm: str, *, kernel_size: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
    )
    return [conv, make_norm(norm, out_channels), nn.ReLU6(inplace=True)]
