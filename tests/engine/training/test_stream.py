"""The stream of training batches: the same whoever asks, wherever it starts."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from explorer.engine.training.stream import Slot, TrainingStream, batches_of_slots, index_sampler, local_seed, seed_all

IMAGES = [{"id": i, "width": 64 if i % 3 else 32, "height": 48, "annotations": []} for i in range(7)]


def noisy(image: dict[str, Any]) -> dict[str, Any]:
    """A mapper that draws from all three global generators, as augmentations may."""
    return {**image, "noise": (random.random(), float(np.random.uniform()), float(torch.rand(())))}  # noqa: NPY002


def stream(**options: Any) -> TrainingStream:
    return TrainingStream(IMAGES, options.pop("mapper", noisy), **{"images_per_batch": 2, "seed": 3, **options})


@pytest.mark.parametrize("group_by_aspect", [False, True])
@pytest.mark.parametrize("start", [1, 6, 25])
def test_a_stream_that_starts_later_goes_on_with_the_same_batches(start: int, group_by_aspect: bool) -> None:
    whole, later = stream(group_by_aspect=group_by_aspect), stream(group_by_aspect=group_by_aspect)
    later.start = start
    assert list(islice(later, 5)) == list(islice(whole, start, start + 5))


def test_the_number_of_loader_processes_changes_nothing() -> None:
    assert list(islice(stream(workers=2), 5)) == list(islice(stream(), 5))


def test_reading_leaves_the_global_generators_alone() -> None:
    seed_all(1)
    expected = random.random(), np.random.uniform(), torch.rand(2).tolist()  # noqa: NPY002
    seed_all(1)
    next(iter(stream()))
    assert (random.random(), np.random.uniform(), torch.rand(2).tolist()) == expected  # noqa: NPY002


def test_local_seed_restores_the_generators_after_an_error() -> None:
    seed_all(1)
    expected = torch.rand(3).tolist()
    seed_all(1)
    with pytest.raises(ZeroDivisionError), local_seed(9):
        _ = torch.rand(5).tolist()[0] / 0
    assert torch.rand(3).tolist() == expected


def test_another_seed_gives_another_order_and_other_noise() -> None:
    first, second = next(iter(stream(seed=3))), next(iter(stream(seed=4)))
    assert [image["noise"] for image in first] != [image["noise"] for image in second]
    order = [[slot.image for batch in islice(stream(seed=s).slots(), 7) for slot in batch] for s in (3, 4)]
    assert order[0] != order[1]


def test_each_pass_shows_every_image_once_and_a_repeated_image_is_augmented_anew() -> None:
    samples = [sample for batch in islice(stream(group_by_aspect=False, images_per_batch=1), 14) for sample in batch]
    assert sorted(sample["id"] for sample in samples[:7]) == list(range(7))
    assert len({sample["noise"] for sample in samples}) == 14


def test_batches_hold_one_orientation_only() -> None:
    for batch in islice(stream().slots(), 30):
        assert len({IMAGES[slot.image]["width"] <= IMAGES[slot.image]["height"] for slot in batch}) == 1


def test_batches_of_slots_keeps_stream_order_without_grouping() -> None:
    slots = [Slot(position, index) for position, index in enumerate([4, 0, 2, 2, 1])]
    assert list(batches_of_slots(iter(slots), 2, None)) == [slots[:2], slots[2:4]]


def test_an_image_that_the_mapper_drops_is_replaced_by_its_neighbour() -> None:
    samples = stream(mapper=lambda image: noisy(image) if image["id"] != 2 else None, group_by_aspect=False)
    seen = [sample["id"] for batch in islice(samples, 7) for sample in batch]
    assert len(seen) == 14
    assert 2 not in seen


def test_a_data_set_of_which_nothing_can_be_used_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of the 7 training images"):
        next(iter(stream(mapper=lambda image: None)))


@pytest.mark.parametrize("name", ["TrainingSampler", "RepeatFactorTrainingSampler", "RandomSubsetTrainingSampler"])
def test_every_sampler_follows_from_its_seed(name: str) -> None:
    options = {"REPEAT_THRESHOLD": 0.5, "REPEAT_SQRT": True, "RANDOM_SUBSET_RATIO": 0.5}
    sampler = index_sampler(name, IMAGES, options)
    assert list(islice(sampler(5), 40)) == list(islice(sampler(5), 40))
    assert list(islice(sampler(5), 40)) != list(islice(sampler(6), 40))


def test_an_unknown_sampler_is_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match="'Sorted'; choose TrainingSampler"):
        index_sampler("Sorted", IMAGES, {})


def test_a_batch_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(ValueError, match="0 images per batch"):
        stream(images_per_batch=0)
