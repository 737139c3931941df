"""Which VoVNet a checkpoint holds, in whose names, under which prefix, and what stands beside it."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from explorer.reading import parse_json
from explorer.zoo.checkpoints.reading import Checkpoint, read_parts
from explorer.zoo.checkpoints.vovnet_names import NamingTitle, VoVNetSighting, sightings
from explorer.zoo.identify.known import ORDERS, Known, Pixels, recognise
from explorer.zoo.identify.shapes import Fit, fit
from explorer.zoo.registry import BACKBONE_PREFIX

SAID = "explorer.network"
"""Key of a safetensors file's metadata: what its tensors do not say of their network, as JSON. `overrides` are the
`KEY VALUE` pairs that a config needs with them, `pixels` what `Pixels.as_dict` says."""

_NECKS = ("neck", "fpn", "lateral", "pyramid", "top_block")
_HEADS = ("head", "classifier", "fc", "rpn", "proposal_generator", "decoder", "predictor", "query", "bbox", "cls")
_OPTIMISERS = ("optim", "scheduler", "scaler")
_STRUCTURE = "MODEL.VOVNET."


@dataclass(frozen=True)
class Beside:
    """Tensors of a file that belong to no VoVNet.

    Attributes:
        name: what their names begin with.
        kind: `neck`, `head`, another `VoVNet`, or `other`.
        tensors: how many.
    """

    name: str
    kind: str
    tensors: int


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is.

    Attributes:
        file: the file.
        format: how it is written.
        containers: the keys that were opened to reach the tensors.
        prefix: what stands before the network's tensors.
        naming: whose names they have; None where there is no VoVNet.
        variant: name of the network in `explorer.backbones.VARIANTS`; None where it is none of them.
        generation: `V1`, `V2 (eSE)`, or nothing.
        ese: `all`, `last` or `none` of the blocks of a stage have eSE.
        deformable_stages: of stages 2 to 5, those with deformable convolutions.
        tensors_matched: tensors of the file that belong to the network, with its shapes.
        tensors_total: tensors of the file.
        missing: tensors of the network, by the release's names, that the file lacks.
        overrides: `KEY VALUE` pairs that a config needs with these weights.
        beside: the other tensors.
        optimiser: whether the state of an optimiser is in the file.
        stored_beside: keys of the file's containers apart from the tensors.
        channel_order: `RGB`, `BGR`, or `UNKNOWN`.
        pixel_mean: in that order, in 0 to 255; empty where it is not known.
        pixel_std: in that order and scale; empty where it is not known.
        known: which file of those that circulate it is, if any.
        command: what uses it; empty where there is no VoVNet.
    """

    file: str
    format: str
    containers: tuple[str, ...]
    prefix: str
    naming: NamingTitle | None
    variant: str | None
    generation: str
    ese: str
    deformable_stages: tuple[int, ...]
    tensors_matched: int
    tensors_total: int
    missing: tuple[str, ...]
    overrides: tuple[str, ...]
    beside: tuple[Beside, ...]
    optimiser: bool
    stored_beside: tuple[str, ...]
    channel_order: str
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    known: Known | None
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class IdentifiedFile:
    """A checkpoint and the VoVNet in it.

    Attributes:
        checkpoint: all of the file.
        seen: every VoVNet in it.
        sighting: where the network's tensors are; None where there is none.
        fit: which network they are of; None where it is none of the known ones.
        overrides: `KEY VALUE` pairs that a config needs for its structure.
        known: which file of those that circulate it is, if any.
    """

    checkpoint: Checkpoint
    seen: tuple[VoVNetSighting, ...]
    sighting: VoVNetSighting | None
    fit: Fit | None
    overrides: tuple[str, ...]
    known: Known | None

    @property
    def pixels(self) -> Pixels:
        """What images the network takes: as the file's head says, or as is known of the file."""
        said = Pixels.read(_said(self.checkpoint, "pixels"))
        return said if said.order in ORDERS or self.known is None else self.known.pixels

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The network's tensors by the release's names, and others that are called as if they were."""
        return self.sighting.tensors(self.checkpoint.tensors) if self.sighting else {}


def find(path: str | Path) -> IdentifiedFile:
    """Reads a checkpoint and finds the VoVNet of most tensors in it.

    Raises:
        CheckpointError: the file cannot be read.
    """
    checkpoint = read_parts(path)
    said = _said_overrides(checkpoint)
    seen, known = tuple(sightings(checkpoint.tensors)), recognise(Path(path))
    best = IdentifiedFile(checkpoint, seen, None, None, said, known)
    for sighting in seen:
        shapes = {name: tuple(tensor.shape) for name, tensor in sighting.tensors(checkpoint.tensors).items()}
        own = fit(shapes, sighting.naming)
        if best.sighting is None or (own and len(own.matched) > (len(best.fit.matched) if best.fit else 0)):
            overrides = tuple(_merged(own.overrides if own else (), said))
            best = IdentifiedFile(checkpoint, seen, sighting, own, overrides, known)
    called_so = known is not None and known.by == "name" and known.variant not in ("", best.fit and best.fit.variant)
    return replace(best, known=None) if called_so else best  # its name is that of another file


def identify(path: str | Path) -> Identity:
    """Says which VoVNet a checkpoint holds.

    Args:
        path: a `.pth`, `.pt`, `.ckpt`, `.pkl` or `.safetensors` file; it is read as data.

    Raises:
        CheckpointError: the file cannot be read.
    """
    found = find(path)
    checkpoint, sighting, own = found.checkpoint, found.sighting, found.fit
    beside = checkpoint.beside
    return Identity(
        str(path),
        checkpoint.format,
        checkpoint.containers,
        sighting.prefix if sighting else "",
        sighting.naming if sighting else None,
        own.variant if own else None,
        own.generation if own else "",
        own.ese if own else "",
        own.deformable_stages if own else (),
        len(own.matched) if own else 0,
        len(checkpoint.tensors),
        own.missing if own else (),
        (*found.overrides, *found.pixels.overrides) if own else (),
        tuple(_beside(found)),
        any(word in key.lower() for key in beside for word in _OPTIMISERS),
        beside,
        found.pixels.order,
        found.pixels.mean,
        found.pixels.std,
        found.known,
        shlex.join(["explorer", "features", f"{BACKBONE_PREFIX}{path}", "PHOTO"]) if own else "",
    )


def _said(checkpoint: Checkpoint, key: str) -> Any:
    """What a converted file says of itself; None where it says nothing, or what is no JSON."""
    try:
        said = parse_json(checkpoint.metadata.get(SAID, "{}"))
    except ValueError:
        return None
    return said.get(key) if isinstance(said, dict) else None


def _said_overrides(checkpoint: Checkpoint) -> tuple[str, ...]:
    said = _said(checkpoint, "overrides")
    words = said if isinstance(said, list) and all(isinstance(word, str) for word in said) else []
    fine = len(words) % 2 == 0 and all(key.startswith(_STRUCTURE) for key in words[::2])
    return tuple(words) if fine and all(word.isprintable() for word in words) else ()


def _merged(first: tuple[str, ...], later: tuple[str, ...]) -> list[str]:
    pairs = dict(zip(first[::2], first[1::2], strict=True)) | dict(zip(later[::2], later[1::2], strict=True))
    return [word for pair in pairs.items() for word in pair]


def _beside(found: IdentifiedFile) -> list[Beside]:
    """Groups what does not belong to the network by what its names begin with, below the prefix that all share."""
    prefix = found.sighting.prefix if found.sighting else ""
    inside = set(found.sighting.names.values()) if found.sighting else set()
    of_others = {name for seen in found.seen for name in seen.names.values()}
    counts = Counter(
        (_first(name, prefix), "VoVNet" if name in of_others else _kind(name))
        for name in found.checkpoint.tensors
        if name not in inside
    )
    return [Beside(first, kind, count) for (first, kind), count in sorted(counts.items())]


def _first(name: str, prefix: str) -> str:
    """The name's begin up to where it leaves the network's prefix."""
    parts, shared = name.split("."), prefix.split(".")[:-1]
    same = next((i for i, (a, b) in enumerate(zip(parts, shared, strict=False)) if a != b), len(shared))
    return ".".join(parts[: same + 1])


def _kind(name: str) -> str:
    lowered = name.lower()
    if any(word in lowered for word in _NECKS):
        return "neck"
    return "head" if any(word in lowered for word in _HEADS) else "other"
