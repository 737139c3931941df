"""Options on what is scored: `--classes` and `--map`."""

from __future__ import annotations

from collections.abc import Sequence


def names_in(text: str | None) -> list[str]:
    """Splits `--classes`: names between commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def renamings(pairs: Sequence[str] | None) -> dict[str, str]:
    """Reads `--map OLD=NEW`, given any number of times.

    Raises:
        ValueError: there is no name on one side, or a class gets two new names.
    """
    renamed: dict[str, str] = {}
    for pair in pairs or ():
        old, _, new = (part.strip() for part in pair.partition("="))
        if not (old and new):
            raise ValueError(f'--map {pair!r} is not a pair of classes: write --map "minibus=car".')
        if renamed.setdefault(old, new) != new:
            raise ValueError(f"--map gives class {old!r} two new names, {renamed[old]!r} and {new!r}.")
    return renamed
