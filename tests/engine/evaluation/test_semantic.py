"""Mean IoU: a hand-made answer, and detectron2's own evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import SemSegEvaluator
from PIL import Image

from explorer.engine.evaluation.semantic import SemanticEvaluator, semantic_metrics

NAMES = ["things", "grass", "road"]


def test_hand_made_counts() -> None:
    pixels = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    found = semantic_metrics(pixels, NAMES)
    assert found["IoU-things"] == 75
    assert found["IoU-grass"] == 80
    assert np.isnan(found["IoU-road"])
    assert found["mIoU"] == 77.5
    assert found["fwIoU"] == pytest.approx(77.5)
    assert found["pACC"] == 87.5
    assert found["mACC"] == 87.5


def test_nothing_labelled_is_not_a_number() -> None:
    assert np.isnan(semantic_metrics(np.zeros((3, 3), np.int64), NAMES)["mIoU"])


@pytest.fixture(params=[[0, 1, 2, 255], [0, 2, 255]], ids=["all classes", "one class is nowhere"])
def dataset(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    rng, name = np.random.default_rng(0), "semantic test"
    records = []
    for image_id in range(3):
        truth = rng.choice(request.param, (20, 30)).astype(np.uint8)
        Image.fromarray(truth).save(tmp_path / f"{image_id}.png")
        records.append(
            {
                "image_id": image_id,
                "file_name": f"{image_id}.jpg",
                "sem_seg_file_name": str(tmp_path / f"{image_id}.png"),
            }
        )
    DatasetCatalog.register(name, lambda: records)
    MetadataCatalog.get(name).set(stuff_classes=NAMES, ignore_label=255)
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def test_figures_are_detectron2s(dataset: str) -> None:
    theirs = SemSegEvaluator(
        dataset, distributed=False, sem_seg_loading_fn=lambda path, dtype: np.asarray(Image.open(path)).astype(dtype)
    )
    ours = SemanticEvaluator(dataset)
    theirs.reset()
    generator = torch.Generator().manual_seed(0)
    for record in DatasetCatalog.get(dataset):
        output = [{"sem_seg": torch.rand(3, 20, 30, generator=generator)}]
        theirs.process([record], output)
        ours.process([record], output)
    found, expected = ours.evaluate()["sem_seg"], theirs.evaluate()["sem_seg"]
    assert found == pytest.approx({name: float(expected[name]) for name in found}, abs=1e-9, nan_ok=True)
