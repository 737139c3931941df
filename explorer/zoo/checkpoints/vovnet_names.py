"""VoVNets in files, under whatever prefix and in whichever maker's names, told in the release's names and back.

A maker's names are known by one tensor that each of its networks has; what stands before that tensor's name is the
prefix, whatever it is.

Sources: timm (`timm.models.vovnet`), vision-toolbox (github.com/gau-nernst/vision-toolbox) and 1e100
(github.com/1e100/vovnet_v2), their tensors' names alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

NamingTitle = Literal["release", "timm", "vision-toolbox", "1e100"]
Tensors = Mapping[str, Tensor]
MOST_NETWORKS = 16
"""So many networks are looked for in one file: a teacher's, a student's, their averages."""


@dataclass(frozen=True)
class VoVNetSighting:
    """A VoVNet seen in a file.

    Attributes:
        naming: whose names its tensors have.
        prefix: what stands before all of them.
        names: the release's name of each tensor -> its name in the file, prefix included.
    """

    naming: NamingTitle
    prefix: str
    names: Mapping[str, str]

    def tensors(self, stored: Tensors) -> dict[str, Tensor]:
        """Returns the network's tensors alone, by the release's names."""
        return {name: stored[theirs] for name, theirs in self.names.items()}


def sightings(stored: Tensors) -> list[VoVNetSighting]:
    """Finds every VoVNet among a file's tensors, the one with most tensors first."""
    found = [
        VoVNetSighting(title, prefix, names)
        for title, naming in _NAMINGS.items()
        for prefix in _prefixes(stored, naming.everywhere)
        if (names := _names(stored, prefix, naming.rename))
    ]
    return sorted(found, key=lambda sighting: -len(sighting.names))


def in_timms_names(name: str) -> str | None:
    """Tells a tensor's name of the release in timm's, `stem.stem_2/norm.bias` -> `stem.1.bn.bias`, or returns None."""
    if match := _STEM_OF_RELEASE.fullmatch(name):
        part = _TIMM_PARTS.get(match["part"])
        return part and f"stem.{int(match['stem']) - 1}.{part}.{match['leaf']}"
    if not (match := _BLOCK_OF_RELEASE.fullmatch(name)):
        return None
    block = f"stages.{int(match['stage']) - 2}.blocks.{int(match['block']) - 1}"
    rest = match["rest"]
    if gate := re.fullmatch(r"ese\.fc\.(\w+)", rest):
        return f"{block}.attn.fc.{gate[1]}"
    inner = re.fullmatch(r"(?:layers\.(\d+)|(concat|conv_reduction))\.\w+/(\w+)\.(\w+)", rest)
    if not inner or inner[3] not in _TIMM_PARTS:
        return None
    place = f"conv_mid.{inner[1]}" if inner[1] else f"conv_{(inner[2] or '').removeprefix('conv_')}"
    return f"{block}.{place}.{_TIMM_PARTS[inner[3]]}.{inner[4]}"


_STEM_OF_RELEASE = re.compile(r"stem\.stem_(?P<stem>[123])/(?P<part>\w+)\.(?P<leaf>\w+)")
_BLOCK_OF_RELEASE = re.compile(r"stage(?P<stage>[2-5])\.OSA(?P=stage)_(?P<block>\d{1,3})\.(?P<rest>.+)")
_TIMM_PARTS = {"conv": "conv", "norm": "bn", "dw_conv3x3": "conv_dw", "pw_conv1x1": "conv_pw", "pw_norm": "bn"}

# another's parts of a layer -> the release's
_CONV = {"conv": "conv", "bn": "norm", "norm": "norm", "0": "conv", "1": "norm"}
_SEPARABLE = {"conv_dw": "dw_conv3x3", "conv_pw": "pw_conv1x1", "bn": "pw_norm"}
_LAYERS = {"conv_mid": "layers", "convs": "layers", "layers": "layers"}
_CONCATS = ("conv_concat", "out_conv", "exit_conv")
_GATES = ("attn.fc", "ese.linear", "ese.conv")

_STEM = re.compile(r"stem\.([012])")
_TIMM_BLOCK = re.compile(r"stages\.([0-3])\.blocks\.(\d{1,3})\.(.+)")
_TOOLBOX_BLOCK = re.compile(r"stages\.([0-3])\.module_(\d{1,3})\.(.+)")
_1E100_BLOCK = re.compile(r"body\.osa(\d{1,2})\.(.+)")


def _prefixes(stored: Tensors, endings: tuple[str, ...]) -> list[str]:
    """What stands before a name with one of the endings, at a dot."""
    before = (name.removesuffix(ending) for name in stored for ending in endings if name.endswith(ending))
    return [prefix for prefix in dict.fromkeys(before) if not prefix or prefix.endswith(".")][:MOST_NETWORKS]


_Rename = Callable[[str, Tensors], str | None]


def _names(stored: Tensors, prefix: str, rename: _Rename) -> dict[str, str]:
    inside = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    renamed = ((rename(name, inside), prefix + name) for name in inside)
    return {ours: theirs for ours, theirs in renamed if ours is not None}


def _from_release(name: str, _: Tensors) -> str | None:
    return name if _STEM_OF_RELEASE.fullmatch(name) or _BLOCK_OF_RELEASE.fullmatch(name) else None


def _from_timm(name: str, inside: Tensors) -> str | None:
    return _in_blocks(name, inside, _TIMM_BLOCK)


def _from_toolbox(name: str, inside: Tensors) -> str | None:
    return _in_blocks(name, inside, _TOOLBOX_BLOCK)


def _in_blocks(name: str, inside: Tensors, pattern: re.Pattern[str]) -> str | None:
    """Our name of a tensor where blocks are counted within stages: `stem.1.bn.bias` -> `stem.stem_2/norm.bias`."""
    layer, part, leaf = _split(name)
    if match := _STEM.fullmatch(layer):
        return _part(f"stem.stem_{int(match[1]) + 1}", layer, part, leaf, inside)
    if match := pattern.fullmatch(name):
        return _in_block(int(match[1]) + 2, int(match[2]) + 1, match[3], name, inside)
    return None


def _from_1e100(name: str, inside: Tensors) -> str | None:
    """Our name of a tensor where blocks are counted along the network: one of another width begins a stage."""
    layer, part, leaf = _split(name)
    if match := _STEM.fullmatch(layer):
        return _part(f"stem.stem_{int(match[1]) + 1}", layer, part, leaf, inside)
    if not (match := _1E100_BLOCK.fullmatch(name)):
        return None
    stage, block, last = 1, 0, 0
    for index in range(int(match[1]) + 1):
        conv = inside.get(f"body.osa{index}.layers.0.0.weight")
        width = len(conv) if conv is not None and conv.dim() else 0
        if not width:
            return None
        stage, block = (stage, block + 1) if width == last else (stage + 1, 1)
        last = width
    return _in_block(stage, block, match[2], name, inside) if stage <= 5 else None


def _in_block(stage: int, block: int, rest: str, name: str, inside: Tensors) -> str | None:
    osa = f"OSA{stage}_{block}"
    place, _, leaf = rest.rpartition(".")
    if place in _GATES:
        return f"stage{stage}.{osa}.ese.fc.{leaf}"
    layer, part, leaf = _split(name)
    inner = layer.removesuffix(".").split(".")
    if len(inner) > 1 and inner[-2] in _LAYERS:
        home = f"layers.{inner[-1]}.{osa}_{inner[-1]}"
    elif inner[-1] in _CONCATS:
        home = f"concat.{osa}_concat"
    elif inner[-1] == "conv_reduction":
        home = f"conv_reduction.{osa}_reduction_0"
    else:
        return None
    return _part(f"stage{stage}.{osa}.{home}", layer, part, leaf, inside)


def _part(home: str, layer: str, part: str, leaf: str, inside: Tensors) -> str | None:
    parts = _SEPARABLE if f"{layer}.conv_dw.weight" in inside else _CONV
    return f"{home}/{parts[part]}.{leaf}" if part in parts else None


def _split(name: str) -> tuple[str, str, str]:
    """Splits `stem.1.bn.bias` into its layer, `stem.1`, its part, `bn`, and its leaf, `bias`."""
    layer, part, leaf = f"..{name}".rsplit(".", 2)
    return layer.lstrip("."), part, leaf


@dataclass(frozen=True)
class _Naming:
    """A maker's names.

    Attributes:
        everywhere: one tensor that every network has, in each of its spellings.
        rename: gives the release's name of a tensor, or None.
    """

    everywhere: tuple[str, ...]
    rename: _Rename


_NAMINGS: dict[NamingTitle, _Naming] = {
    "release": _Naming(("stem.stem_1/conv.weight",), _from_release),
    "timm": _Naming(("stages.0.blocks.0.conv_concat.conv.weight",), _from_timm),
    "vision-toolbox": _Naming(("stages.0.module_0.out_conv.conv.weight",), _from_toolbox),
    "1e100": _Naming(("body.osa0.exit_conv.0.weight",), _from_1e100),
}


def blocks(names: Mapping[str, object]) -> Iterator[tuple[int, int]]:
    """Returns the stage and the number of each OSA block that has a tensor, by the release's names."""
    seen = (_BLOCK_OF_RELEASE.fullmatch(name) for name in names)
    return iter(sorted({(int(match["stage"]), int(match["block"])) for match in seen if match}))
