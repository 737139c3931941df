"""YAML files of configurations and the bases they stand on, read as data in bounded time and memory.

What detectron2's own reader does with a file from outside is not done here: no address is opened, no alias is
multiplied, and of two values of one key none wins in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

BASE = "_BASE_"
_SUFFIXES = (".yaml", ".yml")
_LARGEST_FILE = 1 << 18
_MOST_BASES = 20
_MOST_VALUES = 100_000


class ConfigLoader(yaml.SafeLoader):
    """PyYAML's safe loader, without repeated keys, and without aliases that multiply or hold themselves."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _values(node, {})
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        times = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for (_, key), count in times.items():
            if count > 1:
                raise yaml.composer.ComposerError(problem=f"the key {key[:80]} has two values")
        return node


def read_yaml(path: Path, above: Sequence[Path] = ()) -> dict[str, Any]:
    """Reads a YAML configuration together with its `_BASE_`, or several, whose values it overwrites.

    Args:
        path: the file. A base is a `.yaml` file too: relative to this one, absolute, or from `~`.
        above: the files that stand on this one.

    Returns:
        The values by key, in nested dictionaries.

    Raises:
        ValueError: a file is missing, too large or no YAML, asks for Python objects, has a key twice, or stands on
            itself.
    """
    if path.resolve() in above or len(above) > _MOST_BASES:
        raise ValueError(f"{path} stands on itself: its {BASE} leads back to it, or through {_MOST_BASES} files.")
    own = load_yaml(path)
    if not isinstance(own, dict):
        raise ValueError(f"{path} is not a YAML configuration: it holds no keys with values.")
    bases = own.pop(BASE, [])
    values: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str) or "://" in base or not base.endswith(_SUFFIXES):
            raise ValueError(f"{path}: {BASE} is {str(base)[:80]!r}, which must be a .yaml file of this machine.")
        below = path.parent / Path(base).expanduser()
        if not below.is_file():
            raise ValueError(f"{path}: there is no file {base[:200]!r}, which its {BASE} names.")
        _overwrite(values, read_yaml(below, (*above, path.resolve())), path)
    _overwrite(values, own, path)
    return values


def load_yaml(path: Path, loader: type[ConfigLoader] = ConfigLoader) -> Any:
    """Reads one YAML file.

    Raises:
        ValueError: it is missing, too large or no YAML, asks for Python objects, or has a key twice.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) <= _LARGEST_FILE:
            return yaml.load(content.decode(), loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    except yaml.constructor.ConstructorError as error:
        what = f"{path} asks to construct a Python object ({error.problem})"
        raise ValueError(f"{what}. Write the value out instead.") from error
    except Exception as error:  # YAML's types raise almost anything on values that are not of them
        raise ValueError(f"{path} is not a YAML configuration: {' '.join(str(error).split())[:300]}") from error
    raise ValueError(f"{path} is larger than {_LARGEST_FILE:,} bytes, which no configuration is.")


def _values(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Counts the values that a node stands for with its aliases followed."""
    if node not in known:
        known[node] = _MOST_VALUES  # what it counts inside of itself
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[node] = 1 + sum(_values(part, known) for part in parts)
    if known[node] > _MOST_VALUES:
        raise yaml.composer.ComposerError(problem=f"aliases that stand for more than {_MOST_VALUES:,} values")
    return known[node]


def _overwrite(values: dict[str, Any], own: dict[str, Any], path: Path) -> None:
    for key, value in own.items():
        if not isinstance(key, str):
            raise ValueError(f"{path}: the key {str(key)[:80]} is no text.")
        if isinstance(value, dict):
            if not isinstance(values.setdefault(key, {}), dict):
                raise ValueError(f"{path}: {key} is one value in its {BASE}, and has keys of its own here.")
            _overwrite(values[key], value, path)  # key by key, so that what an alias shares is not changed elsewhere
        else:
            values[key] = value
