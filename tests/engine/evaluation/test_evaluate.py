"""Evaluation from a data set's folder to its figures and files."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, DatasetMapper
from PIL import Image
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from explorer.data.coco import register_coco
from explorer.data.images import ImageError, reading_note
from explorer.engine.config_facts import ModelInput, config_facts
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import evaluate, run_over
from explorer.engine.evaluation.reading import ReadForTest, image_loader
from explorer.engine.loading import fast
from explorer.scoring.metrics import COCO_FIGURES, metrics_of
from explorer.scoring.protocols import COCO
from explorer.scoring.results_file import IMAGES_FILE, RESULTS_FILE, found_among
from explorer.scoring.runs import load_run, read_truth
from explorer.zoo.checkpoints import save_safetensors

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def val(coco_tiny: Path) -> str:
    return register_coco(f"{coco_tiny}:val2017")


def test_a_model_is_scored_on_boxes_and_masks(tiny_mask_rcnn: Detector, coco_tiny: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    data = f"{coco_tiny}:val2017"
    run = evaluate(tiny_mask_rcnn, data, out=tmp_path, limit=3, progress=lambda done, total: seen.append((done, total)))
    metrics = run.metrics
    assert metrics.images == 3
    assert list(metrics.values) == ["bbox", "segm"]
    assert sorted(metrics.values["bbox"]) == sorted(COCO_FIGURES)
    assert len(metrics.details["per_class"]["segm"]) == 80
    assert not any("scored" in note for note in run.notes)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    chosen = {record["image_id"] for record in DatasetCatalog.get(register_coco(data))[:3]}
    assert {result["image_id"] for result in json.loads((tmp_path / RESULTS_FILE).read_text())} <= chosen
    assert json.loads((tmp_path / IMAGES_FILE).read_text()) == sorted(chosen)
    assert {file.name for file in tmp_path.iterdir()} == {RESULTS_FILE, IMAGES_FILE, "metrics.json", "run.json"}
    again = load_run(tmp_path)
    for column in ("images", "classes", "boxes_xywh", "scores"):
        assert np.array_equal(getattr(again.found, column), getattr(run.found, column))
    for task, figures in metrics.values.items():
        assert metrics_of(again).values[task] == pytest.approx(figures, nan_ok=True)


def test_boxes_and_masks_of_one_run_are_ranked_by_their_own_scores(
    tiny_centermask: Detector, coco_tiny: Path, tmp_path: Path
) -> None:
    run = evaluate(tiny_centermask, f"{coco_tiny}:val2017", out=tmp_path, limit=3)
    assert run.found.mask_scores is not None
    assert not any("scored" in note for note in run.notes)
    results = json.loads((tmp_path / RESULTS_FILE).read_text())
    assert [one["mask_score"] for one in results] == run.found.mask_scores.tolist()
    by_masks = [one | {"score": one["mask_score"]} for one in results]
    both = [metrics_of(replace(run, found=found_among(own, run.truth))) for own in (results, by_masks)]
    assert run.metrics.values["bbox"] == pytest.approx(both[0].values["bbox"], nan_ok=True)
    assert run.metrics.values["segm"] == pytest.approx(both[1].values["segm"], nan_ok=True)


def test_a_damaged_image_leaves_no_loader_behind(
    tiny: Callable[..., Detector], coco_tiny: Path, tmp_path: Path
) -> None:
    """Else its processes live until the collector of cycles comes along, which may be much later."""
    detector = tiny("faster_rcnn_V_39_FPN_3x")
    cfg = detector.cfg.clone()
    cfg.defrost()
    cfg.DATALOADER.NUM_WORKERS = 1
    truth = read_truth(f"{coco_tiny}:val2017")
    (tmp_path / "damaged.jpg").write_bytes(b"not a JPEG")
    truth = replace(truth, file_names=(str(tmp_path / "damaged.jpg"), *truth.file_names[1:]))
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ImageError, match=r"cannot be used: .*damaged\.jpg"):
            evaluate(replace(detector, cfg=cfg), truth, limit=1)
        assert not any(type(one) is _MultiProcessingDataLoaderIter for one in gc.get_objects())
    finally:
        gc.enable()


def test_the_models_mode_is_left_as_it_was(tiny: Callable[..., Detector], val: str) -> None:
    detector = tiny("faster_rcnn_V_39_FPN_3x")
    detector.model.train()
    run_over(detector, val, limit=1)
    assert detector.model.training


def test_a_panoptic_model_is_scored_on_segments(tiny_panoptic_fpn: Detector, coco_panoptic_mini: Path) -> None:
    run = evaluate(tiny_panoptic_fpn, f"{coco_panoptic_mini}:val2017", limit=2)
    assert {"PQ", "SQ", "RQ", "PQ_th", "PQ_st"} <= set(run.metrics.values["panoptic_seg"])


def test_two_processes_give_the_figures_of_one_exactly(shared: Path, tmp_path: Path) -> None:
    script = HERE / "evaluate_perturbed.py"
    sources = [f"{shared / 'data' / name}:val2017" for name in ("coco-tiny", "coco-panoptic-mini")]
    env = os.environ | {"PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1"}
    together = tmp_path / "together"
    for number in range(len(sources)):
        (together / str(number)).mkdir(parents=True)
    command = [sys.executable, "-W", "ignore", str(script), "2", str(together), *sources]
    with subprocess.Popen(command, env=env) as running:
        try:
            spec = importlib.util.spec_from_file_location("evaluate_perturbed", script)
            assert spec is not None
            assert spec.loader is not None
            alone = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(alone)
            expected = [alone.figures(source, tmp_path / str(number)) for number, source in enumerate(sources)]
            assert running.wait(timeout=180) == 0
        finally:
            running.kill()
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
    facts, truth = config_facts(tiny_mask_rcnn.cfg), read_truth(val)
    truth = truth.of_images(truth.image_ids[:2].tolist())
    here, there = (list(image_loader(truth, facts.model_input, number)) for number in (0, 1))
    assert [[i["image_id"] for i in batch] for batch in here] == [[i["image_id"] for i in batch] for batch in there]
    assert all((a[0]["image"] == b[0]["image"]).all() for a, b in zip(here, there, strict=True))


def test_another_size_than_the_annotations_say_is_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.png has \(height, width\) \(20, 30\), its annotations say \(30, 20\)"):
        ReadForTest(ModelInput(32, 64, "BGR"))({"file_name": str(tmp_path / "a.png"), "height": 30, "width": 20})


def test_microscope_images_are_read_as_prediction_reads_them(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    pages = [Image.fromarray(page) for page in (wide, wide[::-1])]
    pages[0].save(tmp_path / "cells.tif", save_all=True, append_images=pages[1:])
    assert reading_note(tmp_path / "cells.tif") == "the first of several pages, 16 bits scaled to 8"
    read = ReadForTest(ModelInput(0, 0, "BGR"))({"file_name": str(tmp_path / "cells.tif"), "height": 40, "width": 60})
    assert (read["image"].numpy() == (wide.astype(int) + 128) // 257).all()


def test_other_classes_than_the_models_are_an_error_before_any_work(tiny_mask_rcnn: Detector, shared: Path) -> None:
    with pytest.raises(ValueError, match=r"share no class by name. The model has person, .* RBC, WBC, Platelets"):
        evaluate(tiny_mask_rcnn, f"{shared / 'data/bccd'}:val")


def test_a_box_detector_cannot_be_scored_on_panoptic_labels_alone(
    tiny_mask_rcnn: Detector, coco_panoptic_mini: Path
) -> None:
    with pytest.raises(ValueError, match=r"none of the \d+ images has an annotated object"):
        evaluate(tiny_mask_rcnn, f"{coco_panoptic_mini}:val2017")


def test_a_run_says_where_it_comes_from(tiny: Callable[..., Detector], coco_tiny: Path, tmp_path: Path) -> None:
    weights, data = tmp_path / "w.safetensors", f"{coco_tiny}:val2017"
    random = tiny("faster_rcnn_V_39_FPN_3x")
    save_safetensors(random.model.state_dict(), weights)
    detector = replace(random, weights=weights, overrides=("SEED", "1"))
    evaluate(detector, data, out=tmp_path / "run", limit=9, classes=["person"], protocol=COCO.with_limit(50))
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert run["model"] == "faster_rcnn_V_39_FPN_3x"
    assert len(run["weights"]["sha256"]) == 64
    assert run["versions"]["pycocotools"]
    assert (run["data"], run["images"], run["overrides"]) == (data, 9, ["SEED", "1"])
    assert (run["classes"], run["protocol"]["max_detections"]) == (["person"], [1, 10, 50])
    assert run["date"].endswith("+00:00")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert list(metrics["per_class"]["bbox"]) == ["person"]
    assert "AR50" in metrics["values"]["bbox"]
    assert load_run(tmp_path / "run").truth.class_names == ("person",)


def test_what_a_run_says_it_ran_on_is_what_ran(tiny: Callable[..., Detector], coco_tiny: Path) -> None:
    detector = fast(tiny("faster_rcnn_V_39_FPN_3x"), "float32", "torch")
    assert detector.fast is not None
    calls: list[int] = []
    detector.fast.register_forward_pre_hook(lambda *_: calls.append(1))
    run = evaluate(detector, f"{coco_tiny}:val2017", limit=2)
    assert run.facts["inference"] == {"engine": "torch", "dtype": "float32"}
    assert len(calls) == 2
