"""Which data set a `source` means, before anything of it is read: a split on disk, or one of detectron2's names.

detectron2 is asked only where it may know the name: figures of runs need no model, and a second less without it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from explorer.data.layout import Split, find_split

_IS_NAME = re.compile(r"[\w.-]+")
"""What detectron2's own names look like; paths and splits have further characters."""


def annotation_files(source: str) -> tuple[str, tuple[Path, ...]]:
    """Returns the name that a data set would be registered under and its annotation files, without reading them.

    Raises:
        ValueError: nothing is there, or several splits are and none is named.
    """
    split = any_split(source)
    return split.source, split.files


def instances_split(source: str) -> Split:
    """Finds the one split that `source` means, which has boxes or masks, without reading them.

    Raises:
        ValueError: nothing is there, several splits are and none is named, or it has no objects.
    """
    split = any_split(source)
    if not split.has_instances:
        raise ValueError(f"{source} has no instance annotations to score detections against")
    return split


def any_split(source: str) -> Split:
    """Finds the one split that `source` means, which may be one of detectron2's own names.

    Raises:
        ValueError: nothing is there, or several splits are and none is named.
    """
    if not is_registered(source):
        return find_split(source)
    require_files(source)
    from detectron2.data import MetadataCatalog

    metadata = MetadataCatalog.get(source)
    instances, panoptic = (metadata.get(key) for key in ("json_file", "panoptic_json"))
    images = Path(metadata.get("image_root") or "")
    return Split(source, images, Path(instances) if instances else None, Path(panoptic) if panoptic else None)


def is_registered(source: str) -> bool:
    """Whether a name is one that detectron2 or somebody else has registered."""
    if not _IS_NAME.fullmatch(source) and "detectron2.data" not in sys.modules:
        return False  # none of detectron2's own, and nobody can have registered another
    from detectron2.data import DatasetCatalog, MetadataCatalog

    return source in DatasetCatalog and not MetadataCatalog.get(source).get("stamp")


def require_files(name: str) -> None:
    """Refuses a registered data set whose files are not there.

    Raises:
        ValueError: some are not.
    """
    from detectron2.data import MetadataCatalog

    metadata = MetadataCatalog.get(name)
    paths = [metadata.get(key) for key in ("json_file", "image_root", "panoptic_json", "panoptic_root", "sem_seg_root")]
    missing = [path for path in paths if isinstance(path, str) and "://" not in path and not Path(path).exists()]
    if missing:
        raise ValueError(
            f"{name} is registered, but {', '.join(missing)} is not there. Set DETECTRON2_DATASETS to the folder that "
            "holds it before the start, or give the data set's own folder as PATH:SPLIT"
        )
