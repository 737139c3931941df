"""Categories of one name are told apart, whatever their ids."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.data.annotations import categories_in_order


@pytest.mark.parametrize(
    ("ids", "marks"),
    [
        ([7, 3], ["(id 3)", "(id 7)"]),
        ([1, "1"], ["(id 1) (1)", "(id 1) (2)"]),  # they read alike
        ([1, "1", "1"], ["(id 1) (1)", "(id 1) (2)", "(id 1) (3)"]),
    ],
)
def test_categories_of_one_name_are_told_apart(ids: list[Any], marks: list[str]) -> None:
    told = categories_in_order({"id": own, "name": "car"} for own in ids)
    assert [own["name"] for own in told] == [f"car {mark}" for mark in marks]


def test_a_name_that_another_gets_is_told_apart_from_it() -> None:
    named = [(1, "car"), ("1", "car"), (5, "car (id 1) (1)")]
    told = categories_in_order({"id": own, "name": name} for own, name in named)
    assert len({own["name"] for own in told}) == 3
