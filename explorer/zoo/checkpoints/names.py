"""Tensor names of other makers' checkpoints, told in ours, under whatever prefix they stand.

Works on names alone. Ours are the release's (`stage3.OSA3_1.layers.0.OSA3_1_0/conv.weight`), so released
checkpoints need none of this.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from explorer.zoo.checkpoints.vovnet_names import MOST_NETWORKS, sightings

# timm's feature extractors flatten the first level of their sequences: `stages.0.downsample` -> `stages_0.downsample`.
_SEQUENCE = re.compile(r"^(\w+)\.(\d+)\.")
_DEEPEST_PREFIX = 8  # components
_MOVES_TRIED = 4
_TIMM_HOMES = ("model.model.", "model.")
"""How a `TimmBackbone` names timm's network: as timm does, or once more inside timm's own wrapper."""

# timm's MobileNetV2 counts blocks within stages, ours along the network (one stem, then 1, 2, 3, 4, 3, 3, 1 blocks).
_MOBILENET_STARTS = (1, 2, 4, 7, 11, 14, 17)
_MOBILENET_BLOCKS = {f"{stage}.{i}" for stage, n in enumerate((1, 2, 3, 4, 3, 3, 1)) for i in range(n)}
_MOBILENET_BLOCK = re.compile(r"blocks\.(?P<stage>\d)\.(?P<block>\d)\.(?P<part>\w+)\.(?P<leaf>\w+)")
_MOBILENET_FIRST = {"conv_dw": 0, "bn1": 1, "conv_pw": 3, "bn2": 4}
_MOBILENET_OTHER = {"conv_pw": 0, "bn1": 1, "conv_dw": 3, "bn2": 4, "conv_pwl": 6, "bn3": 7}
_MOBILENET_FIRST_TENSOR = "conv_stem.weight"
_MOBILENET_STEM = {"conv_stem": "features.0.0", "bn1": "features.0.1"}


def align(tensors: Mapping[str, Tensor], model_names: Collection[str]) -> dict[str, Tensor]:
    """Spells a checkpoint's names as the model does, choosing the spelling that fits most of the model's names.

    Tried are the names as they are, VoVNet's in other makers' words, timm's MobileNetV2, Caffe2's ResNet, and any timm
    network's for a `TimmBackbone`, each with the prefixes exchanged by which most names agree: what stands before a
    network in a file (`module.`, `img_backbone.`, `model.backbone.bottom_up.`) is found, not known beforehand. A
    checkpoint that fits as it is is never renamed.
    """
    wanted = set(model_names)
    best, best_hits = dict(tensors), sum(name in wanted for name in tensors)
    for spelled in _spellings(tensors, wanted):
        hits = sum(name in wanted for name in spelled)
        if hits > best_hits:
            best, best_hits = spelled, hits
    return best


def _spellings(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> Iterator[dict[str, Tensor]]:
    endings = _endings_of(wanted)
    for pattern in (r"\1.\2.", r"\1_\2."):
        flat = {_SEQUENCE.sub(pattern, name): tensor for name, tensor in tensors.items()}
        for theirs, ours in _moves(flat, endings):
            if ours.endswith(_TIMM_HOMES):
                parts = {name.removeprefix(ours).partition(".")[0] for name in wanted if name.startswith(ours)}
                moved = _moved(flat, theirs, ours).items()  # parts that ours lacks, as classifiers, stay behind
                yield {name: t for name, t in moved if name.removeprefix(ours).partition(".")[0] in parts}
    for spelled in (dict(tensors), *_networks(tensors), from_caffe2(tensors)):
        for theirs, ours in _moves(spelled, endings):
            yield _moved(spelled, theirs, ours)


def _networks(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The networks in a file that are not in our names, in ours; what stands beside them stays behind."""
    for seen in sightings(tensors):
        if seen.naming != "release":
            yield seen.tensors(tensors)
    yield _from_timms_mobilenet(tensors)


def _endings_of(wanted: Collection[str]) -> dict[str, str | None]:
    """Every end of a name, from a dot on, with what stands before it; None where that is more than one thing."""
    before: dict[str, str | None] = {}
    for name in wanted:
        for ending in _endings(name):
            prefix = name.removesuffix(ending)
            before[ending] = prefix if before.get(ending, prefix) == prefix else None
    return before


def _endings(name: str) -> Iterator[str]:
    """The name, then what is left of it without its first component, its first two, ….."""
    yield name
    for _ in range(_DEEPEST_PREFIX):
        _, dot, name = name.partition(".")
        if not dot:
            return
        yield name


def _moves(tensors: Mapping[str, Tensor], endings: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Which prefix of theirs to exchange for which of ours: those by which most names agree, the best first."""
    votes: Counter[tuple[str, str]] = Counter()
    for name in tensors:
        ending = next((ending for ending in _endings(name) if ending in endings), None)
        if ending is not None and (ours := endings[ending]) is not None:
            votes[name.removesuffix(ending), ours] += 1
    return [move for move, _ in votes.most_common(_MOVES_TRIED)]


def _moved(tensors: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Exchanges a prefix; names without it stay, unless one with it comes to be called so."""
    spelled = {name: ours + name.removeprefix(theirs) if name.startswith(theirs) else name for name in tensors}
    taken = {new for name, new in spelled.items() if name.startswith(theirs)}
    return {new: tensors[name] for name, new in spelled.items() if name.startswith(theirs) or new not in taken}


def from_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames timm's VoVNets (V1 and V2) and MobileNetV2s of the usual depth; what stands beside them stays behind.

    Other checkpoints come back empty. timm has eSE on the last block of a stage only: the model that these tensors
    fill completely has `MODEL.VOVNET.ESE: last` where a stage has several blocks.
    """
    seen = [sighting for sighting in sightings(tensors) if sighting.naming == "timm"]
    return seen[0].tensors(tensors) if seen else _from_timms_mobilenet(tensors)


def _from_timms_mobilenet(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    stems = [name for name in tensors if name.endswith(_MOBILENET_FIRST_TENSOR)]
    for stem in stems[:MOST_NETWORKS]:
        prefix = stem.removesuffix(_MOBILENET_FIRST_TENSOR)
        inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if _is_mobilenet(inside):
            renamed = ((_mobilenet_name(name), tensor) for name, tensor in inside.items())
            return {name: tensor for name, tensor in renamed if name is not None}
    return {}


def _is_mobilenet(names: Collection[str]) -> bool:
    """Whether the blocks are MobileNetV2's, in number and in parts: many of timm's networks share its stem's name."""
    matches = [_MOBILENET_BLOCK.fullmatch(name) for name in names if name.startswith("blocks.")]
    return {f"{m['stage']}.{m['block']}" for m in matches if m} == _MOBILENET_BLOCKS and all(
        m and m["part"] in (_MOBILENET_OTHER if int(m["stage"]) else _MOBILENET_FIRST) for m in matches
    )


def _mobilenet_name(timm_name: str) -> str | None:
    """Our name of a tensor in timm's MobileNetV2, or None: `blocks.1.0.bn1.bias` -> `features.2.conv.1.bias`."""
    if match := _MOBILENET_BLOCK.fullmatch(timm_name):
        stage = int(match["stage"])
        parts = _MOBILENET_OTHER if stage else _MOBILENET_FIRST
        index = _MOBILENET_STARTS[stage] + int(match["block"])
        return f"features.{index}.conv.{parts[match['part']]}.{match['leaf']}"
    part, dot, leaf = timm_name.partition(".")
    return f"{_MOBILENET_STEM[part]}{dot}{leaf}" if part in _MOBILENET_STEM else None


def from_caffe2(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames Caffe2's and Detectron's ResNets by detectron2's own table; other checkpoints come back empty.

    Their norms are folded into scale and shift: running means of 0 and variances of 1 are added, as detectron2 does.
    """
    if "res2_0_branch2a_w" not in tensors:
        return {}
    from detectron2.checkpoint.c2_model_loading import convert_c2_detectron_names

    try:
        renamed: dict[str, Tensor] = dict(convert_c2_detectron_names(dict(tensors))[0])
    except (AssertionError, IndexError):  # what detectron2 says of other shapes than Detectron's
        return {}
    for name, tensor in list(renamed.items()):
        if name.endswith("norm.weight"):
            norm = name.removesuffix("weight")
            renamed.setdefault(f"{norm}running_mean", torch.zeros_like(tensor))
            renamed.setdefault(f"{norm}running_var", torch.ones_like(tensor))
    return renamed
