"""YAML files of configurations and the bases they stand on.

What detectron2's own reader does with a file from outside is not done here: no address is opened, and of two values of
one key none wins in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.reading_yaml import load_yaml

BASE = "_BASE_"
_SUFFIXES = (".yaml", ".yml")
_MOST_BASES = 20


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
        raise ValueError(f"{path} includes itself: its {BASE} leads back to it, or through {_MOST_BASES} files.")
    own = load_yaml(path)
    if not isinstance(own, dict):
        raise ValueError(f"{path} is not a YAML configuration: it contains no keys with values.")
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


def _overwrite(values: dict[str, Any], own: dict[str, Any], path: Path) -> None:
    for key, value in own.items():
        if not isinstance(key, str):
            raise ValueError(f"{path}: the key {str(key)[:80]} is not a string.")
        if isinstance(value, dict):
            if not isinstance(values.setdefault(key, {}), dict):
                raise ValueError(f"{path}: {key} is one value in its {BASE}, and has keys of its own here.")
            _overwrite(values[key], value, path)  # key by key, so that what an alias shares is not changed elsewhere
        else:
            values[key] = value
