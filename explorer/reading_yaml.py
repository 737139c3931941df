"""YAML that came with a file, read as data in bounded time and memory.

No object is built, no alias is multiplied, and of two values of one key none wins in silence.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

_LARGEST_FILE = 1 << 18
_MOST_VALUES = 100_000


class DataLoader(yaml.SafeLoader):
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


def load_yaml(path: Path, loader: type[DataLoader] = DataLoader) -> Any:
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
