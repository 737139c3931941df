"""Ids in COCO files: whole numbers of any length, or texts. They name things and are never computed with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from explorer.types import Array

Id = int | str
Ids = Array
"""A column of ids: int64 where all of them are numbers that fit, else of Python's own numbers and texts."""

EXACT_FLOATS = 2**53
"""Floats below this are the whole numbers that they were written as."""


def as_id(value: Any) -> Id | None:
    """Returns a value from JSON as an id, None for what is none.

    A whole float is the whole number: pandas writes 7.0 for 7 where a column has gaps. Truth values are no ids, nor
    are floats from 2⁵³ on, which do not say which number was meant.
    """
    if type(value) is int or type(value) is str:
        return value
    if type(value) is float and value.is_integer() and abs(value) < EXACT_FLOATS:
        return int(value)
    return None


def id_order(own: Id) -> tuple[bool, int, str]:
    """The key that sorts ids as COCO does: numbers ascending; texts come after them."""
    return (True, 0, own) if isinstance(own, str) else (False, own, "")


def id_column(ids: Iterable[Id]) -> Ids:
    """Makes a column of ids; `tolist` gives them back as they were."""
    values = list(ids)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    fit = all(type(own) is int and -(2**63) <= own < 2**63 for own in values)
    return column.astype(np.int64) if fit else column


def alike(ids: Iterable[Id]) -> list[list[Id]]:
    """Groups ids that are equal or read alike, as 1 and "1" do; ids that stand alone are left out."""
    given = list(ids)
    texts = list(map(str, given))
    if len(set(texts)) == len(texts):
        return []
    groups: dict[str, list[Id]] = {}
    for own, text in zip(given, texts, strict=True):
        groups.setdefault(text, []).append(own)
    return [group for group in groups.values() if len(group) > 1]
