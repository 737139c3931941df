"""The config that training saves of a LazyConfig, read as data.

detectron2 reads such a file with a loader that builds any Python object, and `_target_` names any callable. Here Python
objects become descriptions, and a model may be built only of the classes of detectron2, torch and this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform, Box2BoxTransformLinear, Box2BoxTransformRotated
from detectron2.modeling.matcher import Matcher
from detectron2.utils.registry import locate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from explorer.config import apply_lazy
from explorer.reading_yaml import DataLoader, load_yaml

_PACKAGES = ("detectron2.", "torch.nn.", "explorer.")
_PLAIN_CLASSES = (ShapeSpec, Matcher, Box2BoxTransform, Box2BoxTransformLinear, Box2BoxTransformRotated)


class _DumpLoader(DataLoader):
    """Reads the Python objects in a LazyConfig's dump as descriptions, and runs nothing."""


def _describe(loader: _DumpLoader, tag: str, node: yaml.Node) -> Any:
    kind, _, name = tag.partition(":")
    if kind == "tuple" and isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    if kind == "object" and isinstance(node, yaml.MappingNode):
        return {"_target_": name, **loader.construct_mapping(node, deep=True)}
    return {"_target_": f"!!python/{tag}"}  # outside of the model nobody builds it, and in it it is refused


_DumpLoader.add_multi_constructor("tag:yaml.org,2002:python/", _describe)


def read_dump(path: Path) -> Any:
    """Reads a saved config, of either kind, as plain data.

    Raises:
        ValueError: it is missing, too large or no YAML, or has a key twice.
    """
    return load_yaml(path, _DumpLoader)


def is_dump(path: Path) -> bool:
    """Whether a YAML file is a LazyConfig's: its model says what builds it."""
    try:
        tree = read_dump(path) if path.suffix in {".yaml", ".yml"} else None
    except ValueError:
        return False
    model = tree.get("model") if isinstance(tree, dict) else None
    return isinstance(model, dict) and "_target_" in model


def load_dump(path: Path, overrides: Sequence[str] = ()) -> DictConfig:
    """Reads the config that a LazyConfig's training saved, and applies `key=value` overrides.

    Raises:
        ValueError: its model is built of something else than the classes that are known to be safe, or an override is
            wrong.
    """
    try:
        cfg: DictConfig = OmegaConf.create(read_dump(path))
        model = OmegaConf.to_container(cfg.model, resolve=True)  # a reference may lead out of the model
    except OmegaConfBaseException as error:
        raise ValueError(f"{path} is not the config of a training: {str(error).partition(chr(10))[0]}") from error
    for target in _targets(model):
        if not _is_known(target):
            raise ValueError(
                f"{path} builds its model with {target}, which may be any code and is not run. Give the LazyConfig "
                "itself (.py) as MODEL, and the checkpoint as its weights."
            )
    apply_lazy(cfg, overrides)
    return cfg


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        yield from (node["_target_"],) if "_target_" in node else ()
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from _targets(value)


def _is_known(target: Any) -> bool:
    """Whether a name is that of a module of a network or of a plain value that networks take."""
    if not isinstance(target, str) or not target.startswith(_PACKAGES):
        return False
    try:
        found = locate(target)
    except Exception:  # whatever importing a name that is none may raise
        return False
    made_there = str(getattr(found, "__module__", "")).startswith(_PACKAGES)
    return made_there and isinstance(found, type) and issubclass(found, (nn.Module, *_PLAIN_CLASSES))
