"""Run-length codes are judged without the C decoder, which must never see a wrong one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as mask_api

from explorer.data.masks import decode_runs, encode_crop, encode_masks, judge_mask


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_every_code_of_pycocotools_is_understood(mask: np.ndarray) -> None:
    code = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    runs = decode_runs(code["counts"].decode())
    assert runs is not None
    assert np.array_equal(np.repeat(np.arange(len(runs)) % 2, runs).reshape(mask.shape, order="F"), mask)
    rle = {"size": list(mask.shape), "counts": code["counts"].decode()}
    assert not list(judge_mask(rle, mask.shape))
    assert not list(judge_mask({"size": list(mask.shape), "counts": runs.tolist()}, mask.shape))


@given(
    arrays.arrays(np.bool_, st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_part_is_encoded_as_the_whole(crop: np.ndarray, left: int, above: int, right: int, below: int) -> None:
    mask = np.pad(crop, ((above, below), (left, right)))
    if mask.size:
        wanted = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
        assert encode_crop(crop, left, above, mask.shape) == wanted


def test_masks_are_looked_at_within_their_boxes() -> None:
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 4:9, 6:12], masks[1, :, 28:] = True, True
    boxes = np.array([[6.2, 4.4, 11.7, 8.6], [28, -3, 40, 25], [-9, -9, -5, -5]])
    assert encode_masks(masks, boxes) == encode_masks(masks)


@given(st.text(max_size=30))
def test_any_text_is_judged_without_a_crash(counts: str) -> None:
    runs = decode_runs(counts) if counts.isascii() else None
    fits = runs is not None and (runs >= 0).all() and runs.sum() == 12
    assert bool(list(judge_mask({"size": [3, 4], "counts": counts}, (3, 4)))) is not fits


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [4, 3], "counts": [12]},
        {"size": [3.0, 4.0], "counts": [12]},
        {"size": [3, 4], "counts": [11]},
        {"size": [3, 4], "counts": [6, -6, 12]},
        {"size": [3, 4], "counts": [12.0]},
        {"size": [3, 4], "counts": [10**400]},
        {"size": [3, 4], "counts": None},
        {"size": [3, 4]},
        {"counts": [12]},
        [1, 2, 3, 4, 5, 6],
        [["a", "b", "c", "d", "e", "f"]],
        [[True] * 6],
        "polygon",
    ],
)
def test_malformed_masks_are_bad(segmentation: object) -> None:
    assert [kind for kind, _ in judge_mask(segmentation, (3, 4))] == ["bad-mask"]


@pytest.mark.parametrize(
    ("polygons", "kinds"),
    [
        ([[0, 0, 3, 0, 3, 3]], []),
        ([[0, 0, 3, 0]], ["short-polygon"]),
        ([[0, 0, 3, 0, 3, 3, 1]], ["short-polygon"]),
        ([[0, 0, 3, 0, 3, 3], []], ["short-part"]),
        ([[0, 0, 3, 0, float("nan"), 3]], ["not-finite"]),
        ([[0, 0, 3, 0, 10**400, 3]], ["not-finite"]),
    ],
)
def test_polygons(polygons: list[list[float]], kinds: list[str]) -> None:
    assert [kind for kind, _ in judge_mask(polygons, (3, 4))] == kinds
