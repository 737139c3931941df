"""Reference data in COCO's format, which tests write in the others as their documentation says."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Original:
    """A data set in COCO's format: its content and the folder of its images."""

    source: str
    content: dict[str, Any]
    images: Path

    def link_images(self, folder: Path) -> None:
        """Puts the images into a folder, without copying them where the file system allows."""
        folder.mkdir(parents=True, exist_ok=True)
        for image in self.content["images"]:
            source, target = self.images / image["file_name"], folder / image["file_name"]
            try:
                os.link(source, target)
            except OSError:
                target.write_bytes(source.read_bytes())

    def objects(self, image_id: int) -> list[dict[str, Any]]:
        return [own for own in self.content["annotations"] if own["image_id"] == image_id]

    @property
    def names(self) -> dict[int, str]:
        return {own["id"]: own["name"] for own in self.content["categories"]}

    def rows(self) -> list[tuple[Any, ...]]:
        """What every format has: image, class and box, to a millionth of a pixel."""
        return rows_of(self.content)


def rows_of(content: dict[str, Any]) -> list[tuple[Any, ...]]:
    files = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    names = {own["id"]: own["name"] for own in content["categories"]}
    return sorted(
        (files[own["image_id"]], names[own["category_id"]], *(round(value, 6) + 0.0 for value in own["bbox"]))
        for own in content["annotations"]
    )


@pytest.fixture(scope="session")
def bccd(shared: Path) -> Original:
    """The test split of BCCD: 72 photographs with boxes, no masks."""
    root = shared / "data/bccd"
    content = json.loads((root / "annotations/test.json").read_text())
    return Original(f"{root}:test", content, root / "images")


@pytest.fixture(scope="session")
def coco_tiny(shared: Path) -> Original:
    """50 photographs of COCO val2017 with boxes, masks and crowds."""
    root = shared / "data/coco-tiny"
    content = json.loads((root / "annotations/instances_val2017.json").read_text())
    return Original(f"{root}:val2017", content, root / "val2017")
