"""Writing an aerial data set in COCO's layout, whole or not at all, the same bytes for the same seed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from explorer.data.aerial.categories import THINGS, panoptic_categories, thing_categories
from explorer.data.aerial.processes import in_batches
from explorer.data.aerial.scene import DEFAULT_SIZE, check_size, render_scene
from explorer.reading import read_json
from explorer.types import SIZES, Array, Progress, size_names
from explorer.writing import alone_in, replacing

_RECIPE_VERSION = 1
_MAX_IMAGES = 999_999


@dataclass(frozen=True)
class AerialSummary:
    """What a data set holds.

    Attributes:
        out: folder of the data set.
        split: name of the split.
        images: number of images.
        objects: number of objects, crowds not counted.
        crowds: number of crowd regions.
        by_size: objects by COCO size, `{"small": …, "medium": …, "large": …}`.
        by_category: objects by category name.
    """

    out: Path
    split: str
    images: int
    objects: int
    crowds: int
    by_size: Mapping[str, int]
    by_category: Mapping[str, int]


def make_aerial(
    out: Path | str,
    *,
    images: int,
    seed: int,
    split: str = "val",
    size: tuple[int, int] = DEFAULT_SIZE,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AerialSummary:
    """Makes a COCO-format data set of procedural aerial scenes with instance and panoptic labels.

    Writes `<split>/*.jpg`, `annotations/instances_<split>.json`, `annotations/panoptic_<split>.json`,
    `panoptic_<split>/*.png` (COCO's RGB ids) and `panoptic_stuff_<split>/*.png` (things 0, stuff from 1, ignore 255)
    under `out`. Everything is made in a hidden folder first; the JSON files move last, so that an interrupted run never
    looks finished. A finished set of the same recipe is left as it is. Other splits in `out` are not touched.

    Args:
        out: folder of the data set; made if missing.
        images: number of images, 1 or more.
        seed: any whole number from 0. Same seed, split, size: same bytes, whatever the number of images and workers.
        split: name of the split, such as `"train"`: letters, digits, `_` and `-`.
        size: `(height, width)` of the images in pixels.
        workers: number of processes; None takes one per processor core, at most 8.
        progress: called in this process with the number of images drawn and the number in all.

    Raises:
        OSError: `out` cannot be written to, or another process writes there.
        RuntimeError: one of the processes was killed.
        ValueError: for arguments out of range, or where `out` holds a split of that name made by another recipe.
    """
    out = Path(out)
    check_size(size)
    _check(images, seed, split, workers)
    recipe = {"generator": "aerial", "version": _RECIPE_VERSION, "seed": seed, "images": images, "size": list(size)}
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give a folder.")
    if _recipe(out, split) == recipe:
        return _summary(out, split)
    staging = out / f".{split}.unfinished"
    with alone_in(out):
        if _recipe(staging, split) != recipe:
            _check_free(out, split)
            shutil.rmtree(staging, ignore_errors=True)
            render = partial(_render_batch, seed=seed, split=split, size=size, staging=staging)
            records = _records(in_batches(render, images, workers), images, staging, split, progress)
            _write_json(records, staging, split, recipe)
        _move(staging, out, split)  # goes on where a killed run stopped moving
    return _summary(out, split)


def _records(
    batches: Generator[list[dict[str, Any]]], images: int, staging: Path, split: str, progress: Progress | None
) -> list[dict[str, Any]]:
    """Draws all batches, so many images, into the staging folder."""
    for folder in (*_folders(split), "annotations"):
        (staging / folder).mkdir(parents=True)
    records: list[dict[str, Any]] = []
    with contextlib.closing(batches):
        for batch in batches:
            records += batch
            if progress is not None:
                progress(len(records), images)
    return records


def _move(staging: Path, out: Path, split: str) -> None:
    (out / "annotations").mkdir(exist_ok=True)
    for name in (*_folders(split), *(f"annotations/{kind}_{split}.json" for kind in ("panoptic", "instances"))):
        if (staging / name).exists():
            (staging / name).replace(out / name)
    shutil.rmtree(staging)


def _folders(split: str) -> tuple[str, str, str]:
    return split, f"panoptic_{split}", f"panoptic_stuff_{split}"


def _check(images: int, seed: int, split: str, workers: int | None) -> None:
    if not 1 <= images <= _MAX_IMAGES:
        raise ValueError(f"images is {images}: give a number from 1 to {_MAX_IMAGES}.")
    if seed < 0:
        raise ValueError(f"seed is {seed}: give a whole number from 0.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", split):
        raise ValueError(f"split is {split!r}: use letters, digits, '_' and '-', such as 'train' or 'val'.")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}: give 1 or more, or None to use the processor's cores.")


def _instances(folder: Path, split: str) -> Path:
    """The file that comes last: with it, a set is complete."""
    return folder / "annotations" / f"instances_{split}.json"


def _recipe(folder: Path, split: str) -> Any:
    """What the set in a folder was made with; None where there is none, or one of another origin."""
    file = _instances(folder, split)
    match read_json(file) if file.is_file() else None:
        case {"info": {"recipe": recipe}}:
            return recipe
    return None


def _check_free(out: Path, split: str) -> None:
    """Raises where another set lies."""
    instances = _instances(out, split)
    if instances.is_file():
        found = _recipe(out, split)
        made = f"made with {found}" if found else "of another origin"
        raise ValueError(f"{out} already holds a split {split!r} {made}. Choose another folder or split, or delete it.")
    for folder in _folders(split):
        if (out / folder).exists() and any((out / folder).iterdir()):
            raise ValueError(
                f"{out / folder} holds files, but there is no {instances.name} that says what they are. "
                "Choose another folder or split, or delete it."
            )


def _render_batch(
    indices: range, *, seed: int, split: str, size: tuple[int, int], staging: Path
) -> list[dict[str, Any]]:
    """Renders and writes images; returns what the JSON files say of each."""
    records = []
    for index in indices:
        scene = render_scene(seed, index=index, split=split, size=size)
        stem = f"{index:06d}"
        (staging / split / f"{stem}.jpg").write_bytes(scene.jpeg)
        _write_png(staging / f"panoptic_{split}" / f"{stem}.png", _bgr_ids(scene.segment_ids))
        _write_png(staging / f"panoptic_stuff_{split}" / f"{stem}.png", scene.sem_seg)
        image = {"id": index + 1, "file_name": f"{stem}.jpg", "height": size[0], "width": size[1]}
        image |= {"layout": scene.layout, "px_per_m": round(scene.px_per_m, 3)}
        records.append({"image": image, "annotations": scene.annotations, "segments": scene.segments})
    return records


def _bgr_ids(segment_ids: Array) -> Array:
    """Encodes ids the way COCO's panoptic PNGs do: `id = red + 256 green + 65536 blue`."""
    return np.stack([(segment_ids >> shift) & 255 for shift in (16, 8, 0)], axis=2).astype(np.uint8)


def _write_png(path: Path, image: Array) -> None:
    # Labels are flat areas: runs of equal pixels pack well and fast.
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    assert done
    path.write_bytes(bytes(data))


def _write_json(records: list[dict[str, Any]], staging: Path, split: str, recipe: Mapping[str, Any]) -> None:
    info = {
        "description": f"Procedural aerial scenes, split {split}",
        "contributor": "VoVNet Explorer",
        "version": str(_RECIPE_VERSION),
        "recipe": dict(recipe),
    }
    shared = {
        "info": info,
        "licenses": [{"id": 1, "name": "CC0 1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}],
        "images": [{**record["image"], "license": 1} for record in records],
    }
    annotations: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    for record in records:
        image_id = record["image"]["id"]
        for annotation in record["annotations"]:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
        file_name = record["image"]["file_name"].replace(".jpg", ".png")
        panoptic.append({"image_id": image_id, "file_name": file_name, "segments_info": list(record["segments"])})
    for kind, listed, categories in (
        ("panoptic", panoptic, panoptic_categories()),
        ("instances", annotations, thing_categories()),  # last: with it the set is complete
    ):
        text = json.dumps({**shared, "annotations": listed, "categories": categories}, separators=(",", ":"))
        with replacing(staging / "annotations" / f"{kind}_{split}.json") as scratch:
            scratch.write_text(text)


def _summary(out: Path, split: str) -> AerialSummary:
    """Counts a finished set."""
    instances = json.loads((out / "annotations" / f"instances_{split}.json").read_text())
    objects = [a for a in instances["annotations"] if not a["iscrowd"]]
    sizes = Counter(size_names([a["area"] for a in objects]))
    categories = Counter(THINGS[a["category_id"] - 1] for a in objects)
    return AerialSummary(
        out,
        split,
        len(instances["images"]),
        len(objects),
        len(instances["annotations"]) - len(objects),
        {size: sizes[size] for size in SIZES},
        {name: categories[name] for name in THINGS},
    )
