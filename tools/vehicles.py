"""Makes the training data of `configs/aerial-real`: real aerial photographs with vehicles, and procedural scenes.

    python tools/vehicles.py ../shared/data/aerial-real vehicles
    python train_net.py --config-file aerial-real/faster_rcnn_V_19_slim_dw --num-gpus 0 MODEL.WEIGHTS demo/V-19-slim-dw

Two thirds of the images are photographs. Single photographs are repeated more often than the frames of a sequence,
which resemble each other. The classes are those that both sources share, and minibuses; val contains only photographs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from explorer.data.aerial import make_aerial

CLASSES = ("car", "truck", "bus", "minibus")
DRAWN, SEED = 180, 11
TIMES, TIMES_ALONE = 2, 8
"""How often a frame of a sequence comes up, and a photograph that is the only one of its scene."""


class Mix:
    """A COCO data set of links to images elsewhere."""

    def __init__(self, out: Path, split: str) -> None:
        self._folder, self._file = out / split, out / f"annotations/instances_{split}.json"
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: Path, split: str, times: dict[str, int] | int) -> None:
        """Adds the images of a data set that have vehicles; `times` says how often, by scene where it is a mapping."""
        content = json.loads((source / f"annotations/instances_{split}.json").read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        for image in content["images"]:
            own = [
                one
                for one in content["annotations"]
                if one["image_id"] == image["id"] and names[one["category_id"]] in CLASSES
            ]
            number = times if isinstance(times, int) else times[image["scene"]]
            for turn in range(number if own else 0):
                self._put(source / split / image["file_name"], f"{source.name}-{turn}", image, own, names)

    def _put(
        self, file: Path, prefix: str, image: dict[str, Any], annotations: list[dict[str, Any]], names: dict[int, str]
    ) -> None:
        link = self._folder / f"{prefix}-{file.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve())
        self._images.append(image | {"id": len(self._images) + 1, "file_name": link.name})
        for one in annotations:
            told = {key: one[key] for key in ("bbox", "area")} | {"iscrowd": one.get("iscrowd", 0)}
            place = {"id": len(self._annotations) + 1, "image_id": len(self._images)}
            told |= {"category_id": CLASSES.index(names[one["category_id"]]) + 1}
            self._annotations.append(place | told)

    def write(self) -> None:
        """Writes the annotations, and says what there is."""
        self._file.parent.mkdir(exist_ok=True)
        categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
        document = {"images": self._images, "annotations": self._annotations, "categories": categories}
        self._file.write_text(json.dumps(document))
        print(self._file, len(self._images), Counter(CLASSES[one["category_id"] - 1] for one in self._annotations))


def make_vehicles(real: Path, out: Path) -> None:
    """Makes the mix.

    Args:
        real: folder of the aerial-real data set.
        out: output folder.
    """
    drawn = out / "drawn"
    make_aerial(drawn, images=DRAWN, seed=SEED)
    images = json.loads((real / "annotations/instances_train.json").read_text())["images"]
    frames = Counter(image["scene"] for image in images)
    train, val = Mix(out, "train"), Mix(out, "val")
    train.add(real, "train", {scene: TIMES_ALONE if number == 1 else TIMES for scene, number in frames.items()})
    train.add(drawn, "val", 1)
    val.add(real, "val", 1)
    for mix in (train, val):
        mix.write()


def main() -> None:
    """Makes the mix that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, help="folder of the aerial-real data set")
    parser.add_argument("out", type=Path, help="output folder")
    given = parser.parse_args()
    make_vehicles(given.real, given.out)


if __name__ == "__main__":
    main()
