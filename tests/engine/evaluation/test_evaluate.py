"""Evaluation from a data set's folder to its figures and files."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, DatasetMapper
from PIL import Image

from explorer.data.coco import register_coco
from explorer.engine.config_facts import ModelInput
from explorer.engine.detector import Detector
from explorer.engine.evaluation.coco import METRICS
from explorer.engine.evaluation.evaluate import (
    ReadForTest,
    as_metrics,
    build_evaluator,
    evaluate,
    evaluation_loader,
    write_run,
)
from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE
from explorer.types import Metrics
from explorer.zoo.checkpoints import save_safetensors

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def val(coco_tiny: Path) -> str:
    return register_coco(f"{coco_tiny}:val2017")


def test_a_model_is_scored_on_boxes_and_masks(tiny_mask_rcnn: Detector, val: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    metrics = evaluate(
        tiny_mask_rcnn.model,
        tiny_mask_rcnn.cfg,
        val,
        out=tmp_path,
        limit=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert metrics.images == 3
    assert list(metrics.values) == ["bbox", "segm"]
    assert list(metrics.values["bbox"]) == list(METRICS)
    assert len(metrics.details["per_class"]["segm"]) == 80
    assert seen == [(1, 3), (2, 3), (3, 3)]
    chosen = {record["image_id"] for record in DatasetCatalog.get(val)[:3]}
    assert {result["image_id"] for result in json.loads((tmp_path / RESULTS_FILE).read_text())} <= chosen
    assert json.loads((tmp_path / IMAGES_FILE).read_text()) == sorted(chosen)
    assert {file.name for file in tmp_path.iterdir()} == {RESULTS_FILE, IMAGES_FILE}


def test_the_models_mode_is_left_as_it_was(tiny: Callable[..., Detector], val: str) -> None:
    detector = tiny("faster_rcnn_V_39_FPN_3x")
    detector.model.train()
    evaluate(detector.model, detector.cfg, val, limit=1)
    assert detector.model.training


def test_a_panoptic_model_is_scored_on_segments(tiny_panoptic_fpn: Detector, coco_panoptic_mini: Path) -> None:
    dataset = register_coco(f"{coco_panoptic_mini}:val2017")
    metrics = evaluate(tiny_panoptic_fpn.model, tiny_panoptic_fpn.cfg, dataset, limit=2)
    assert {"PQ", "SQ", "RQ", "PQ_th", "PQ_st"} <= set(metrics.values["panoptic_seg"])


def test_two_processes_give_the_figures_of_one_exactly(shared: Path, tmp_path: Path) -> None:
    script = HERE / "evaluate_perturbed.py"
    sources = [f"{shared / 'data' / name}:val2017" for name in ("coco-tiny", "coco-panoptic-mini")]
    env = os.environ | {"PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1"}
    together = tmp_path / "together"
    for number in range(len(sources)):
        (together / str(number)).mkdir(parents=True)
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), str(rank), "2", str(together), *sources], env=env
        )
        for rank in range(2)
    ]
    try:
        spec = importlib.util.spec_from_file_location("evaluate_perturbed", script)
        assert spec is not None
        assert spec.loader is not None
        alone = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(alone)
        expected = [alone.figures(source, tmp_path / str(number)) for number, source in enumerate(sources)]
        assert [process.wait(timeout=180) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    found = [json.loads((together / str(number) / "figures.json").read_text()) for number in range(len(sources))]
    assert repr(found) == repr([dict(figures) for figures in expected])  # in its spelling NaN equals NaN
    assert 10 < expected[0]["bbox"]["AP"] < 95
    assert 10 < expected[1]["panoptic_seg"]["PQ"] < 95
    assert (together / "0" / RESULTS_FILE).read_bytes() == (tmp_path / "0" / RESULTS_FILE).read_bytes()


def test_images_are_read_as_detectron2_reads_them(tiny_mask_rcnn: Detector, val: str) -> None:
    theirs = DatasetMapper(tiny_mask_rcnn.cfg, is_train=False)
    ours = ReadForTest(tiny_mask_rcnn.model_input)
    for record in DatasetCatalog.get(val)[:5]:
        expected, found = theirs(record), ours(record)
        assert np.array_equal(found["image"].numpy(), expected["image"].numpy())
        assert [found[k] for k in ("image_id", "height", "width")] == [
            expected[k] for k in ("image_id", "height", "width")
        ]


def test_reading_in_other_processes_gives_the_same(tiny_mask_rcnn: Detector, val: str) -> None:
    cfg = tiny_mask_rcnn.cfg.clone()
    cfg.DATALOADER.NUM_WORKERS = 1
    here, there = (list(evaluation_loader(c, val, limit=2)) for c in (tiny_mask_rcnn.cfg, cfg))
    assert [[i["image_id"] for i in batch] for batch in here] == [[i["image_id"] for i in batch] for batch in there]
    assert all((a[0]["image"] == b[0]["image"]).all() for a, b in zip(here, there, strict=True))


def test_another_size_than_the_annotations_say_is_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.png has \(height, width\) \(20, 30\), its annotations say \(30, 20\)"):
        ReadForTest(ModelInput(32, 64, "BGR"))({"file_name": str(tmp_path / "a.png"), "height": 30, "width": 20})


def test_other_classes_than_the_models_are_an_error_before_any_work(tiny_mask_rcnn: Detector, shared: Path) -> None:
    bccd = register_coco(f"{shared / 'data/bccd'}:val")
    with pytest.raises(ValueError, match=r"model has 80 classes, .* has 3 .RBC, WBC, Platelets"):
        build_evaluator(tiny_mask_rcnn.cfg, bccd)


def test_a_box_detector_cannot_be_scored_on_panoptic_labels_alone(
    tiny_mask_rcnn: Detector, coco_panoptic_mini: Path
) -> None:
    with pytest.raises(ValueError, match="no annotations that this model could be scored on"):
        build_evaluator(tiny_mask_rcnn.cfg, register_coco(f"{coco_panoptic_mini}:val2017"))


def test_class_figures_are_sorted_out() -> None:
    metrics = as_metrics({"bbox": {"AP": 1.0, "AP-traffic-light": 2.0}}, images=4)
    assert metrics.values == {"bbox": {"AP": 1.0}}
    assert metrics.details == {"per_class": {"bbox": {"traffic-light": 2.0}}}


def test_a_run_says_where_it_comes_from(tiny: Callable[..., Detector], tmp_path: Path) -> None:
    import dataclasses

    weights = tmp_path / "w.safetensors"
    random = tiny("faster_rcnn_V_39_FPN_3x")
    save_safetensors(random.model.state_dict(), weights)
    detector = dataclasses.replace(random, weights=weights)
    figures = Metrics({"bbox": {"AP": 1.5, "APs": float("nan")}}, 7, {"per_class": {}})
    write_run(tmp_path / "run", detector, "data:val", figures, ["SEED", "1"])
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert run["model"] == "faster_rcnn_V_39_FPN_3x"
    assert len(run["weights"]["sha256"]) == 64
    assert run["versions"]["faster-coco-eval"]
    assert (run["data"], run["images"], run["overrides"]) == ("data:val", 7, ["SEED", "1"])
    assert run["date"].endswith("+00:00")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics == {"values": {"bbox": {"AP": 1.5, "APs": None}}, "images": 7, "per_class": {}}
