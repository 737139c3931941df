"""One table of VoVNet variants.

Sources: VoVNet-V1, Lee et al., CVPRW 2019 (arXiv 1904.09730, Table 1); VoVNet-V2, Lee and Park, CVPR 2020
(arXiv 1911.06667, Section 3.3). The lightweight widths follow the released checkpoints' tensor shapes.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from math import prod
from typing import Literal

ESEPlacement = Literal["all", "last", "none"]
Identity = bool | Literal["matching"]
ESE_PLACEMENTS: tuple[ESEPlacement, ...] = ("all", "last", "none")
STAGES = ("stage2", "stage3", "stage4", "stage5")


@dataclass(frozen=True)
class VoVNetSpec:
    """What distinguishes one VoVNet from another.

    Attributes:
        stem_channels: output channels of the three stem convolutions.
        stage_conv_channels: channels of every 3x3 convolution inside the OSA blocks, for stage 2 to 5.
        stage_out_channels: channels after the aggregating 1x1 convolution, for stage 2 to 5.
        layers_per_block: number of 3x3 convolutions in one OSA block.
        blocks_per_stage: number of OSA blocks in stage 2 to 5.
        depthwise: 3x3 convolutions (but the first) are depthwise separable.
        ese: which OSA blocks of a stage end in effective squeeze-excitation: `"all"` (as released), `"last"`
            (timm's placement) or `"none"` (VoVNet-V1).
        identity: blocks after the first of a stage add their input to their output (V2); `"matching"`: every block
            does whose input has as many channels as its output (vision-toolbox).
        stem_strides: of the three stem convolutions.
        stage2_pool: stage 2 begins with a max pooling, as the others do; then the stem's third convolution has stride
            1 in the networks of vision-toolbox and 1e100, which are the paper's Table 1 to the letter.
        pool_padding: pixels around a map before its 3x3 max pooling. 0: windows start at the edge, and the last one
            may reach beyond (the release, timm). 1: windows are centred on every second pixel.
    """

    stem_channels: tuple[int, int, int]
    stage_conv_channels: tuple[int, int, int, int]
    stage_out_channels: tuple[int, int, int, int]
    layers_per_block: int
    blocks_per_stage: tuple[int, int, int, int]
    depthwise: bool = False
    ese: ESEPlacement = "all"
    identity: Identity = True
    stem_strides: tuple[int, int, int] = (2, 1, 2)
    stage2_pool: bool = False
    pool_padding: Literal[0, 1] = 0

    @property
    def strides(self) -> tuple[int, int, int, int, int]:
        """Strides of the stem and of stages 2 to 5 against the image."""
        stem = prod(self.stem_strides)
        stage2 = stem * 2 if self.stage2_pool else stem
        return stem, stage2, stage2 * 2, stage2 * 4, stage2 * 8


_STEM = (64, 64, 128)
_STEM_DW = (64, 64, 64)
_BASE = (128, 160, 192, 224)
_BASE_OUT = (256, 512, 768, 1024)
_SLIM = (64, 80, 96, 112)
_SLIM_OUT = (112, 256, 384, 512)
_SLIM_OUT_V1 = (128, 256, 384, 512)

VARIANTS: dict[str, VoVNetSpec] = {
    "V-19-slim-dw-eSE": VoVNetSpec(_STEM_DW, _SLIM, _SLIM_OUT, 3, (1, 1, 1, 1), depthwise=True),
    "V-19-slim-eSE": VoVNetSpec(_STEM, _SLIM, _SLIM_OUT, 3, (1, 1, 1, 1)),
    "V-19-dw-eSE": VoVNetSpec(_STEM_DW, _BASE, _BASE_OUT, 3, (1, 1, 1, 1), depthwise=True),
    "V-19-eSE": VoVNetSpec(_STEM, _BASE, _BASE_OUT, 3, (1, 1, 1, 1)),
    "V-39-eSE": VoVNetSpec(_STEM, _BASE, _BASE_OUT, 5, (1, 1, 2, 2)),
    "V-57-eSE": VoVNetSpec(_STEM, _BASE, _BASE_OUT, 5, (1, 1, 4, 3)),
    "V-99-eSE": VoVNetSpec(_STEM, _BASE, _BASE_OUT, 5, (1, 3, 9, 3)),
    "V-27-slim": VoVNetSpec(_STEM, _SLIM, _SLIM_OUT_V1, 5, (1, 1, 1, 1), ese="none", identity=False),
    "V-39": VoVNetSpec(_STEM, _BASE, _BASE_OUT, 5, (1, 1, 2, 2), ese="none", identity=False),
    "V-57": VoVNetSpec(_STEM, _BASE, _BASE_OUT, 5, (1, 1, 4, 3), ese="none", identity=False),
}
"""Every variant by the name that `MODEL.VOVNET.CONV_BODY` takes: `…-eSE` are VoVNet-V2, the others VoVNet-V1."""


def variant(name: str) -> VoVNetSpec:
    """Looks a variant up by name.

    Raises:
        ValueError: the name is not in `VARIANTS`.
    """
    try:
        return VARIANTS[name]
    except KeyError:
        near = difflib.get_close_matches(name, VARIANTS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"No VoVNet is called {name!r}. {hint}There are: {', '.join(VARIANTS)}.") from None
