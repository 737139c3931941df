"""Data sets in YOLO's and VOC's formats in FiftyOne: the boxes of the COCO file, and corrections as COCO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.data.convert import convert

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def name(fiftyone: ModuleType, request: pytest.FixtureRequest) -> Iterator[str]:
    own = request.node.name.replace("[", "-").replace("]", "").replace("_", "-")
    yield own
    if fiftyone.dataset_exists(own):
        fiftyone.delete_dataset(own)


@pytest.mark.parametrize("to", ["yolo", "voc"])
def test_a_folder_is_browsed_with_results_and_corrected(to: str, name: str, make: Any, tmp_path: Path) -> None:
    from explorer.browser.build import build
    from explorer.browser.export import Changes, write_corrected
    from explorer.browser.state import read_state

    scene = make(tmp_path / "scene", masks=False, crowds=False)
    content = json.loads((tmp_path / "scene/annotations/instances_val.json").read_text())
    files = {image["id"]: image["file_name"] for image in content["images"]}
    named = {own["id"]: own["name"] for own in content["categories"]}
    results = json.loads((scene.runs[0] / "coco_instances_results.json").read_text())
    theirs = [
        {"image_id": files[own["image_id"]], "category_id": own["category_id"], "bbox": own["bbox"]}
        | {"category_name": named[own["category_id"]], "score": own["score"]}
        for own in results
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    convert(scene.data, tmp_path / to, to=to)
    data = f"{tmp_path / to}:val"
    dataset = build(data, [tmp_path / "theirs.json"], name=name).dataset
    boxes = {
        Path(sample.filepath).name: [
            [*(np.array(own.bounding_box) * (320, 240, 320, 240)).tolist(), own.label]
            for own in (sample.ground_truth.detections if sample.ground_truth else ())
        ]
        for sample in dataset
    }
    for image, file in files.items():
        expected = [own for own in content["annotations"] if own["image_id"] == image]
        assert [own[4] for own in boxes[file]] == [named[own["category_id"]] for own in expected]
        for shown, own in zip(boxes[file], expected, strict=True):  # VOC has whole pixels
            np.testing.assert_allclose(shown[:4], own["bbox"], atol=1 if to == "voc" else 1e-3)
    state = read_state(dataset)
    assert state is not None
    assert state.runs["theirs"].figures["AP50"] == pytest.approx(_ap50(scene.data, results), abs=2.5)
    changes = write_corrected(dataset, data, tmp_path / "corrected.json")
    assert changes == Changes(0, 0, 0, 0, 0)
    corrected = json.loads((tmp_path / "corrected.json").read_text())
    assert len(corrected["annotations"]) == len(content["annotations"])


def _ap50(data: str, results: list[dict[str, Any]]) -> float:
    truth = COCO(str(Path(data.rpartition(":")[0]) / "annotations/instances_val.json"))
    scored = COCOeval(truth, truth.loadRes(results), "bbox")
    scored.evaluate()
    scored.accumulate()
    precision = scored.eval["precision"][0, :, :, 0, 2]
    return 100 * float(precision[precision > -1].mean())
