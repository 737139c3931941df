"""How much of each OSA layer the aggregation uses: weight energy of the 1×1 convolution by what it reads.

VoVNet's case against DenseNet is that dense aggregation leaves most of its connections unused, and that one-shot
aggregation spreads them. This is the figure that it argues from, for any network of OSA blocks.

Source: VoVNet (arXiv 1904.09730, Section 3.1, Figure 2), after Huang et al., DenseNet (CVPR 2017, Figure 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from explorer.backbones.blocks import OSABlock
from explorer.features.layers import eager

BLOCK_INPUT = "input"


@dataclass(frozen=True)
class LayerUsage:
    """What the aggregating 1×1 convolution of one OSA block takes from each of its inputs.

    Attributes:
        block: dotted name of the block.
        inputs: `input` (the block's own input), then `layer 1`, `layer 2`, … in the order of the concatenation.
        channels: number of channels of each.
        share: share of the convolution's squared weights that reads each, summing to 1.
    """

    block: str
    inputs: tuple[str, ...]
    channels: tuple[int, ...]
    share: tuple[float, ...]

    @property
    def per_channel(self) -> tuple[float, ...]:
        """Each share over the one that its number of channels would have if all were used alike: 1 is average."""
        total = sum(self.channels)
        return tuple(share * total / width for share, width in zip(self.share, self.channels, strict=True))


def layer_usage(model: nn.Module) -> list[LayerUsage]:
    """Measures how much the aggregation of each OSA block uses each of its inputs.

    Works for VoVNets of this package and of timm, alone or inside a detector. Only weights are read, so the result
    depends neither on a photo nor on the magnitude of activations. Random weights of equal variance give 1 for every
    input.

    Args:
        model: a backbone or a detector.

    Raises:
        ValueError: the model has no OSA block.
    """
    usages = [_usage(*parts) for parts in _aggregations(eager(model))]
    if not usages:
        raise ValueError(f"{type(eager(model)).__name__} has no OSA block: the use of layers is measured on VoVNets.")
    return usages


def _aggregations(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d, list[int]]]:
    """Yields each block's name, its aggregating convolution, and the width of each layer that it reads."""
    for name, module in model.named_modules():
        if isinstance(module, OSABlock):
            aggregation, layers = module.concat, module.layers
        elif type(module).__name__ == "OsaBlock":  # timm's, which may not be installed
            aggregation, layers = module.get_submodule("conv_concat"), module.get_submodule("conv_mid")
        else:
            continue
        plain = name.replace("_orig_mod.", "")
        yield (
            plain,
            _last_convolution(aggregation),
            [_last_convolution(layer).out_channels for layer in layers.children()],
        )


def _last_convolution(module: nn.Module) -> nn.Conv2d:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)][-1]


def _usage(block: str, aggregation: nn.Conv2d, widths: Sequence[int]) -> LayerUsage:
    channels = (aggregation.in_channels - sum(widths), *widths)
    energy = aggregation.weight.detach().double().square().sum(dim=(0, 2, 3))
    energies = torch.stack([part.sum() for part in torch.split(energy, list(channels))])
    names = (BLOCK_INPUT, *(f"layer {number}" for number in range(1, len(channels))))
    return LayerUsage(block, names, channels, tuple((energies / energies.sum()).tolist()))
