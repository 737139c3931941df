"""FiftyOne's export of a whole data set. `fiftyone_export.json` holds what FiftyOne 1.22 wrote of three photographs."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from explorer.data.check import check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.layout import find_split, list_splits
from tests.data.formats.conftest import Original, rows_of

EXPORT = Path(__file__).with_name("fiftyone_export.json")


@pytest.fixture
def export(coco_tiny: Original, tmp_path: Path) -> Path:
    for name, content in json.loads(EXPORT.read_text()).items():
        (tmp_path / name).write_text(json.dumps(content))
    coco_tiny.link_images(tmp_path / "data")
    return tmp_path


def masks_of(content: dict[str, Any], image: dict[str, Any]) -> list[Any]:
    size = image["height"], image["width"]
    masks = []
    for own in (own for own in content["annotations"] if own["image_id"] == image["id"]):
        seen = own["segmentation"]
        rle = (
            mask_api.frPyObjects(seen, *size)
            if not isinstance(seen, dict) or isinstance(seen["counts"], list)
            else seen
        )
        masks.append(mask_api.merge(rle) if isinstance(rle, list) else rle)
    return masks


def test_fields_are_splits_and_boxes_masks_crowds_and_classes_are_cocos(export: Path, coco_tiny: Original) -> None:
    assert list_splits(export) == ("detections", "segmentations")
    content, problems = find_split(f"{export}:segmentations").read_instances()
    names = {image["file_name"] for image in content["images"]}
    ids = {image["id"] for image in coco_tiny.content["images"] if image["file_name"] in names}
    theirs = {**coco_tiny.content, "annotations": [x for x in coco_tiny.content["annotations"] if x["image_id"] in ids]}
    assert [own.kind for own in problems] == ["format"]
    assert len(content["annotations"]) == 21
    ours, wanted = rows_of(content), rows_of(theirs)
    assert [row[:2] for row in ours] == [row[:2] for row in wanted]
    np.testing.assert_allclose([row[2:] for row in ours], [row[2:] for row in wanted], atol=1e-5)
    for image in content["images"]:
        assert image["id"] in ids
        pairs = zip(masks_of(content, image), masks_of(theirs, image), strict=True)
        overlaps = [mask_api.iou([a], [b], [0])[0, 0] for a, b in pairs]
        assert min(overlaps) > 0.88  # FiftyOne rounds the boxes that it cuts masks with
        assert np.mean(overlaps) > 0.98
    assert class_names(register_coco(f"{export}:detections"))[:2] == ("person", "bicycle")
    boxes, _ = find_split(f"{export / 'samples.json'}:detections").read_instances()
    assert rows_of(boxes) == ours


def test_one_field_is_all_and_needs_no_metadata(export: Path) -> None:
    samples = json.loads((export / "samples.json").read_text())
    for own in samples["samples"]:
        del own["segmentations"]
        own["filepath"] = f"/elsewhere/photos/{Path(own['filepath']).name}"
    (export / "samples.json").write_text(json.dumps(samples))
    (export / "metadata.json").unlink()
    assert list_splits(export) == ("all",)
    content, _ = find_split(str(export)).read_instances()
    assert len(content["annotations"]) == 21
    assert [own["name"] for own in content["categories"]] == sorted({row[1] for row in rows_of(content)})


def packed(array: Any, version: tuple[int, int] = (1, 0)) -> dict[str, Any]:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return binary(file.getvalue())


def binary(content: bytes) -> dict[str, Any]:
    return {"$binary": {"base64": base64.b64encode(zlib.compress(content)).decode(), "subType": "00"}}


def bomb() -> dict[str, Any]:
    """A head that promises ten gigabytes, and zeros that compress well."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|b1", "fortran_order": False, "shape": (100_000, 100_000)})
    return binary(file.getvalue() + bytes(1 << 20))


BROKEN = {"$binary": {"base64": base64.b64encode(b"no zlib").decode()}}
GOOD = {"label": "cup", "bounding_box": [0.25, 0.25, 0.5, 0.5]}


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        ({**GOOD, "mask": packed(np.array([{}], object))}, "bad-mask"),
        ({**GOOD, "mask": packed(np.zeros(7, bool))}, "bad-mask"),
        ({**GOOD, "mask": bomb()}, "bad-mask"),
        ({**GOOD, "mask": packed(np.ones((2, 2), bool), (2, 0))}, "bad-mask"),
        ({**GOOD, "mask": BROKEN}, "bad-mask"),
        ({**GOOD, "mask": {"$binary": {"base64": "???"}}}, "bad-mask"),
        ({**GOOD, "bounding_box": [7, 7, 0.5, 0.5], "mask": packed(np.ones((2, 2), bool))}, "bad-mask"),
        ({**GOOD, "label": None}, "unknown-category"),
        ({"label": "cup"}, "bad-box"),
        ({**GOOD, "bounding_box": [0, 0, "x", 1]}, "not-finite"),
        (7, "unknown-category"),
        ({**GOOD, "confidence": 0.5}, "format"),
    ],
)
def test_what_is_wrong_with_a_detection_is_named(tmp_path: Path, own: Any, kind: str) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    sample = {"filepath": "a.png", "ground_truth": {"detections": [GOOD, own]}}
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [sample]}))
    (report,) = check_coco(tmp_path).splits
    assert kind in report.counts
    assert find_split(str(tmp_path)).read_instances()[0]["annotations"][0]["bbox"] == [15, 10, 30, 20]


def test_a_mask_is_stretched_over_its_box(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    mask = np.array([[1, 0], [0, 1]], bool)
    sample = {"filepath": "a.png", "ground_truth": {"detections": [{**GOOD, "mask": packed(mask)}]}}
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [sample]}))
    (own,) = find_split(str(tmp_path)).read_instances()[0]["annotations"]
    pixels = mask_api.decode({**own["segmentation"], "counts": own["segmentation"]["counts"].encode()})
    wanted = np.zeros((40, 60), np.uint8)
    wanted[10:20, 15:30] = wanted[20:30, 30:45] = 1
    np.testing.assert_array_equal(pixels, wanted)


def test_a_data_set_without_detections_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_text('{"samples": [{"filepath": "a.png"}]}')
    with pytest.raises(ValueError, match="has no field of detections"):
        list_splits(tmp_path)
