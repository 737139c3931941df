"""Data sets in other formats than COCO's, read into COCO's form: a module for each, with `find` and `read`.

They are read here, and not by a library, for what the libraries lose or bring. globox (MIT) keeps boxes and names
alone; supervision (MIT) loses ids and difficult objects and brings PyAV; datumaro (MIT) brings pyarrow, lxml and a
pandas below 3; FiftyOne (Apache-2.0) starts a database. None of them goes on where a file is damaged and names what is
wrong with it, as `explorer data check` does. Where they read the same files, tests hold the readers against them.
"""

from __future__ import annotations

from pathlib import Path

from explorer.data.formats import cvat, dota, fiftyone, fiftyone_dataset, label_studio, open_images, table, voc, yolo
from explorer.data.formats.document import Document, ForeignSplit

__all__ = ["FORMATS", "Document", "ForeignSplit", "find"]

FORMATS = (yolo, fiftyone, fiftyone_dataset, cvat, dota, voc, label_studio, open_images, table)
"""In the order in which they are tried."""


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits of a data set in a format other than COCO's; empty where it is in none that is known.

    Args:
        path: a folder, or a file that describes a data set.
        images: folder of its images, where it is not to be looked for; of files only.

    Raises:
        ValueError: it is in such a format, and broken.
    """
    return next((found for own in FORMATS if (found := own.find(path, images))), {})
