"""Tensor names of other makers' checkpoints, told in ours: timm's, Caffe2's, and backbones without their prefix.

Works on names alone. Ours are the release's (`stage3.OSA3_1.layers.0.OSA3_1_0/conv.weight`), so released
checkpoints need none of this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

_PREFIXES = ("", "backbone.bottom_up.", "bottom_up.", "backbone.")
# Where a TimmBackbone has timm's network: as timm names it, or once more inside timm's own wrapper.
_TIMM_PREFIXES = tuple(f"{prefix}{model}" for prefix in _PREFIXES for model in ("model.", "model.model."))
# timm's feature extractors flatten the first level of their sequences: `stages.0.downsample` -> `stages_0.downsample`.
_SEQUENCE = re.compile(r"^(\w+)\.(\d+)\.")

# timm's parts of a layer -> ours
_CONV = {"conv": "conv", "bn": "norm"}
_SEPARABLE = {"conv_dw": "dw_conv3x3", "conv_pw": "pw_conv1x1", "bn": "pw_norm"}
_STEM = re.compile(r"stem\.(\d)")
_BLOCK = re.compile(r"stages\.(\d)\.blocks\.(\d+)\.(conv_mid|conv_concat|conv_reduction|attn)(?:\.(\d+))?")

# timm's MobileNetV2 counts blocks within stages, ours along the network (one stem, then 1, 2, 3, 4, 3, 3, 1 blocks).
_MOBILENET_STARTS = (1, 2, 4, 7, 11, 14, 17)
_MOBILENET_BLOCKS = {f"{stage}.{i}" for stage, n in enumerate((1, 2, 3, 4, 3, 3, 1)) for i in range(n)}
_MOBILENET_BLOCK = re.compile(r"blocks\.(?P<stage>\d)\.(?P<block>\d)\.(?P<part>\w+)\.(?P<leaf>\w+)")
_MOBILENET_FIRST = {"conv_dw": 0, "bn1": 1, "conv_pw": 3, "bn2": 4}
_MOBILENET_OTHER = {"conv_pw": 0, "bn1": 1, "conv_dw": 3, "bn2": 4, "conv_pwl": 6, "bn3": 7}
_MOBILENET_STEM = {"conv_stem": "features.0.0", "bn1": "features.0.1"}


def align(tensors: Mapping[str, Tensor], model_names: Collection[str]) -> dict[str, Tensor]:
    """Spells a checkpoint's names as the model does, choosing the spelling that fits most of the model's names.

    Tried are the names as they are, timm's VoVNet and MobileNetV2, and Caffe2's ResNet, each with and without a
    backbone's prefix, and any timm network's for a `TimmBackbone`. A checkpoint that fits as it is is never renamed.
    """
    wanted = set(model_names)
    best, best_hits = dict(tensors), sum(name in wanted for name in tensors)
    for spelled in (*_spellings(tensors), *_timm_spellings(tensors, wanted)):
        hits = sum(name in wanted for name in spelled)
        if hits > best_hits:
            best, best_hits = spelled, hits
    return best


def _spellings(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    for spelled in (dict(tensors), from_timm(tensors), from_caffe2(tensors)):
        for prefix in _PREFIXES:
            yield {prefix + name: tensor for name, tensor in spelled.items()}
            if prefix:
                yield {name.removeprefix(prefix): tensor for name, tensor in spelled.items()}


def _timm_spellings(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """What timm's tensors are called in a `TimmBackbone`; those of parts it lacks, as classifiers, stay behind."""
    for prefix in _TIMM_PREFIXES:
        parts = {name.removeprefix(prefix).partition(".")[0] for name in wanted if name.startswith(prefix)}
        for sequence in (r"\1.\2.", r"\1_\2."):
            spelled = {_SEQUENCE.sub(sequence, name): tensor for name, tensor in tensors.items()}
            yield {prefix + name: tensor for name, tensor in spelled.items() if name.partition(".")[0] in parts}


def from_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames timm's VoVNets (V1 and V2) and MobileNetV2s of the usual depth; classifiers stay behind.

    Other checkpoints come back empty. timm has eSE on the last block of a stage only: the model that these tensors
    fill completely has `MODEL.VOVNET.ESE: last` where a stage has several blocks.
    """
    rename: Callable[[str, Collection[str]], str | None]
    if "stages.0.blocks.0.conv_concat.conv.weight" in tensors:
        rename = _vovnet_name
    elif _is_mobilenet(tensors):
        rename = _mobilenet_name
    else:
        return {}
    renamed = ((rename(name, tensors), tensor) for name, tensor in tensors.items())
    return {name: tensor for name, tensor in renamed if name is not None}


def _vovnet_name(timm_name: str, names: Collection[str]) -> str | None:
    """Our name of a tensor in timm's VoVNet, or None: `stem.1.bn.bias` -> `stem.stem_2/norm.bias`."""
    layer, part, leaf = f"..{timm_name}".rsplit(".", 2)
    layer = layer.lstrip(".")
    parts = _SEPARABLE if f"{layer}.conv_dw.weight" in names else _CONV
    if match := _STEM.fullmatch(layer):
        home = f"stem.stem_{int(match[1]) + 1}"
    elif match := _BLOCK.fullmatch(layer):
        stage, block = int(match[1]) + 2, f"OSA{int(match[1]) + 2}_{int(match[2]) + 1}"
        if match[3] == "attn":
            return f"stage{stage}.{block}.ese.{part}.{leaf}"
        inner = {
            "conv_mid": f"layers.{match[4]}.{block}_{match[4]}",
            "conv_concat": f"concat.{block}_concat",
            "conv_reduction": f"conv_reduction.{block}_reduction_0",
        }[match[3]]
        home = f"stage{stage}.{block}.{inner}"
    else:
        return None
    return f"{home}/{parts[part]}.{leaf}" if part in parts else None


def _is_mobilenet(names: Collection[str]) -> bool:
    """Whether the blocks are MobileNetV2's, in number and in parts: many of timm's networks share its stem's name."""
    matches = [_MOBILENET_BLOCK.fullmatch(name) for name in names if name.startswith("blocks.")]
    return {f"{m['stage']}.{m['block']}" for m in matches if m} == _MOBILENET_BLOCKS and all(
        m and m["part"] in (_MOBILENET_OTHER if int(m["stage"]) else _MOBILENET_FIRST) for m in matches
    )


def _mobilenet_name(timm_name: str, _: Collection[str]) -> str | None:
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
