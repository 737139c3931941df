"""The images of a data set as an evaluation reads them: none is skipped, and all processes stop together."""

from __future__ import annotations

from typing import Any

from detectron2.data import build_detection_test_loader
from detectron2.utils import comm
from torch.utils.data import DataLoader

from explorer.data.images import ImageError, read_sized
from explorer.engine.config_facts import ModelInput
from explorer.engine.loaders import leave_in_silence
from explorer.scoring.columns import Truth
from explorer.types import Pixels

Sample = dict[str, Any]
"""One image in detectron2's model-input format."""


class ReadForTest:
    """Turns an image's record into a model's input, reading images as prediction does.

    Picklable, so that data-loader processes can have it. The record's other entries stay.
    """

    def __init__(self, model_input: ModelInput) -> None:
        self._model_input = model_input

    def __call__(self, record: Sample) -> Sample:
        """Returns detectron2's model input.

        Raises:
            ImageError: if the image cannot be read or has another size than its annotations say.
        """
        return record | self._model_input(read_sized(record["file_name"], (record["height"], record["width"])))


def read_row(truth: Truth, row: int) -> Pixels:
    """Reads one image of a data set, `(height, width, 3)` uint8, BGR, as `ReadForTest` does.

    Raises:
        ImageError: it cannot be read, or has another size than its annotations say.
    """
    height, width = truth.image_sizes[row].tolist()
    return read_sized(truth.file_names[row], (height, width))


class StoppedError(ImageError):
    """What all processes raise together."""


def stop_together(error: ImageError | None) -> None:
    """Tells the other processes what this one met; where any met something, all raise, so that none waits for ever.

    Raises:
        ImageError: the first process's own words.
    """
    # a loader process puts its traceback before the message
    words = str(error).rpartition("ImageError: ")[2].strip() if error else None
    # torch's frame that raised it holds on to it, so that its traceback would keep the loader's processes alive
    cause = error and error.with_traceback(None)
    for met in comm.all_gather(words):
        if met is not None:
            raise StoppedError(f"the evaluation stops at an image that cannot be used: {met}") from cause


def image_loader(truth: Truth, reads: ModelInput, workers: int) -> DataLoader[Any]:
    """Reads the images of a data set one by one; several processes share them.

    Each input has, beside what detectron2's models take, the image's `image_id` and its `row` in `truth`.

    Args:
        truth: whose images.
        reads: how an image becomes an input.
        workers: processes that read, at most.

    Raises:
        ValueError: there are no images.
    """
    records = [
        {"row": row, "image_id": image_id, "file_name": file_name, "height": height, "width": width}
        for row, (image_id, file_name, (height, width)) in enumerate(
            zip(truth.image_ids.tolist(), truth.file_names, truth.image_sizes.tolist(), strict=True)
        )
    ]
    if not records:
        raise ValueError("The data set has no images to evaluate on.")
    loader: DataLoader[Any] = build_detection_test_loader(
        records, mapper=ReadForTest(reads), num_workers=min(workers, len(records))
    )
    loader.worker_init_fn = leave_in_silence
    return loader
