"""Deformable convolution in place of VoVNet's 3x3 convolutions, with the release's tensor names.

Source: Deformable ConvNets v2 (arXiv 1811.11168, Section 3.2), run by torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from explorer.backbones.norms import make_norm


@dataclass(frozen=True)
class Deformation:
    """Which stages of a VoVNet have deformable 3x3 convolutions, and of what kind.

    Attributes:
        stages: for stage 2 to 5, whether it has.
        modulated: whether samples are weighted as well as moved, as in version 2.
        groups: of input channels, each with offsets of its own.
    """

    stages: tuple[bool, ...] = (False, False, False, False)
    modulated: bool = True
    groups: int = 1

    def __post_init__(self) -> None:
        if len(self.stages) != 4:
            raise ValueError(
                f"MODEL.VOVNET.STAGE_WITH_DCN is {list(self.stages)}; give True or False for each of stages 2 to 5."
            )


class DeformableConvNormReLU(nn.Module):
    """A 3x3 convolution that samples where another convolution says, its norm, and ReLU."""

    def __init__(self, name: str, in_channels: int, out_channels: int, norm: str, deformation: Deformation) -> None:
        super().__init__()
        self._name, self._modulated = name, deformation.modulated
        self._offsets, samples = 2 * 9 * deformation.groups, 9 * deformation.groups
        layers = {
            "conv_offset": nn.Conv2d(
                in_channels, self._offsets + (samples if deformation.modulated else 0), 3, padding=1
            ),
            "conv": DeformConv2d(in_channels, out_channels, 3, padding=1, bias=False),
            "norm": make_norm(norm, out_channels),
            "relu": nn.ReLU(inplace=True),
        }
        for key, layer in layers.items():
            self.add_module(f"{name}/{key}", layer)
        nn.init.kaiming_normal_(layers["conv"].weight)
        self.move_nothing()

    def move_nothing(self) -> None:
        """Makes it a plain convolution, to start training from; where `modulated`, each sample then counts half."""
        for parameter in self._layer("conv_offset").parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, in_channels, h, w)` to `(batch, out_channels, h, w)`."""
        said = self._layer("conv_offset")(x)
        mask = said[:, self._offsets :].sigmoid() if self._modulated else None
        x = self._layer("conv")(x, said[:, : self._offsets], mask)
        out: Tensor = self._layer("relu")(self._layer("norm")(x))
        return out

    def _layer(self, key: str) -> nn.Module:
        return self.get_submodule(f"{self._name}/{key}")
