"""Proof that training learns: from random weights, a small detector gets to know eight photographs by heart."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from explorer.engine.training.checkpointing import METRICS, read_metrics
from explorer.engine.training.command import job, parse_arguments

IMAGES, MOST_OBJECTS = 8, 8
MOST_PROCESSOR_S = 2 * 1200
"""Twenty minutes of two cores, counted in processor seconds, so that what else the machine does makes no difference."""


@pytest.fixture
def eight_images(coco_tiny: Path, tmp_path: Path) -> Path:
    """The first eight training photographs of coco-tiny, by id, that have one to eight objects."""
    content = json.loads((coco_tiny / "annotations/instances_train2017.json").read_text())
    objects = Counter(annotation["image_id"] for annotation in content["annotations"])
    chosen = sorted(image_id for image_id, count in objects.items() if count <= MOST_OBJECTS)[:IMAGES]
    content["images"] = [image for image in content["images"] if image["id"] in chosen]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in chosen]
    file = tmp_path / "instances_eight.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.slow
@pytest.mark.usefixtures("no_log_files")
@pytest.mark.parametrize(
    ("config", "task", "least"),
    [
        ("quick/faster_rcnn_V_19_slim_dw_8_images", "bbox", 50),
        ("quick/centermask_V_19_slim_dw_8_images", "segm", 40),
    ],
)
def test_a_small_detector_learns_eight_photographs(
    config: str, task: str, least: float, eight_images: Path, coco_tiny: Path, tmp_path: Path
) -> None:
    data = f"('{eight_images}:{coco_tiny / 'train2017'}',)"
    keys = ["DATASETS.TRAIN", data, "DATASETS.TEST", data, "OUTPUT_DIR", str(tmp_path / "run")]
    before_s = time.process_time()
    results = job(parse_arguments(["--num-gpus", "0", "--config-file", config, *keys]))  # checks EXPECTED_RESULTS
    assert results[task]["AP50"] >= least
    assert time.process_time() - before_s < MOST_PROCESSOR_S
    losses = [row["total_loss"] for row in read_metrics(tmp_path / "run" / METRICS) if "total_loss" in row]
    assert losses[-1] < losses[0] / 2
