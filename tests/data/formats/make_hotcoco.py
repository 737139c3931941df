"""Makes `hotcoco_export.json`: six photographs of BCCD as hotcoco 1.3.0 (MIT) writes and reads them in five formats.

From the project's folder, with `../shared` beside it and hotcoco installed in an environment of its own:

    python tests/data/formats/make_hotcoco.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hotcoco
import numpy as np

HERE = Path(__file__).parent
BCCD = HERE.parents[3] / "shared/data/bccd/annotations/test.json"
PHOTOS = 6
FILES = {
    "to_yolo": "labels",
    "to_voc": ".",
    "to_cvat": "annotations.xml",
    "to_oid": "test-annotations-bbox.csv",
    "to_dota": "labelTxt",
}


def turned(content: dict[str, Any]) -> dict[str, Any]:
    """The boxes turned about their centres, each by another angle: what only DOTA's format holds."""
    angles = np.random.default_rng(3).uniform(-1.5, 1.5, len(content["annotations"])).tolist()
    annotations = [
        own
        | {"obb": [own["bbox"][0] + own["bbox"][2] / 2, own["bbox"][1] + own["bbox"][3] / 2, *own["bbox"][2:], angle]}
        for own, angle in zip(content["annotations"], angles, strict=True)
    ]
    return content | {"annotations": annotations}


def hulls(labels: Path) -> list[list[Any]]:
    """What hotcoco itself reads of DOTA's files: image, class, upright box."""
    coco = hotcoco.COCO.from_dota(str(labels)).dataset
    names = {own["id"]: own["name"] for own in coco["categories"]}
    files = {own["id"]: Path(own["file_name"]).stem for own in coco["images"]}
    return [[files[own["image_id"]], names[own["category_id"]], *own["bbox"]] for own in coco["annotations"]]


def main() -> None:
    """Writes the file."""
    content = json.loads(BCCD.read_text())
    kept = {own["id"] for own in content["images"][:PHOTOS]}
    content["images"] = content["images"][:PHOTOS]
    content["annotations"] = [own for own in content["annotations"] if own["image_id"] in kept]
    written: dict[str, Any] = {"made_by": f"{Path(__file__).name} with hotcoco {version('hotcoco')}"}
    for call, place in FILES.items():
        with TemporaryDirectory() as folder:
            root = Path(folder)
            coco = hotcoco.COCO(turned(content) if call == "to_dota" else content)
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            getattr(coco, call)(str(root / place))
            files = sorted(own for own in root.rglob("*") if own.is_file())
            written[call] = {str(own.relative_to(root)): own.read_text() for own in files}
            if call == "to_dota":
                written["from_dota"] = hulls(root / place)
    (HERE / "hotcoco_export.json").write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
