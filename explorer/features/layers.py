"""What a layer's name means in a model: dotted names, globs, and short names such as `p2` and `stage4`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detectron2.modeling import Backbone
from torch import nn

_COMPILED = "_orig_mod"
"""Where torch.compile keeps the module that it was given."""
_CONTAINERS = (nn.ModuleList, nn.ModuleDict)
"""Modules that are never called."""
_SHOWN = 6


@dataclass(frozen=True)
class Layer:
    """A place in a model whose output can be recorded.

    Attributes:
        name: what to call it.
        module: its module.
        output: the key of the wanted tensor where the module gives a mapping; None for all that it gives.
        stride: input pixels per cell, where the model declares it.
    """

    name: str
    module: nn.Module
    output: str | None = None
    stride: int | None = None


def eager(model: nn.Module) -> nn.Module:
    """Returns the module that a compiled one was made from; any other module as it is."""
    inner = getattr(model, _COMPILED, None)
    return inner if isinstance(inner, nn.Module) else model


def find_layers(model: nn.Module, wanted: Iterable[str]) -> list[Layer]:
    """Finds the layers that names and globs mean, in the order asked for, none twice.

    A name is, in this order of preference:

    1. a module's dotted name, `backbone.bottom_up.stage4.OSA4_1`;
    2. the name of a backbone's output, `p2` of an FPN or `stage4` of a VoVNet; of several, the outermost backbone's;
    3. the end of exactly one dotted name, `rpn_head.conv` for `proposal_generator.rpn_head.conv`.

    A glob means the backbones' outputs that it matches, or else the modules' dotted names: `*` and `?` stand within one
    part of a dotted name, `[…]` for one of some characters, and `**` for any number of parts. `p*` are a pyramid's
    levels, `backbone.bottom_up.stage4.*` stage 4's children, `backbone.bottom_up.stage4.**` all that is in it.

    Args:
        model: any module, compiled or not.
        wanted: names and globs.

    Raises:
        ValueError: nothing was asked for, a name or glob matches no layer, or a short name matches several.
    """
    if isinstance(wanted, str):
        raise ValueError(f"Layers are a list of names; got the text {wanted!r}. Write [{wanted!r}].")
    modules, outputs = _modules(model), _outputs(model)
    found: dict[str, Layer] = {}
    for name in wanted:
        for layer in _match(name, modules, outputs):
            found.setdefault(layer.name, layer)
    if not found:
        raise ValueError(f"No layers were named. This model has {_some(outputs or modules)}.")
    return list(found.values())


def _modules(model: nn.Module) -> dict[str, Layer]:
    """Every module below `model` by dotted name; what compiling put between the parts of a name is left out."""
    found: dict[str, Layer] = {}
    for name, module in eager(model).named_modules(remove_duplicate=False):  # a shared module has several names
        plain = ".".join(part for part in name.split(".") if part != _COMPILED)
        if plain:
            found[plain] = Layer(plain, eager(module))
    return found


def _outputs(model: nn.Module) -> dict[str, Layer]:
    """Every output that a detectron2 backbone in `model` declares, by its name; outer backbones first."""
    found: dict[str, Layer] = {}
    for module in eager(model).modules():
        if isinstance(module, Backbone):
            for name, shape in module.output_shape().items():
                found.setdefault(name, Layer(name, module, name, shape.stride))
    return found


def _match(name: str, modules: Mapping[str, Layer], outputs: Mapping[str, Layer]) -> list[Layer]:
    if any(sign in name for sign in "*?["):
        pattern = _glob(name)
        running = {key: layer for key, layer in modules.items() if not isinstance(layer.module, _CONTAINERS)}
        found = [layer for key, layer in outputs.items() if pattern.fullmatch(key)]
        found = found or [layer for key, layer in running.items() if pattern.fullmatch(key)]
        if not found:
            raise ValueError(f"No layer matches {name!r}. {_nearest(name, modules, outputs)}")
        return found
    if exact := modules.get(name) or outputs.get(name):
        return [_running(exact)]
    ends = [layer for key, layer in modules.items() if key.endswith(f".{name}")]
    if not ends:
        raise ValueError(f"No layer is called {name!r}. {_nearest(name, modules, outputs)}")
    if len(ends) > 1:
        matches = _some([layer.name for layer in ends])
        raise ValueError(f"{name!r} is the end of {len(ends)} layers' names: {matches}. Name one of them in full.")
    return [_running(ends[0])]


def _running(layer: Layer) -> Layer:
    if isinstance(layer.module, _CONTAINERS):
        raise ValueError(
            f"{layer.name} holds layers but does not run itself: name one of them, or all with {layer.name + '.*'!r}."
        )
    return layer


def _glob(text: str) -> re.Pattern[str]:
    signs = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    parts = re.split(r"(\*\*|\*|\?|\[!?[^\]]+\])", text)
    return re.compile("".join(signs.get(p) or _literal(p) for p in parts))


def _literal(part: str) -> str:
    return f"[{part[1:-1].replace('!', '^', 1)}]" if re.fullmatch(r"\[.+\]", part) else re.escape(part)


def _nearest(name: str, modules: Mapping[str, Layer], outputs: Mapping[str, Layer]) -> str:
    """Says what is near a name: by the whole of it first, then by its last part."""
    full = {key.lower(): key for key in (*outputs, *modules)}
    ends = {key.rpartition(".")[2].lower(): key for key in modules}
    near = [full[key] for key in difflib.get_close_matches(name.lower(), full, n=4)]
    near += [ends[key] for key in difflib.get_close_matches(name.lower().rpartition(".")[2], ends, n=3)]
    if near:
        return f"Near it: {', '.join(dict.fromkeys(near))}."
    return f"There are {_some([*outputs, *modules])}."


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
