"""Training: every meta-architecture runs, and what a run keeps is right."""

from __future__ import annotations

import io
import json
import math
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import CfgNode
from rich.console import Console

from explorer.data.images import ImageError
from explorer.engine.training import command as train
from explorer.engine.training import launch, recipe
from explorer.engine.training.checkpointing import METRICS, read_metrics, read_state
from explorer.engine.training.command import job, parse_arguments
from explorer.engine.training.hooks import facts_line, headline
from explorer.engine.training.losses import validation_loss
from explorer.engine.training.recipe import yaml_recipe
from explorer.engine.training.trainer import Trainer
from explorer.scoring.results_file import RESULTS_FILE
from tests.fixtures.hostile import HIDDEN, Hostile
from tests.fixtures.trainings import setup

pytestmark = pytest.mark.usefixtures("no_log_files")
FASTER = "faster_rcnn_V_39_FPN_3x"
Arguments = Callable[..., Namespace]


def losses(rows: list[dict[str, float]]) -> list[float]:
    return [row["total_loss"] for row in rows if "total_loss" in row]


@pytest.mark.parametrize(
    ("config", "figure"),
    [
        (FASTER, "bbox/AP"),
        ("mask_rcnn_V_39_FPN_3x", "segm/AP"),
        ("retinanet_V_39_FPN_3x", "bbox/AP"),
        ("panoptic_fpn_V_39_FPN_3x", "panoptic_seg/PQ"),
        ("centermask_V_39_eSE_FPN_ms_3x", "segm/AP"),
        ("panoptic_centermask_V_39_eSE_FPN_ms_3x", "panoptic_seg/PQ"),
    ],
)
def test_every_meta_architecture_trains_and_is_validated(
    config: str, figure: str, short_training: Arguments, tmp_path: Path
) -> None:
    wide = ["MODEL.FPN.OUT_CHANNELS", "64"] if "centermask" in config else []  # groups of more than one channel
    results = job(short_training(config, *wide))
    task, name = figure.split("/")
    assert name in results[task]
    rows = read_metrics(tmp_path / "run" / METRICS)
    assert [row["iteration"] for row in rows if figure in row] == [1, 2]
    assert all(math.isfinite(loss) for loss in losses(rows))
    assert all(row["validation_loss"] > 0 for row in rows if figure in row)
    assert {path.name for path in (tmp_path / "run").glob("*.pth")} >= {"model_0000001.pth", "model_final.pth"}
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_a_lazy_config_trains_and_is_validated(aerial_few: Path, tmp_path: Path) -> None:
    data, augment = "dataloader.{}.", "mapper.augmentations.0."
    keys = [f"train.output_dir={tmp_path}", "train.max_iter=2", "train.eval_period=1", "train.loss_images=2"]
    keys += ["train.seed=1", "dataloader.train.total_batch_size=2", "model.num_classes=6", "model.head.num_classes=6"]
    for part, split in (("train", "train"), ("test", "val")):
        keys.append(data.format(part) + f"dataset.names={aerial_few}:{split}")
        keys += [data.format(part) + "num_workers=0", data.format(part) + augment + "max_size=96"]
        keys.append(data.format(part) + augment + "short_edge_length=64")
    keys.append("model.backbone.bottom_up.spec=V-19-slim-dw-eSE")
    results = job(parse_arguments(["--num-gpus", "0", "--config-file", "fcos_V_39_FPN_3x", *keys]))
    assert "AP" in results["bbox"]
    rows = read_metrics(tmp_path / METRICS)
    assert [row["iteration"] for row in rows if "bbox/AP" in row] == [0, 1]
    assert len(losses(rows)) == 2


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_test_image_does_not_end_training_early(
    workers: str,
    damaged_val: tuple[str, str],
    short_training: Arguments,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = (*damaged_val, "DATALOADER.NUM_WORKERS", workers)
    with caplog.at_level("ERROR"), pytest.raises(ImageError, match=r"stops at .* \S+/000001\.jpg: .* damaged"):
        job(short_training(FASTER, *keys))
    (message,) = [record.getMessage() for record in caplog.records if record.name == "explorer.engine.training.hooks"]
    assert message.startswith("Validation after 2 iterations failed, training continues: ")
    assert "/damaged/val/000001.jpg: the image data is damaged" in message
    assert len(message.splitlines()) == 1
    left = {path.name for path in (tmp_path / "run").glob("*.pth")}
    assert left == {"model_0000001.pth", "model_final.pth"}  # no best
    assert [row["iteration"] for row in read_metrics(tmp_path / "run" / METRICS)] == [1, 2]
    args = short_training(FASTER, *keys, resume=True)
    args.eval_only = True
    with pytest.raises(ImageError, match=r"000001\.jpg"):
        job(args)


def test_metrics_are_strict_json_where_classes_are_absent(
    short_training: Arguments, aerial_few: Path, tmp_path: Path
) -> None:
    shutil.copytree(aerial_few, tmp_path / "few")
    file = tmp_path / "few/annotations/instances_val.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:  # COCO's AP of a size without objects is no number
        annotation["area"] = 100.0
    file.write_text(json.dumps(content))
    results = job(short_training(FASTER, "DATASETS.TEST", f"('{tmp_path / 'few'}:val',)"))
    assert math.isnan(results["bbox"]["APl"])

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert [row["iteration"] for row in rows if "bbox/AP" in row] == [1, 2]
    assert not any("bbox/APl" in row for row in rows)


def test_the_model_takes_the_classes_of_its_data(short_training: Arguments) -> None:
    cfg = setup(short_training(FASTER))
    assert isinstance(cfg, CfgNode)
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 6
    assert cfg.EXPLORER.CLASS_NAMES == ["car", "truck", "bus", "plane", "ship", "storage tank"]
    stuff = setup(short_training("panoptic_fpn_V_39_FPN_3x"))
    assert stuff.EXPLORER.STUFF_CLASS_NAMES == ["things", "grass", "road", "water", "concrete"]


def test_a_lazy_model_for_other_classes_is_refused_before_training(aerial_few: Path) -> None:
    names = [f"dataloader.{part}.dataset.names={aerial_few}:val" for part in ("train", "test")]
    with pytest.raises(ValueError, match="has 6 classes, the model is for 80"):
        setup(parse_arguments(["--num-gpus", "0", "--config-file", "fcos_V_39_FPN_3x", *names]))


def test_a_number_of_classes_given_by_the_user_must_hold(short_training: Arguments) -> None:
    with pytest.raises(ValueError, match=r"has 6 classes .* the model is for 5"):
        setup(short_training(FASTER, "MODEL.ROI_HEADS.NUM_CLASSES", "5"))


def test_a_validation_without_objects_is_refused_before_training(
    short_training: Arguments, aerial_few: Path, tmp_path: Path
) -> None:
    content = json.loads((aerial_few / "annotations/instances_val.json").read_text())
    (tmp_path / "none.json").write_text(json.dumps(content | {"annotations": []}))
    with pytest.raises(ValueError, match=r"none of the 3 images has an annotated object of the 6 classes"):
        setup(short_training(FASTER, "DATASETS.TEST", f"('{tmp_path / 'none.json'}:{aerial_few / 'val'}',)"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --config-file"),
        (["--config-file", "faster_rcnn_V_38"], "Near it: faster_rcnn_"),
        (["--config-file", FASTER, "MODEL.WEIGHTS", "nothing.pth"], "neither a file nor in the zoo"),
        (["--config-file", FASTER, "DATASETS.TRAIN", "()", "DATASETS.TEST", "()"], "DATASETS.TRAIN is empty"),
        (["--eval-only", "--config-file", FASTER, "DATASETS.TEST", "()"], "DATASETS.TEST is empty"),
    ],
)
def test_mistakes_are_named_before_anything_starts(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job(parse_arguments(["--num-gpus", "0", *arguments]))


def test_evaluating_the_last_checkpoint_gives_the_detections_of_the_run(
    short_training: Arguments, tmp_path: Path
) -> None:
    detections = tmp_path / "run/inference" / RESULTS_FILE
    job(short_training(FASTER))
    of_the_run = detections.read_bytes()
    detections.unlink()
    args = short_training(FASTER, resume=True)
    args.eval_only = True
    job(args)
    assert json.loads(of_the_run)
    assert detections.read_bytes() == of_the_run


def test_the_results_go_to_a_json_file_too(short_training: Arguments, tmp_path: Path) -> None:
    args = short_training(FASTER, "SOLVER.MAX_ITER", "1")
    args.json = str(tmp_path / "results.json")
    results = job(args)
    content = json.loads(Path(args.json).read_text())
    assert content["results"]["bbox"].keys() == results["bbox"].keys()
    assert content["output_dir"] == str(tmp_path / "run")


def test_expected_results_that_are_not_met_fail_the_run(short_training: Arguments) -> None:
    with pytest.raises(SystemExit, match="1"):
        job(short_training(FASTER, "TEST.EXPECTED_RESULTS", "[['bbox','AP50',99.0,1.0]]"))


def test_mixed_precision_trains_on_the_cpu_in_bfloat16(
    short_training: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "_computes_in_bfloat16", lambda: True)  # slow where it does not, but right
    for out, enabled in (("exact", "False"), ("mixed", "True")):
        job(short_training(FASTER, "SOLVER.AMP.ENABLED", enabled, out=out))
    rows = {out: losses(read_metrics(tmp_path / out / METRICS)) for out in ("exact", "mixed")}
    assert rows["mixed"] != rows["exact"]
    assert rows["mixed"] == pytest.approx(rows["exact"], rel=0.05)
    state = read_state(tmp_path / "mixed/model_final.pth")["model"]
    assert state["backbone.fpn_lateral2.weight"].dtype == torch.float32


def test_mixed_precision_is_off_where_the_processor_would_crawl(
    short_training: Arguments, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recipe, "_computes_in_bfloat16", lambda: False)
    assert yaml_recipe(setup(short_training(FASTER, "SOLVER.AMP.ENABLED", "True"))).precision is None
    assert "training in float32" in caplog.text


@pytest.mark.gpu
def test_mixed_precision_trains_on_the_gpu_in_float16(short_training: Arguments, tmp_path: Path) -> None:
    args = short_training(FASTER, "SOLVER.AMP.ENABLED", "True", "SOLVER.MAX_ITER", "6")
    args.num_gpus = 1
    job(args)
    state = read_state(tmp_path / "run/model_final.pth")
    assert state["trainer"]["step"]["grad_scaler"]["scale"] > 0
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_adamw_takes_the_solvers_keys(short_training: Arguments) -> None:
    keys = ["SOLVER.OPTIMIZER", "AdamW", "SOLVER.BASE_LR", "0.001", "SOLVER.WEIGHT_DECAY", "0.05"]
    recipe = yaml_recipe(setup(short_training(FASTER, *keys, "SOLVER.WEIGHT_DECAY_NORM", "0.0")))
    assert isinstance(recipe.optimizer, torch.optim.AdamW)
    assert {group["weight_decay"] for group in recipe.optimizer.param_groups} == {0.05, 0.0}
    assert {group["initial_lr"] for group in recipe.optimizer.param_groups} == {0.001}
    with pytest.raises(ValueError, match=r"SOLVER\.OPTIMIZER is 'Adam': use SGD or AdamW"):
        yaml_recipe(setup(short_training(FASTER, "SOLVER.OPTIMIZER", "Adam")))


def test_gradient_clipping_bounds_the_step(short_training: Arguments) -> None:
    clip = "SOLVER.CLIP_GRADIENTS."
    keys = [clip + "ENABLED", "True", clip + "CLIP_TYPE", "norm", clip + "CLIP_VALUE", "0.001"]
    recipe = yaml_recipe(setup(short_training(FASTER, *keys, "SOLVER.BASE_LR", "1.0", "SOLVER.WEIGHT_DECAY", "0.0")))
    before = [parameter.detach().clone() for parameter in recipe.model.parameters()]
    recipe.model.train()
    with train_storage():
        sum(recipe.model(next(iter(recipe.stream))).values()).backward()
    recipe.optimizer.step()
    steps = [(after - old).norm().item() for after, old in zip(recipe.model.parameters(), before, strict=True)]
    assert 0 < max(steps) <= 0.001 * 1.0001  # detectron2 clips each tensor by itself; the learning rate is 1


def train_storage() -> Any:
    from detectron2.utils.events import EventStorage

    return EventStorage()


def test_a_seed_makes_a_run_repeatable_and_validation_does_not_disturb_it(
    short_training: Arguments, tmp_path: Path
) -> None:
    for out, period in (("often", "1"), ("never", "0")):
        job(short_training(FASTER, "TEST.EVAL_PERIOD", period, out=out))
    states = [read_state(tmp_path / out / "model_final.pth")["model"] for out in ("often", "never")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        (FASTER, ()),
        ("retinanet_V_39_FPN_3x", ()),
        # timm's norms contain their activation: they are containers themselves
        ("timm/faster_rcnn_convnext_tiny_FPN_3x", ("MODEL.TIMM.NAME", "mobilenetv3_small_100")),
    ],
)
def test_validation_loss_is_repeatable_and_leaves_the_model_as_it_was(
    config: str, overrides: tuple[str, ...], short_training: Arguments
) -> None:
    recipe = yaml_recipe(setup(short_training(config, *overrides)))
    model = recipe.model
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    memory, modes = vars(model).get("loss_normalizer"), [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    first, second = (validation_loss(model, recipe.held_out()) for _ in range(2))
    assert first == second
    assert first["validation_loss"] == pytest.approx(sum(v for k, v in first.items() if "/" in k))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert vars(model).get("loss_normalizer") == memory
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)


def test_validation_loss_falls_when_the_model_learns_the_images(short_training: Arguments) -> None:
    recipe = yaml_recipe(setup(short_training(FASTER, "SOLVER.MAX_ITER", "12", "SOLVER.BASE_LR", "0.02")))
    before = validation_loss(recipe.model, recipe.held_out())["validation_loss"]
    Trainer(recipe).run()
    assert validation_loss(recipe.model, recipe.held_out())["validation_loss"] < before


def test_precise_batch_norm_is_recomputed_before_validation(short_training: Arguments, tmp_path: Path) -> None:
    keys = ["TEST.PRECISE_BN.ENABLED", "True", "TEST.PRECISE_BN.NUM_ITER", "2"]
    for out, extra in (("moving", []), ("precise", keys)):
        job(short_training(FASTER, *extra, out=out))
    name = "backbone.bottom_up.stem.stem_1/norm.running_mean"
    means = [read_state(tmp_path / out / "model_final.pth")["model"][name] for out in ("moving", "precise")]
    assert not torch.allclose(*means)


def test_the_progress_line_shows_time_left_loss_rate_and_ap(short_training: Arguments) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    Trainer(yaml_recipe(setup(short_training(FASTER))), console).run()
    last = [line for line in screen.getvalue().replace("\r", "\n").splitlines() if "training" in line][-1]
    for part in ("training", "3/3", "0:00:0", "loss", "lr", "AP"):
        assert part in last


def test_a_run_is_watched_step_by_step_and_what_the_watcher_raises_ends_it(
    short_training: Arguments, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int, scalars: Mapping[str, float]) -> None:
        assert scalars["total_loss"] > 0
        seen.append((done, total))
        if len(seen) == 2:
            raise ValueError("enough")

    args = short_training(FASTER)
    with pytest.raises(ValueError, match="enough"):
        train.train(args.config_file, args.opts, on_step=watch)
    assert (tmp_path / "run" / "model_0000001.pth").is_file()
    train.train(args.config_file, args.opts, resume=True, on_step=watch)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_facts_line() -> None:
    latest = {"total_loss": 1.23456, "lr": 0.02, "bbox/AP": 12.34, "bbox/AP-car": 99.0}
    assert facts_line(latest) == "loss 1.235  lr 0.02  AP 12.3"
    assert facts_line({}) == ""


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"bbox/AP": 1.0, "segm/AP": 2.0}, ("segm/AP", 2.0)),
        ({"bbox/AP": 1.0, "segm/AP": math.nan}, ("bbox/AP", 1.0)),
        ({"first/bbox/AP": 1.0, "second/bbox/AP": 2.0}, ("first/bbox/AP", 1.0)),
        ({"bbox/AP50": 1.0}, None),
    ],
)
def test_headline_is_the_figure_that_judges(figures: dict[str, float], expected: tuple[str, float] | None) -> None:
    assert headline(figures) == expected


def test_without_a_gpu_everything_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train._device("cuda", 1) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("explorer.engine.devices.failure_of", lambda device: "")
    assert (train._device("cuda", 1), train._device("cuda", 0), train._device("cpu", 1)) == ("cuda", "cpu", "cpu")


def test_several_machines_need_a_process_on_each() -> None:
    args = parse_arguments(["--num-gpus", "0", "--num-machines", "2"])
    with pytest.raises(ValueError, match="--num-gpus 1"):
        launch.start(lambda _: None, args)


def test_what_is_logged_of_a_data_set_is_legible(
    hostile: Hostile, short_training: Arguments, caplog: pytest.LogCaptureFixture
) -> None:
    data = ("DATASETS.TRAIN", repr((hostile.data,)), "DATASETS.TEST", repr((hostile.data,)))
    with caplog.at_level("INFO"):
        yaml_recipe(setup(short_training(FASTER, *data)))
    said = [record.getMessage() for record in caplog.records]
    assert any("Distribution of instances" in words and "car [park" in words for words in said)
    assert not HIDDEN.findall("".join(said))
