"""A VoVNet taken out of a checkpoint and written clean: its tensors alone, in the names and channel order asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from explorer.zoo.checkpoints import save_safetensors
from explorer.zoo.checkpoints.vovnet_names import in_timms_names
from explorer.zoo.identify.identity import SAID, IdentifiedFile, find
from explorer.zoo.identify.known import ORDERS, UNKNOWN, Pixels

Target = Literal["release", "timm", "img_backbone"]
TARGETS: tuple[Target, ...] = get_args(Target)
TIMM_MODELS = {
    "V-19-slim-dw-eSE": "ese_vovnet19b_slim_dw",
    "V-19-dw-eSE": "ese_vovnet19b_dw",
    "V-19-slim-eSE": "ese_vovnet19b_slim",
    "V-39-eSE": "ese_vovnet39b",
    "V-57-eSE": "ese_vovnet57b",
    "V-99-eSE": "ese_vovnet99b",
    "V-39": "vovnet39a",
    "V-57": "vovnet57a",
}
"""What timm calls our variants."""
_STEM = "stem.stem_1/conv.weight"
_ESE = "MODEL.VOVNET.ESE"


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        file: the new file.
        variant: the network.
        tensors: how many tensors it has.
        channel_order: what its stem takes: `RGB`, `BGR`, or that it is not known.
        overrides: `KEY VALUE` pairs that a config needs with it, as far as they are known; they stand in the file, too.
        flipped: whether the stem's input channels were exchanged.
        timm_model: what loads it, where it was written for timm; else empty.
    """

    file: str
    variant: str
    tensors: int
    channel_order: str
    overrides: tuple[str, ...]
    flipped: bool
    timm_model: str


def convert(
    path: str | Path,
    out: str | Path,
    *,
    to: Target = "release",
    channel_order: str | None = None,
    source_order: str | None = None,
) -> Converted:
    """Writes the VoVNet of a checkpoint as safetensors; every number stays as it is, in its type.

    Args:
        path: a file that `identify` knows a VoVNet in.
        out: the new `.safetensors` file.
        to: the release's names, those with `img_backbone.` before them, or timm's.
        channel_order: `RGB` or `BGR` of the images that the network shall take; by default as it does.
        source_order: which the network takes now, where its file does not say so.

    Raises:
        CheckpointError: the file cannot be read.
        ValueError: it holds no whole VoVNet, timm has no such one, or the channel order is not known.
    """
    if to not in TARGETS:
        raise ValueError(f"There is no target {to!r}: choose one of {', '.join(TARGETS)}.")
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"{out} does not end in .safetensors, which is what is written.")
    found = find(path)
    own = found.fit
    if own is None or own.missing:
        lacks = f": it lacks {', '.join(own.missing[:3])}" if own else ""
        raise ValueError(f"{path} holds no whole VoVNet of a known variant{lacks}. See `explorer zoo identify`.")
    pixels = _taken(path, found, source_order)
    wanted = _order(channel_order, "--channel-order") or pixels.order
    tensors = {name: found.tensors[name] for name in own.matched}
    if flipped := wanted != pixels.order:
        if pixels.order == UNKNOWN:
            raise ValueError(
                f"Whether {path} takes RGB or BGR is not known, so its channels cannot be brought into another order. "
                "Give it with --source-order (source_order=)."
            )
        tensors[_STEM], pixels = tensors[_STEM].flip(1), pixels.reversed()
    model = _timm_model(path, found) if to == "timm" else ""
    metadata = {SAID: json.dumps({"overrides": found.overrides, "pixels": pixels.as_dict()})}
    save_safetensors(_spelled(tensors, to), out, metadata, half=False)
    overrides = (*found.overrides, *pixels.overrides)
    return Converted(str(out), own.variant, len(tensors), pixels.order, overrides, flipped, model)


def _spelled(tensors: dict[str, Tensor], to: Target) -> dict[str, Tensor]:
    if to == "timm":
        return {in_timms_names(name) or name: tensor for name, tensor in tensors.items()}
    prefix = "img_backbone." if to == "img_backbone" else ""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _taken(path: str | Path, found: IdentifiedFile, said: str | None) -> Pixels:
    """What images the network takes, as is known or as the user says."""
    known, said = found.pixels, _order(said, "--source-order")
    if said and known.order != UNKNOWN and said != known.order:
        raise ValueError(f"{path} is known to take {known.order}, not {said}. Leave --source-order out.")
    return replace(known, order=said) if said else known


def _order(order: str | None, option: str) -> str:
    if order is not None and order.upper() not in ORDERS:
        raise ValueError(f"{option} is {order!r}: give rgb or bgr.")
    return (order or "").upper()


def _timm_model(path: str | Path, found: IdentifiedFile) -> str:
    """What timm calls the network.

    Raises:
        ValueError: timm has no such one.
    """
    assert found.fit is not None
    variant, own = found.fit.variant, dict(zip(found.overrides[::2], found.overrides[1::2], strict=True))
    differs: dict[str, Any] = {key: value for key, value in own.items() if key != _ESE}
    several = any(".OSA" in name and "_2.ese." in name for name in found.tensors) and found.fit.ese == "all"
    if variant not in TIMM_MODELS or differs or several or own.get(_ESE) == "none":
        why = "it has eSE on every block, timm's on the last of a stage" if several else "timm has no such VoVNet"
        raise ValueError(f"{path} cannot be written for timm: {why}. Write it --to release or --to img_backbone.")
    return TIMM_MODELS[variant]
