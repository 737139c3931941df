"""What is resampled for intervals: single images, or groups of images that resemble each other, such as a video's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from explorer.data.grouping import SCENE, Groups, group_keys
from explorer.scoring.columns import Truth
from explorer.text import legible
from explorer.types import Ints

FEWEST_UNITS = 10
"""Images, or groups of them, with objects that count; with fewer, resamples are too much alike for an interval."""


def units_of(truth: Truth) -> Ints:
    """The row of what each image is resampled with, `(I,)`: of its group, or of itself alone."""
    return np.arange(len(truth.image_ids)) if truth.groups is None else truth.groups.rows


def grouped(truth: Truth, rule: str | None) -> Truth:
    """Returns a data set whose images are resampled in groups.

    Args:
        truth: the data set.
        rule: which images belong together, as `explorer.data.grouping.group_keys` takes it; None for single images. A
            regular expression is searched for in the part of file names that follows the folder which all lie in.

    Raises:
        ValueError: the rule does not apply.
    """
    if rule is None:
        return replace(truth, groups=None)
    above = os.path.commonpath([Path(name).parent for name in truth.file_names]) if truth.file_names else ""
    names = [Path(name).relative_to(above).as_posix() for name in truth.file_names]
    places: dict[object, int] = {}
    rows = [places.setdefault(key, len(places)) for key in group_keys(names, rule, truth.scenes)]
    return replace(truth, groups=Groups(rule, np.array(rows, dtype=np.int64)))


def resampling_note(truth: Truth) -> str:
    """Says what is resampled unless it is single images of scenes of their own; then, nothing."""
    images, scenes = len(truth.image_ids), len(set(truth.scenes or ()))
    if truth.groups is not None:
        return (
            f"Intervals are over {len(truth.groups):,} groups of the {images:,} images "
            f"({legible(truth.groups.rule)}); at least {FEWEST_UNITS} groups with such objects are needed."
        )
    if not 0 < scenes < images:
        return ""
    return (
        f"The {images:,} images are of {scenes:,} scenes. Images of one scene resemble each other, so intervals over "
        f"images are too narrow; `explorer compare --group {SCENE}` resamples whole scenes."
    )
