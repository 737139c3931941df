"""The parts of VoVNet: convolutions with the release's tensor names, eSE, and one-shot aggregation.

Sources: OSA from VoVNet (arXiv 1904.09730, Section 3.2); identity mapping and effective squeeze-excitation from
CenterMask (arXiv 1911.06667, Section 3.3). Tensor names are those of the released checkpoints, slashes included, so
that they load unmapped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.backbones.deformable import DeformableConvNormReLU, Deformation
from explorer.backbones.norms import make_norm


def conv_norm_relu(
    name: str, in_channels: int, out_channels: int, norm: str, *, kernel_size: int = 3, stride: int = 1
) -> nn.Sequential:
    """A convolution without bias, its norm, and ReLU, as `<name>/conv`, `<name>/norm`, `<name>/relu`."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
    layers = {"conv": conv, "norm": make_norm(norm, out_channels), "relu": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict((f"{name}/{key}", layer) for key, layer in layers.items()))


def separable_conv_norm_relu(
    name: str, in_channels: int, out_channels: int, norm: str, *, stride: int = 1
) -> nn.Sequential:
    """A depthwise 3x3 and a pointwise 1x1 convolution with one norm and ReLU after both."""
    layers = {
        "dw_conv3x3": nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        "pw_conv1x1": nn.Conv2d(in_channels, out_channels, 1, bias=False),
        "pw_norm": make_norm(norm, out_channels),
        "pw_relu": nn.ReLU(inplace=True),
    }
    return nn.Sequential(OrderedDict((f"{name}/{key}", layer) for key, layer in layers.items()))


class ESE(nn.Module):
    """Effective squeeze-excitation: one fully connected layer over the pooled map gates its channels.

    Unlike SE it keeps the number of channels, and so loses no information between two layers. The gate is a hard
    sigmoid, `relu6(x + 3) / 6`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Gates a `(batch, channels, height, width)` map, shape kept."""
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class OSABlock(nn.Module):
    """One-shot aggregation: a chain of 3x3 convolutions, all of whose outputs are concatenated once, at the end.

    The concatenation holds the block's input too; a 1x1 convolution (`concat`) brings it to `out_channels`.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        conv_channels: int,
        out_channels: int,
        layers: int,
        *,
        norm: str,
        depthwise: bool = False,
        ese: bool = True,
        identity: bool = False,
        deformation: Deformation | None = None,
    ) -> None:
        """Builds the block.

        Args:
            name: prefix of the tensor names, `OSA<stage>_<block>`.
            in_channels: channels of the input.
            conv_channels: channels of each 3x3 convolution.
            out_channels: channels of the output.
            layers: number of 3x3 convolutions.
            norm: one of `explorer.backbones.norms.NORMS`.
            depthwise: separable 3x3 convolutions; they keep their width, so a 1x1 reduction goes ahead where the
                input is of another width.
            ese: whether effective squeeze-excitation follows the 1x1 convolution.
            identity: whether the input is added to the output; needs `in_channels == out_channels`.
            deformation: makes the 3x3 convolutions deformable; None leaves them plain.
        """
        super().__init__()
        if identity and in_channels != out_channels:
            raise ValueError(
                f"{name}: identity mapping needs as many input as output channels, got {in_channels} and "
                f"{out_channels}. Leave it off for the first block of a stage."
            )
        self.identity = identity
        self.conv_reduction: nn.Module | None = None
        width = in_channels
        if depthwise and in_channels != conv_channels:
            self.conv_reduction = conv_norm_relu(f"{name}_reduction_0", in_channels, conv_channels, norm, kernel_size=1)
            width = conv_channels
        make_layer: Callable[[str, int, int, str], nn.Module]
        make_layer = separable_conv_norm_relu if depthwise else conv_norm_relu
        if deformation is not None:
            if depthwise:
                raise ValueError(f"{name}: separable convolutions cannot be deformable. Leave one of the two off.")
            make_layer = partial(DeformableConvNormReLU, deformation=deformation)
        self.layers = nn.ModuleList(
            make_layer(f"{name}_{i}", conv_channels if i else width, conv_channels, norm) for i in range(layers)
        )
        aggregated = in_channels + layers * conv_channels
        self.concat = conv_norm_relu(f"{name}_concat", aggregated, out_channels, norm, kernel_size=1)
        self.ese: nn.Module | None = ESE(out_channels) if ese else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, in_channels, h, w)` to `(batch, out_channels, h, w)`."""
        features = [x]
        hidden = x if self.conv_reduction is None else self.conv_reduction(x)
        for layer in self.layers:
            hidden = layer(hidden)
            features.append(hidden)
        out: Tensor = self.concat(torch.cat(features, dim=1))
        if self.ese is not None:
            out = self.ese(out)
        return out + x if self.identity else out
