"""The endless stream of training batches, a pure function of its seed.

Nothing here keeps a state that a checkpoint would have to hold. The order of the images follows from the seed
alone, batches are formed from image sizes before any image is read, and the augmentation of a sample draws from
`(seed, rank, position in the stream)`. A run that resumes at iteration *i* walks the first *i* batches as numbers,
which costs microseconds each, and then reads on exactly where the killed run would have. The number of loader
processes does not matter either.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.data import DatasetFromList
from detectron2.data.samplers import RandomSubsetTrainingSampler, RepeatFactorTrainingSampler, TrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset

from explorer.engine.loaders import leave_in_silence

Sample = dict[str, Any]
"""One image in detectron2's dataset or model-input format."""
Mapper = Callable[[Sample], Sample | None]
IndexSampler = Callable[[int], Iterator[int]]
"""Takes a seed, returns this process's endless stream of image indices."""


class Slot(NamedTuple):
    """A place in the stream: which image, and the position that seeds its augmentation."""

    position: int
    image: int


def seed_word(*key: int) -> int:
    """Mixes integers into one well-spread 64-bit seed."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def seed_all(*key: int) -> None:
    """Seeds Python's, NumPy's and torch's global generators (CPU and CUDA) from `key`."""
    word = seed_word(*key)
    random.seed(word)
    np.random.seed(word % 2**32)  # noqa: NPY002 - detectron2's augmentations draw from the global generator
    torch.manual_seed(word)


@contextmanager
def local_seed(*key: int) -> Iterator[None]:
    """Seeds the global CPU generators from `key` inside the block and puts their states back after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    word = seed_word(*key)
    random.seed(word)
    np.random.seed(word % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(word)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def index_sampler(name: str, images: Sequence[Sample], data_config: Mapping[str, Any]) -> IndexSampler:
    """Returns detectron2's training sampler called `name` as a function of the seed.

    Args:
        name: a value of `DATALOADER.SAMPLER_TRAIN`.
        images: the data set.
        data_config: the config's `DATALOADER` node, for the sampler's own options.

    Raises:
        ValueError: the sampler is not one of those whose order follows from a seed.
    """
    match name:
        case "TrainingSampler":
            return lambda seed: iter(TrainingSampler(len(images), seed=seed))
        case "RepeatFactorTrainingSampler":
            factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
                images, data_config["REPEAT_THRESHOLD"], sqrt=data_config["REPEAT_SQRT"]
            )
            return lambda seed: iter(RepeatFactorTrainingSampler(factors, seed=seed))
        case "RandomSubsetTrainingSampler":
            ratio = data_config["RANDOM_SUBSET_RATIO"]
            return lambda seed: iter(
                RandomSubsetTrainingSampler(len(images), ratio, seed_shuffle=seed, seed_subset=seed)
            )
    raise ValueError(
        f"DATALOADER.SAMPLER_TRAIN is {name!r}; choose TrainingSampler, RepeatFactorTrainingSampler or "
        "RandomSubsetTrainingSampler"
    )


def batches_of_slots(slots: Iterator[Slot], size: int, tall: Sequence[bool] | None) -> Iterator[list[Slot]]:
    """Groups `slots` into batches of `size`; with `tall`, only images of one orientation share a batch.

    Args:
        slots: an endless stream.
        size: images per batch of this process.
        tall: by image index, whether it is taller than wide; None batches in stream order. Grouping saves padding.
    """
    buckets: dict[bool, list[Slot]] = {False: [], True: []}
    for slot in slots:
        bucket = buckets[tall is not None and tall[slot.image]]
        bucket.append(slot)
        if len(bucket) == size:
            yield bucket.copy()
            bucket.clear()


class _SlotDataset(Dataset[Sample]):
    """Reads and augments the image of a slot, with randomness that only this slot decides."""

    def __init__(self, images: Sequence[Sample], mapper: Mapper, seed: tuple[int, int]) -> None:
        self._images = DatasetFromList(list(images), copy=False)  # one shared buffer for all loader processes
        self._mapper = mapper
        self._seed = seed

    def __getitem__(self, slot: Slot) -> Sample:
        with local_seed(*self._seed, slot.position):
            for step in range(len(self._images)):
                sample = self._mapper(self._images[(slot.image + step) % len(self._images)])
                if sample is not None:  # a mapper drops an image by returning None; its neighbour takes its place
                    return sample
        raise ValueError(f"none of the {len(self._images)} training images can be used")


class TrainingStream:
    """An endless, reproducible iterable of training batches for this process.

    Attributes:
        seed: decides everything; the same on all processes.
        start: the iteration whose batch comes first when iterated.
    """

    def __init__(
        self,
        images: Sequence[Sample],
        mapper: Mapper,
        *,
        images_per_batch: int,
        seed: int,
        sampler: IndexSampler | None = None,
        group_by_aspect: bool = True,
        workers: int = 0,
    ) -> None:
        """Prepares the stream; nothing is read before it is iterated.

        Args:
            images: the data set, as `get_detection_dataset_dicts` returns it.
            mapper: reads and augments one image.
            images_per_batch: over all processes together.
            seed: at least 0.
            sampler: order of the images by seed; a fresh shuffle for each pass where None.
            group_by_aspect: whether wide and tall images go into separate batches (needs "width" and "height").
            workers: loader processes.

        Raises:
            ValueError: the batch does not divide among the processes.
        """
        processes = comm.get_world_size()
        if images_per_batch < processes or images_per_batch % processes:
            raise ValueError(
                f"{images_per_batch} images per batch (SOLVER.IMS_PER_BATCH) cannot be shared evenly by {processes} "
                "processes; choose a multiple"
            )
        self.seed, self.start = seed, 0
        self._images, self._mapper, self._workers = images, mapper, workers
        self._batch_size = images_per_batch // processes
        self._sampler = sampler or index_sampler("TrainingSampler", images, {})
        self._tall = [image["width"] <= image["height"] for image in images] if group_by_aspect else None

    def slots(self) -> Iterator[list[Slot]]:
        """Yields the batches from `start` on, as places in the stream."""
        stream = (Slot(position, index) for position, index in zip(count(), self._sampler(self.seed), strict=False))
        return islice(batches_of_slots(stream, self._batch_size, self._tall), self.start, None)

    def __iter__(self) -> Iterator[list[Sample]]:
        loader = DataLoader(
            _SlotDataset(self._images, self._mapper, (self.seed, comm.get_rank())),
            batch_sampler=_Reiterable(self.slots),
            num_workers=self._workers,
            collate_fn=list,
            worker_init_fn=leave_in_silence,
            generator=torch.Generator(),  # else starting the loader would draw from the model's generator
        )
        return iter(loader)


class _Reiterable:
    """Makes an iterable of a function that returns an iterator."""

    def __init__(self, make: Callable[[], Iterator[list[Slot]]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[list[Slot]]:
        return self._make()
