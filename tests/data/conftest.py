"""A small data set in COCO's format, made on the spot, to be broken in every way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIZE = (40, 60)  # (height, width)


@dataclass
class TinyCoco:
    """Four images of 60 x 40 px with two boxes each; image 4 has none, category ids have gaps."""

    root: Path
    data: dict[str, Any]

    @property
    def file(self) -> Path:
        return self.root / "annotations" / "instances_train.json"

    @property
    def source(self) -> str:
        return f"{self.root}:train"

    def image(self, number: int) -> Path:
        return self.root / "train" / f"{number}.png"

    def save(self) -> None:
        self.file.write_text(json.dumps(self.data))

    def rename(self, ids: Sequence[int | str]) -> None:
        """Gives images and categories these ids, and annotations such as these."""
        image_ids = dict(zip((image["id"] for image in self.data["images"]), ids, strict=False))
        category_ids = dict(zip((own["id"] for own in self.data["categories"]), ids, strict=False))
        for image in self.data["images"]:
            image["id"] = image_ids[image["id"]]
        for category in self.data["categories"]:
            category["id"] = category_ids[category["id"]]
        for place, annotation in enumerate(self.data["annotations"]):
            annotation["image_id"] = image_ids[annotation["image_id"]]
            if "id" in annotation:
                annotation["id"] = [*ids, "y", "z"][place]
            for record in annotation.get("segments_info", [annotation]):
                record["category_id"] = category_ids[record["category_id"]]
        self.save()


@pytest.fixture
def tiny_coco(tmp_path: Path) -> TinyCoco:
    root = tmp_path / "tiny"
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), dtype=np.uint8)
    images, annotations = [], []
    for number in range(1, 5):
        Image.fromarray(noise[number - 1]).save(root / "train" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]})
        for side in (0, 1) if number < 4 else ():
            x, y = 5 + 30 * side, 10
            annotations.append(
                {
                    "id": 10 * number + side,
                    "image_id": number,
                    "category_id": (3, 7)[side],
                    "bbox": [x, y, 20, 15],
                    "area": 300,
                    "iscrowd": 0,
                    "segmentation": [[x, y, x + 20, y, x + 20, y + 15, x, y + 15]],
                }
            )
    categories = [{"id": 7, "name": "cup"}, {"id": 3, "name": "box"}]
    tiny = TinyCoco(root, {"images": images, "annotations": annotations, "categories": categories})
    tiny.save()
    return tiny


@pytest.fixture
def tiny_panoptic(tiny_coco: TinyCoco) -> TinyCoco:
    """The same as panoptic labels alone: two things and one stuff class, a strip of nothing on top."""
    instances = tiny_coco.data
    tiny_coco.file.unlink()
    labels = tiny_coco.root / "panoptic_train"
    labels.mkdir()
    records = []
    for image in instances["images"][:3]:
        ids = np.full(SIZE, 70_000 + image["id"], dtype=np.uint32)
        ids[:4] = 0
        segments = [{"id": 70_000 + image["id"], "category_id": 20, "bbox": [0, 4, 60, 36], "area": 1560, "iscrowd": 0}]
        for annotation in instances["annotations"]:
            if annotation["image_id"] == image["id"]:
                x, y, width, height = annotation["bbox"]
                ids[y : y + height, x : x + width] = annotation["id"]
                segments.append({key: annotation[key] for key in ("id", "category_id", "bbox", "area", "iscrowd")})
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(rgb).save(labels / f"{image['id']}.png")
        records.append({"image_id": image["id"], "file_name": f"{image['id']}.png", "segments_info": segments})
    categories = [{**category, "isthing": 1} for category in instances["categories"]]
    categories.append({"id": 20, "name": "sky", "isthing": 0})
    data = {"images": instances["images"][:3], "annotations": records, "categories": categories}
    panoptic = TinyPanoptic(tiny_coco.root, data)
    panoptic.save()
    return panoptic


class TinyPanoptic(TinyCoco):
    @property
    def file(self) -> Path:
        return self.root / "annotations" / "panoptic_train.json"
