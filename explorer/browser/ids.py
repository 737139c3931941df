"""Database ids that follow from what they stand for, so that writing again writes the same."""

from __future__ import annotations

import hashlib

import numpy as np
from bson import ObjectId

from explorer.data.ids import Ids


def object_ids(space: str, ids: Ids) -> list[ObjectId]:
    """Makes one id per number or text, in the numbers' order where they are not negative.

    Args:
        space: what is named, as in `coco-tiny-val/images`: the same number in another space gets another id.
        ids: COCO's ids, or rows. Where they are no column of numbers, what they read as decides.
    """
    return [ObjectId(own) for own in _bytes_of(space, ids)]


def object_ids_as_text(space: str, ids: Ids) -> list[str]:
    """Returns `str` of each of `object_ids`, in a fifth of the time."""
    return [own.hex() for own in _bytes_of(space, ids)]


def _bytes_of(space: str, ids: Ids) -> list[bytes]:
    """Twelve bytes for each id."""
    prefix = hashlib.blake2b(space.encode(), digest_size=4).digest()
    if ids.dtype == object:
        return [prefix + hashlib.blake2b(str(own).encode(), digest_size=8).digest() for own in ids]
    packed = (ids.astype(np.int64).view(np.uint64)).astype(">u8").tobytes()
    return [prefix + packed[at : at + 8] for at in range(0, len(packed), 8)]


def kept_ids(ids: Ids) -> list[int] | list[str]:
    """Returns ids as the database can keep them: whole numbers of 64 bits, or all of them as texts."""
    return [str(own) for own in ids] if ids.dtype == object else ids.tolist()
