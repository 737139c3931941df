"""MODEL arguments such as `backbone:V-99-eSE` and `backbone:dd3d_det_final.pth`: a backbone without a detector."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from explorer.zoo.registry import BACKBONE_PREFIX as PREFIX

CONFIG = "Base-Backbone.yaml"
_OTHERS = {"MobileNetV2": ("MODEL.BACKBONE.NAME", "build_mobilenetv2_backbone")}


@dataclass(frozen=True)
class Bare:
    """What such an argument means.

    Attributes:
        name: what to call the model.
        overrides: `KEY VALUE` pairs that make the config its own.
        weights: the file that was named; empty where a network was.
    """

    name: str
    overrides: tuple[str, ...]
    weights: str = ""


def find_bare(model: str | Path) -> Bare | None:
    """Reads a MODEL argument that begins with `backbone:`; None for any other.

    Raises:
        ValueError: there is neither such a network nor such a file, or the file holds no VoVNet.
    """
    from explorer.backbones.specs import VARIANTS

    if not str(model).startswith(PREFIX):
        return None
    named = str(model).removeprefix(PREFIX)
    if named in VARIANTS:
        return Bare(str(model), ("MODEL.VOVNET.CONV_BODY", named))
    if named in _OTHERS:
        return Bare(str(model), _OTHERS[named])
    path = Path(named).expanduser()
    if path.is_file():
        return Bare(PREFIX + path.name, needs(path), str(path.absolute()))
    known = [*VARIANTS, *_OTHERS]
    near = difflib.get_close_matches(named, known, n=1)
    hint = f"Did you mean {PREFIX}{near[0]}? " if near else ""
    raise ValueError(f"{model} names neither a backbone nor a file. {hint}Backbones are {', '.join(known)}.")


def needs(path: Path, wanted: str = "") -> tuple[str, ...]:
    """What a config needs with the VoVNet of a file: its variant, structure, channel order and mean as far as known.

    Args:
        path: the file.
        wanted: the variant that it should be, if any.

    Raises:
        ValueError: the file holds no known VoVNet, or another variant.
    """
    from explorer.zoo.identify import find

    found = find(path)
    if found.fit is None:
        raise ValueError(f"{path} holds no VoVNet of a known variant. See `explorer zoo identify {path}`.")
    if wanted and found.fit.variant != wanted:
        raise ValueError(f"{path} holds a {found.fit.variant}, not a {wanted}: name {PREFIX}{found.fit.variant}.")
    return ("MODEL.VOVNET.CONV_BODY", found.fit.variant, *found.overrides, *found.pixels.overrides)
