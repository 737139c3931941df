"""Database ids that follow from what they stand for, so that writing again writes the same."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from bson import ObjectId


def object_ids(space: str, numbers: npt.NDArray[np.int64]) -> list[ObjectId]:
    """Makes one id per number, in the numbers' order where they are not negative.

    Args:
        space: what is numbered, as in `coco-tiny-val/images`: the same number in another space gets another id.
        numbers: COCO's ids, or rows.
    """
    prefix = hashlib.blake2b(space.encode(), digest_size=4).digest()
    packed = (numbers.astype(np.int64).view(np.uint64)).astype(">u8").tobytes()
    return [ObjectId(prefix + packed[at : at + 8]) for at in range(0, len(packed), 8)]
