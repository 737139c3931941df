"""Dividing a data set: groups stay together, shares of classes and sizes are close to what was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from explorer.data.splitting import divide
from explorer.data.truth import ground_truth


@pytest.fixture(scope="module")
def bccd(shared: Path) -> dict[str, Any]:
    return ground_truth(f"{shared}/data/bccd:train")


def test_parts_are_alike(bccd: dict[str, Any]) -> None:
    wanted = {"train": 0.7, "val": 0.2, "test": 0.1}
    divided = divide(bccd, wanted)
    ids = [{image["id"] for image in own["images"]} for own in divided.parts.values()]
    assert set.union(*ids) == {image["id"] for image in bccd["images"]}
    assert sum(map(len, ids)) == len(bccd["images"])
    assert sum(len(own["annotations"]) for own in divided.parts.values()) == len(bccd["annotations"])
    for name, own in divided.parts.items():
        assert {a["image_id"] for a in own["annotations"]} <= {image["id"] for image in own["images"]}
        for label, share in divided.shares[name].items():
            # 2 percentage points; of BCCD's 9 small objects, one is 11
            assert share == pytest.approx(wanted[name], abs=0.12 if label == "small" else 0.02), (name, label)


def test_chance_alone_would_be_worse(bccd: dict[str, Any]) -> None:
    """The rarest class is in every part although there are few of it."""
    rare = dict(bccd, annotations=[dict(a, category_id=1) for a in bccd["annotations"]])
    for annotation in rare["annotations"][::300]:
        annotation["category_id"] = 3
    number = len(rare["annotations"][::300])
    divided = divide(rare, {"a": 1, "b": 1})
    counts = [sum(a["category_id"] == 3 for a in own["annotations"]) for own in divided.parts.values()]
    assert sum(counts) == number
    assert min(counts) >= number // 2


@pytest.mark.parametrize("rule", ["folder", "scene", r"^(\w+)/", r"^\w+(?=/)"])
def test_groups_stay_together(bccd: dict[str, Any], rule: str) -> None:
    grouped = json.loads(json.dumps(bccd))
    for place, image in enumerate(grouped["images"]):
        image["file_name"] = f"patient{place % 20}/{image['file_name']}"
        image["scene"] = place % 20
    divided = divide(grouped, {"train": 0.8, "val": 0.2}, group=rule)
    patients = [{image["file_name"].partition("/")[0] for image in own["images"]} for own in divided.parts.values()]
    assert divided.groups == 20
    assert not patients[0] & patients[1]
    assert len(patients[1]) == 4


def test_classes_of_one_name_are_told_apart() -> None:
    names = ["car", "car", "small", "bus"]
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(4)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        "annotations": [
            {"id": 10 * image + own, "image_id": image, "category_id": own, "area": 5000.0, "iscrowd": 0}
            for image in range(4)
            for own in range(1, 5)
        ],
    }
    for part in divide(content, {"train": 0.5, "val": 0.5}).shares.values():
        assert part == dict.fromkeys(["images", "medium", "car (id 1)", "car (id 2)", "small (id 3)", "bus"], 0.5)


def test_the_seed_decides(bccd: dict[str, Any]) -> None:
    first, again, other = (divide(bccd, {"a": 1, "b": 1}, seed=seed).parts["a"]["images"] for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("wanted", "group", "what"),
    [
        ({"a": 1}, None, "two or more"),
        ({"a": 1, "b": 0}, None, "positive"),
        ({"a": 1, "b": float("nan")}, None, "positive"),
        ({"a": 1, "b": 1}, "(", "not a valid regular expression"),
        ({"a": 1, "b": 1}, "folder", "1 groups"),
    ],
)
def test_wrong_calls(bccd: dict[str, Any], wanted: dict[str, float], group: str | None, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        divide(bccd, wanted, group=group)
