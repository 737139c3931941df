"""Which VoVNet tensors are of, by their names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from explorer.backbones.deformable import Deformation
from explorer.backbones.specs import STAGES, VARIANTS, VoVNetSpec
from explorer.backbones.vovnet import VoVNet
from explorer.zoo.checkpoints.vovnet_names import NamingTitle, blocks

Shapes = Mapping[str, tuple[int, ...]]

# What tensors do not say, and a maker's networks have: the paper's pooling in stage 2, and where identity is added.
_MAKERS: dict[NamingTitle, dict[str, Any]] = {
    "vision-toolbox": {
        "stem_strides": (2, 1, 1),
        "stage2_pool": True,
        "pool_padding": 1,
        "identity": "matching",
    },
    "1e100": {"stem_strides": (2, 1, 1), "stage2_pool": True, "pool_padding": 1, "identity": True},
}
_BATCHES = "num_batches_tracked"
_OFFSET = re.compile(r"stage([2-5])\.OSA\d_1\.layers\.0\.\w+/conv_offset\.weight")


@dataclass(frozen=True)
class Fit:
    """The network that tensors are of.

    Attributes:
        variant: its name in `VARIANTS`.
        ese: which blocks of a stage have eSE: `all`, `last` or `none`.
        deformable_stages: of stages 2 to 5, those with deformable convolutions.
        overrides: `KEY VALUE` pairs by which it differs from the variant.
        matched: the tensors that are its own, with its shapes.
        missing: its tensors that are not there or have another shape; batch counters are not missed.
    """

    variant: str
    ese: str
    deformable_stages: tuple[int, ...]
    overrides: tuple[str, ...]
    matched: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def generation(self) -> str:
        """`V1` or `V2 (eSE)`."""
        return "V1" if self.ese == "none" else "V2 (eSE)"


def fit(shapes: Shapes, naming: NamingTitle = "release") -> Fit | None:
    """Finds the VoVNet that tensors are of.

    Args:
        shapes: by the release's names.
        naming: whose names the tensors had, which says what their shapes do not.

    Returns:
        None where they are of no known variant.
    """
    try:
        seen = _seen(shapes)
    except (KeyError, IndexError):  # a tensor that every VoVNet has is not there, or is no convolution's
        return None
    same = {name: spec for name, spec in VARIANTS.items() if _geometry(spec, len(seen.blocks)) == seen.geometry}
    best = sorted(same, key=lambda name: ((same[name].ese == "none") != (seen.ese == "none"), name))
    if not best:
        return None
    spec = same[best[0]]
    own = _differences(spec, seen) | _MAKERS.get(naming, {})
    own = {key: value for key, value in own.items() if getattr(spec, key) != value}
    stages = STAGES[: len(seen.blocks)]
    options = {"norm": seen.norm, "deformation": seen.deformation, "out_features": list(stages)}
    try:
        with torch.device("meta"):
            net = VoVNet(best[0], **own, **options).state_dict()
    except ValueError:  # no network has such channels
        return None
    wanted = {name: tuple(tensor.shape) for name, tensor in net.items()}
    matched = tuple(name for name, shape in shapes.items() if wanted.get(name) == shape)
    missing = tuple(name for name in wanted if wanted[name] != shapes.get(name) and not name.endswith(_BATCHES))
    overrides = [word for key, value in own.items() for word in (f"MODEL.VOVNET.{key.upper()}", _word(value))]
    if len(stages) < len(STAGES):
        overrides += ["MODEL.VOVNET.OUT_FEATURES", str(list(stages))]
    overrides += _deformable_words(seen.deformation)
    numbers = tuple(index + 2 for index, has in enumerate(seen.deformation.stages) if has)
    return Fit(best[0], seen.ese, numbers, tuple(overrides), matched, missing)


@dataclass(frozen=True)
class _SeenVoVNet:
    """What shapes say of a network, stage by stage as far as it goes."""

    geometry: tuple[Any, ...]
    blocks: tuple[int, ...]
    out_channels: tuple[int, ...]
    ese: str
    norm: str
    deformation: Deformation


def _geometry(spec: VoVNetSpec, stages: int) -> tuple[Any, ...]:
    return (
        spec.stem_channels,
        spec.stage_conv_channels[:stages],
        spec.layers_per_block,
        spec.blocks_per_stage[:stages],
        spec.depthwise,
    )


def _seen(shapes: Shapes) -> _SeenVoVNet:
    depthwise = "stem.stem_2/dw_conv3x3.weight" in shapes
    part = "pw_conv1x1" if depthwise else "conv"
    stem = tuple(shapes[f"stem.stem_{i}/{part if i > 1 else 'conv'}.weight"][0] for i in (1, 2, 3))
    found = list(blocks(shapes))
    counts = tuple(sum(stage == number for stage, _ in found) for number in range(2, 6))
    counts = counts[: next((i for i, count in enumerate(counts) if not count), len(counts))]
    firsts = [f"stage{i}.OSA{i}_1" for i in range(2, 2 + len(counts))]
    inner = tuple(shapes[f"{first}.layers.0.{first.split('.')[1]}_0/{part}.weight"][0] for first in firsts)
    out = tuple(shapes[f"{first}.concat.{first.split('.')[1]}_concat/conv.weight"][0] for first in firsts)
    layers = len({name.split(".")[3] for name in shapes if name.startswith(f"{firsts[0]}.layers.")})
    norm = "BN" if "stem.stem_1/norm.running_var" in shapes else "GN"
    geometry = (stem, inner, layers, counts, depthwise)
    return _SeenVoVNet(geometry, counts, out, _ese(shapes, counts), norm, _deformation(shapes))


def _ese(shapes: Shapes, counts: tuple[int, ...]) -> str:
    places = [(i + 2, number, count) for i, count in enumerate(counts) for number in range(1, count + 1)]
    gated = {(i, n): f"stage{i}.OSA{i}_{n}.ese.fc.weight" in shapes for i, n, _ in places}
    if not any(gated.values()):
        return "none"
    return "all" if all(gated.values()) else "last"


def _deformation(shapes: Shapes) -> Deformation:
    offsets = {int(match[1]): shapes[name] for name in shapes if (match := _OFFSET.fullmatch(name))}
    if not offsets:
        return Deformation()
    channels = next(iter(offsets.values()))[0]
    modulated = channels % 27 == 0  # 2 * 9 offsets and 9 weights for each group, or 2 * 9 offsets alone
    return Deformation(
        tuple(i in offsets for i in range(2, 6)), modulated, max(1, channels // (27 if modulated else 18))
    )


def _deformable_words(deformation: Deformation) -> list[str]:
    if not any(deformation.stages):
        return []
    return [
        "MODEL.VOVNET.STAGE_WITH_DCN",
        str(list(deformation.stages)),
        "MODEL.VOVNET.WITH_MODULATED_DCN",
        str(deformation.modulated),
        "MODEL.VOVNET.DEFORMABLE_GROUPS",
        str(deformation.groups),
    ]


def _differences(spec: VoVNetSpec, seen: _SeenVoVNet) -> dict[str, Any]:
    own: dict[str, Any] = {"ese": seen.ese}
    if seen.out_channels != spec.stage_out_channels[: len(seen.out_channels)]:
        own["stage_out_channels"] = (*seen.out_channels, *spec.stage_out_channels[len(seen.out_channels) :])
    return own


def _word(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
