"""A data set divided into parts that are alike: by groups that stay together, stratified by class and size.

Source: Sechidis et al., On the stratification of multi-label data, ECML PKDD 2011; here for groups, each going where
the squared distance from what is wanted grows least, and exchanged afterwards where that brings it down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.data.annotations import categories_in_order, is_crowd
from explorer.data.grouping import group_keys, scenes_of
from explorer.types import SIZES, Floats, Ints, size_names

_SWAPS_PER_GROUP, _MOST_SWAPS = 100, 50_000


@dataclass(frozen=True)
class Division:
    """A data set divided into parts.

    Attributes:
        parts: annotations in COCO's form, by the name of their part.
        groups: number of groups.
        shares: by part, its share of the images and of the objects of each class and of each of `SIZES`, 0 … 1. Where a
            name stands for several of these, a class's has its id behind it.
    """

    parts: Mapping[str, dict[str, Any]]
    groups: int
    shares: Mapping[str, Mapping[str, float]]


def divide(
    content: Mapping[str, Any], wanted: Mapping[str, float], *, group: str | None = None, seed: int = 0
) -> Division:
    """Divides annotations into parts with about the wanted shares of images, and of objects of each class and size.

    Args:
        content: annotations in COCO's form, each with its `area` (`explorer.data.truth.scorable`).
        wanted: share of the images by the part's name; shares are made to add up to 1.
        group: which images stay together, a rule of `explorer.data.grouping.group_keys`. None leaves each on its own.
        seed: of the order among groups that are alike; the same seed gives the same parts.

    Raises:
        ValueError: shares are not positive, the rule does not apply, or there are fewer groups than parts.
    """
    shares = _checked(wanted)
    groups = _groups(content["images"], group)
    if len(groups) < len(shares):
        raise ValueError(
            f"there are {len(groups)} groups of images to be divided into {len(shares)} parts: "
            f"{'divide by something finer than ' + repr(group) if group else 'there are too few images'}"
        )
    names, counts = _counts(content, groups)
    chosen = _assign(counts, np.array(list(shares.values())), np.random.default_rng(seed))
    parts: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(shares):
        ids = {image["id"] for own, part in zip(groups, chosen, strict=True) if part == place for image in own}
        parts[name] = {
            **content,
            "images": [image for image in content["images"] if image["id"] in ids],
            "annotations": [own for own in content["annotations"] if own["image_id"] in ids],
        }
    totals = counts.sum(axis=0)
    of_parts = {name: counts[chosen == place].sum(axis=0) for place, name in enumerate(shares)}
    reached = {
        name: {label: float(own / total) for label, own, total in zip(names, of_part, totals, strict=True) if total}
        for name, of_part in of_parts.items()
    }
    return Division(parts, len(groups), reached)


def _checked(wanted: Mapping[str, float]) -> dict[str, float]:
    if len(wanted) < 2 or not all(0 < share < float("inf") for share in wanted.values()):
        raise ValueError(f"parts are {dict(wanted)}: give two or more with positive shares, as in train=0.8,val=0.2")
    total = sum(wanted.values())
    return {name: share / total for name, share in wanted.items()}


def _groups(images: Sequence[Mapping[str, Any]], rule: str | None) -> list[list[Mapping[str, Any]]]:
    if rule is None:
        return [[image] for image in images]
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    keys = group_keys([image["file_name"] for image in images], rule, scenes_of(images))
    for image, key in zip(images, keys, strict=True):
        groups.setdefault(key, []).append(image)
    return list(groups.values())


def _counts(content: Mapping[str, Any], groups: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[list[str], Floats]:
    """Per group, its number of images and of objects of each size and class `(groups, 1 + sizes + classes)`."""
    group_of = {image["id"]: place for place, own in enumerate(groups) for image in own}
    categories = categories_in_order(content["categories"])
    column = {own["id"]: 1 + len(SIZES) + place for place, own in enumerate(categories)}
    counts = np.zeros((len(groups), 1 + len(SIZES) + len(categories)))
    counts[:, 0] = [len(own) for own in groups]
    objects = [own for own in content["annotations"] if not is_crowd(own)]
    size_columns = [1 + SIZES.index(name) for name in size_names([own["area"] for own in objects])]
    tally = Counter[tuple[int, int]]()
    for own, size in zip(objects, size_columns, strict=True):
        tally.update([(group_of[own["image_id"]], size), (group_of[own["image_id"]], column[own["category_id"]])])
    for (row, place), number in tally.items():
        counts[row, place] = number
    taken = Counter(["images", *SIZES, *(own["name"] for own in categories)])
    names = [own["name"] if taken[own["name"]] == 1 else f"{own['name']} (id {own['id']})" for own in categories]
    return ["images", *SIZES, *names], counts


def _assign(counts: Floats, shares: Floats, chance: np.random.Generator) -> Ints:
    """The part of each group: the heaviest group first, each to where it costs least."""
    totals = counts.sum(axis=0)
    relative = counts[:, totals > 0] / totals[totals > 0]
    # images count as much as all classes and sizes together, so that parts get the size that was asked for
    weights = np.ones(relative.shape[1])
    weights[0] = max(1, len(weights) - 1)
    have = np.zeros((len(shares), relative.shape[1]))
    order = np.lexsort((chance.random(len(counts)), -relative.max(axis=1)))
    chosen = np.zeros(len(counts), dtype=np.int64)
    for row in order:
        own = relative[row]
        cost = (weights * own * (2 * (have - shares[:, None]) + own)).sum(axis=1)
        best = int(np.argmin(cost))
        chosen[row] = best
        have[best] += own
    empty = [part for part in range(len(shares)) if not (chosen == part).any()]
    for part in empty:  # one group each, from the part that has most
        most = np.bincount(chosen, minlength=len(shares)).argmax()
        chosen[np.flatnonzero(chosen == most)[-1]] = part
    return _swapped(relative, weights, chosen, shares, chance)


def _swapped(
    relative: Floats,
    weights: Floats,
    chosen: Ints,
    shares: Floats,
    chance: np.random.Generator,
) -> Ints:
    """Exchanges random groups of two parts wherever that brings the parts closer to what is wanted."""
    missed = np.stack([relative[chosen == part].sum(axis=0) for part in range(len(shares))]) - shares[:, None]
    for a, b in chance.integers(len(chosen), size=(min(_SWAPS_PER_GROUP * len(chosen), _MOST_SWAPS), 2)):
        one, other = chosen[a], chosen[b]
        if one != other:
            change = relative[b] - relative[a]
            cost = weights * (2 * change * (missed[one] - missed[other]) + 2 * change**2)
            if cost.sum() < -1e-15:
                missed[one] += change
                missed[other] -= change
                chosen[a], chosen[b] = other, one
    return chosen
