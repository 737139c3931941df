"""Images that belong together, such as the frames of a video: what stays in one part, and what is resampled as one."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from explorer.types import Ints

FOLDER, SCENE = "folder", "scene"
"""The rules by which images of one folder, or of one scene or video, belong together."""
SCENE_KEYS = ("scene", "video_id")
"""Keys of images that say so: that of this project's data, and that of COCO-style video data sets."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Images that belong together, such as the frames of a video: what is resampled instead of single images.

    Attributes:
        rule: which those are (`group_keys`).
        rows: `(I,)` int64, the group of each image, counted from 0.
    """

    rule: str
    rows: Ints

    def __len__(self) -> int:
        return int(self.rows.max(initial=-1)) + 1

    def of_images(self, rows: Ints) -> Groups:
        """The groups of these image rows, counted anew."""
        return Groups(self.rule, np.unique(self.rows[rows], return_inverse=True)[1])


def scenes_of(images: Sequence[Mapping[str, Any]]) -> tuple[int | str, ...] | None:
    """The scene or video of each image; None where not all of them say it."""
    for key in SCENE_KEYS:
        known = [image.get(key) for image in images]
        if known and all(isinstance(own, int | str) for own in known):
            return tuple(known)  # type: ignore[arg-type]
    return None


def group_keys(names: Sequence[str], rule: str, scenes: Sequence[int | str] | None) -> list[Hashable]:
    """What images that belong together have in common, image by image.

    Args:
        names: the images' file names, whose folders are separated by slashes.
        rule: `folder` for those of one folder, `scene` for those of one scene, or a regular expression that is searched
            for in file names, whose first group (else the whole of what it finds) is the same; an image without it is
            on its own.
        scenes: see `scenes_of`.

    Raises:
        ValueError: no image says its scene, or the expression is none.
    """
    if rule == FOLDER:
        return [str(PurePosixPath(name).parent) for name in names]
    if rule == SCENE:
        if scenes is None:
            raise ValueError(
                f"the images do not say which scene they show: not all of them have the key {' or '.join(SCENE_KEYS)}; "
                f"use {FOLDER!r} or a regular expression that finds the scene in their file names"
            )
        return list(scenes)
    try:
        expression = re.compile(rule)
    except re.error as error:
        raise ValueError(f"{rule!r} is not a valid regular expression ({error}), {FOLDER!r} or {SCENE!r}") from error
    found = [(expression.search(name), name) for name in names]
    return [(name,) if own is None else own[1] if expression.groups else own[0] for own, name in found]
