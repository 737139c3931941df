"""The photos by which the ranges of 8-bit integers are set: a user's folder, or aerial scenes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from explorer.data.aerial import THINGS, render_scene
from explorer.data.images import read_image
from explorer.data.video import is_video
from explorer.engine.config_facts import ModelInput
from explorer.engine.detector import Detector
from explorer.engine.fast.photos import CalibrationPhotos
from explorer.engine.image_files import find_images
from explorer.scoring.runs import read_truth
from explorer.zoo.downloads import sha256_of

PHOTOS = 32
"""Photos of a calibration, at most; of a folder with more, evenly many from its beginning to its end."""
_SEED = 99
"""Of the scenes that stand for photos: they are neither those of training nor those that AP is measured on."""


def calibration_photos(detector: Detector, given: str | Path | None = None) -> CalibrationPhotos | None:
    """Returns how a detector's ranges are to be set.

    Args:
        detector: whose.
        given: photos like those that it will see: a folder, with those within it, or `PATH:SPLIT` of a data set; None
            for aerial scenes, if the detector knows their classes.

    Returns:
        None where nothing is given, and scenes would say nothing of what the detector will see.

    Raises:
        ValueError: there is no such folder or data set, or no image in it.
        OSError: an image cannot be read.
    """
    if given is None:
        return scenes(detector) if detector.class_names == THINGS else None
    found = find_images([given], recursive=True).taken if Path(given).is_dir() else _images_of(str(given))
    files = _spread([file for file in found if not is_video(file)])
    if not files:
        raise ValueError(f"{given} holds videos alone: ranges of int8 are set on photos.")
    photos = tuple(partial(_photo, file, detector.model_input) for file in files)
    return _calibration(detector, f"{len(files)} photos of {given}", photos, " ".join(map(sha256_of, files)))


def _images_of(data: str) -> list[Path]:
    try:
        return [Path(name) for name in read_truth(data).file_names]
    except ValueError as error:
        raise ValueError(f"Ranges of int8 are set on a folder of photos or a data set: {error}") from error


def scenes(detector: Detector, *, keep: bool = True) -> CalibrationPhotos:
    """Returns a calibration on aerial scenes, which sets ranges of any model, if not ones worth keeping."""
    photos = tuple(partial(_scene, index, detector.model_input) for index in range(PHOTOS))
    found = _calibration(detector, f"{PHOTOS} aerial scenes", photos, f"scenes of seed {_SEED}")
    return replace(found, keep=keep and found.keep)


def _calibration(
    detector: Detector, source: str, photos: tuple[Callable[[], dict[str, Any]], ...], content: str
) -> CalibrationPhotos:
    key = hashlib.sha256(f"{detector.model_input} {len(photos)} {content}".encode()).hexdigest()
    return CalibrationPhotos(source, photos, key, keep=detector.weights is not None)


def _spread(files: Sequence[Path]) -> list[Path]:
    count = min(PHOTOS, len(files))
    return [files[index * len(files) // count] for index in range(count)]


def _photo(file: Path, model_input: ModelInput) -> dict[str, Any]:
    return model_input(read_image(file))


def _scene(index: int, model_input: ModelInput) -> dict[str, Any]:
    return model_input(np.ascontiguousarray(render_scene(_SEED, index=index, split="train").image))
