"""What objects are taken for equals FiftyOne's own confusion matrix on blood cells."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from explorer.scoring.outcomes import FoundRule
from explorer.scoring.runs import load_run

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]
SCORE = 0.5


@pytest.fixture(scope="module")
def results(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes moved by a tenth; some are lost, some of another class, some where nothing is."""
    content = json.loads((shared / "data/bccd/annotations/test.json").read_text())
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = [own["name"] for own in content["categories"]]
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("results") / "theirs.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("image", "class", "score", "x", "y", "width", "height"))
        for own in content["annotations"]:
            x, y, width, height = own["bbox"]
            place = own["category_id"] - 1
            name = names[(place + 1) % len(names)] if rng.random() < 0.15 else names[place]
            if rng.random() < 0.85:
                table.writerow((files[own["image_id"]], name, rng.uniform(0.3, 1), x + width / 10, y, width, height))
        for file_name in list(files.values())[::3]:
            table.writerow((file_name, "WBC", 0.8, 0, 0, 9, 9))
    return path


def test_it_equals_fiftyones(results: Path, shared: Path, fiftyone: ModuleType) -> None:
    from fiftyone import ViewField as F

    from explorer.browser.build import build

    data = f"{shared}/data/bccd:test"
    ours = load_run(results, data).confusion(FoundRule(score=SCORE)).confusion
    dataset = build(data, [results], name="confusion-of-bccd").dataset
    try:
        shown = dataset.filter_labels("theirs", F("confidence") >= SCORE, only_matches=False)
        judged = shown.evaluate_detections(
            "theirs", gt_field="ground_truth", eval_key="all", classwise=False, iou=0.5, compute_mAP=False
        )
        names = list(ours.class_names)
        theirs = judged.confusion_matrix(classes=[*names, judged.missing])
    finally:
        fiftyone.delete_dataset("confusion-of-bccd")
    np.testing.assert_array_equal(ours.of(), theirs)
    off = ours.of()[:-1, :-1]
    assert off.sum() - np.trace(off) > 50
    assert ours.of()[-1, names.index("WBC")] == 24
