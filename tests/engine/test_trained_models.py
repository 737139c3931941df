"""A trained model is a model: each way to name one, in every command, runs the weights that training ended with."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import LazyConfig
from torch import nn
from typer.testing import CliRunner

from explorer.browser.runs import run_model
from explorer.cli import app
from explorer.config import config_path, load_lazy_config
from explorer.engine import loading
from explorer.engine.loading import load_detector, load_or_random
from explorer.engine.training import command as training
from explorer.engine.training.command import job, parse_arguments
from explorer.engine.training.recipe import yaml_recipe
from explorer.engine.training.stream import seed_all
from explorer.types import PARTIAL, RANDOM
from explorer.ui.actions.compare import compare
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models, own_choice
from explorer.zoo.trained import BEST, CONFIG, FINAL
from tests.fixtures.trainings import setup

run = CliRunner().invoke
START = "demo/V-19-slim-dw"
RECIPE = "aerial/faster_rcnn_V_19_slim_dw"
CLASSES = ("car", "truck", "bus", "plane", "ship", "storage tank")
FORMS = ("", CONFIG, BEST, "../evaluation")
Arguments = Callable[..., Namespace]


def ruin(path: Path) -> None:
    """Zeroes a checkpoint's weights, so that it cannot be taken for the one that training started from."""
    state = torch.load(path, weights_only=True)
    for tensor in state["model"].values():
        tensor.zero_()
    torch.save(state, path)


def is_ruined(model: nn.Module) -> bool:
    return all(not parameter.any() for parameter in model.parameters())


def save_config(cfg: Any, args: Namespace) -> None:
    """What detectron2's set-up does, apart from its log."""
    seed_all(1)
    folder = training.output_dir(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    if args.config_file.endswith(".py"):
        LazyConfig.save(cfg, str(folder / CONFIG))
    else:
        (folder / CONFIG).write_text(cfg.dump())
    (folder / "log.txt").touch()


@pytest.fixture(scope="module")
def ruined(aerial_few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two iterations from demo weights whose checkpoints were ruined, beside its evaluation."""
    root = tmp_path_factory.mktemp("trained")
    keys = ["MODEL.WEIGHTS", START, "SOLVER.MAX_ITER", "2", "SOLVER.IMS_PER_BATCH", "2", "TEST.LOSS_IMAGES", "0"]
    keys += ["DATASETS.TRAIN", f"('{aerial_few}:train',)", "DATASETS.TEST", f"('{aerial_few}:val',)"]
    keys += ["INPUT.MIN_SIZE_TEST", "64", "DATALOADER.NUM_WORKERS", "0", "OUTPUT_DIR", str(root / "mine")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "set_up", save_config)
        patch.setattr(training, "setup_logger", lambda *args, **options: None)
        job(parse_arguments(["--num-gpus", "0", "--config-file", RECIPE, *keys]))
    for name in (BEST, FINAL):
        ruin(root / "mine" / name)
    words = ["evaluate", str(root / "mine"), "--data", f"{aerial_few}:val", "--out", str(root / "evaluation")]
    done = run(app, [*words, "--limit", "1", "--exact"])
    assert done.exit_code == 0, done.output
    assert f"taking {BEST}, the best in validation" in done.stderr
    return root / "mine"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_trained_model_with_its_classes(form: str, ruined: Path) -> None:
    detector = load_detector(ruined / form, device="cpu", exact=True)
    assert is_ruined(detector.model)
    assert (detector.weights, detector.caveat, detector.class_names) == (ruined / BEST, "", CLASSES)
    assert detector.name == ("mine/model_best" if form == BEST else "mine")


def test_an_evaluation_says_what_was_evaluated(ruined: Path) -> None:
    facts = json.loads((ruined.parent / "evaluation/run.json").read_text())
    assert (facts["model"], facts["config"]) == ("mine", str(ruined))
    assert facts["weights"]["path"] == str(ruined / BEST)
    assert "note" not in facts
    figures = json.loads((ruined.parent / "evaluation/metrics.json").read_text())
    assert figures["values"]["bbox"]["AP"] == 0.0


COMMANDS = {
    "evaluate": "evaluate MODEL --data DATA:val",
    "predict": "predict MODEL DATA/val --out OUT",
    "autopsy": "autopsy RUN --model MODEL",
    "improve": "improve MODEL DATA:val",
    "features": "features MODEL DATA/val/000000.jpg --out OUT",
    "receptive-field": "receptive-field MODEL",
    "benchmark": "benchmark MODEL --no-memory",
    "export": "export MODEL --out OUT",
}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The weights of models that something wanted to build; none is built."""
    taken: list[Path | None] = []

    def stop(*_: Any, weights: Path | None = None, **__: Any) -> None:
        taken.append(weights)
        raise ValueError("that is all")

    monkeypatch.setattr(loading, "make_detector", stop)
    return taken


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_every_form(
    command: str, form: str, ruined: Path, aerial_few: Path, tmp_path: Path, built: list[Path | None]
) -> None:
    words = (
        COMMANDS[command].replace("DATA:val", f"{aerial_few}:val").replace("--data DATA", f"--data {aerial_few}:val")
    )
    places = {"MODEL": ruined / form, "DATA": aerial_few, "OUT": tmp_path, "RUN": ruined.parent / "evaluation"}
    for word, path in places.items():
        words = words.replace(word, str(path))
    done = run(app, words.split())
    assert (done.exit_code, done.stderr) == (2, "that is all\n")
    assert built == [ruined / BEST]


def test_a_teacher_is_a_trained_model_too(ruined: Path, short_training: Arguments, built: list[Path | None]) -> None:
    keys = ("SOLVER.TEACHER.NAME", str(ruined))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "set_up", lambda *_: None)
        patch.setattr(training, "setup_logger", lambda *_, **__: None)
        cfg = setup(short_training("faster_rcnn_V_39_FPN_3x", *keys))
    with pytest.raises(ValueError, match="that is all"):
        yaml_recipe(cfg)
    assert built == [ruined / BEST]


def test_eval_only_of_a_saved_config_measures_what_was_trained(ruined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, taken = (ruined / CONFIG).read_bytes(), []
    monkeypatch.setattr(training, "set_up", save_config)
    monkeypatch.setattr(training, "setup_logger", lambda *args, **options: None)
    monkeypatch.setattr(training, "evaluate_with", lambda model, path: taken.append(path))
    monkeypatch.setattr(training, "evaluate_all", lambda cfg, model: {})
    words = ["--num-gpus", "0", "--config-file", str(ruined / CONFIG), "--eval-only"]
    for changes in ([], ["INPUT.MIN_SIZE_TEST", "32"], ["MODEL.WEIGHTS", str(ruined / FINAL)]):
        job(parse_arguments([*words, *changes]))
    assert taken == [ruined / BEST, ruined / BEST, ruined / FINAL]
    assert (ruined / CONFIG).read_bytes() == before  # which belongs to the checkpoints beside it


@pytest.mark.parametrize("form", FORMS)
def test_the_page_and_fiftyone_run_the_trained_model(
    form: str, ruined: Path, aerial_few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(ruined / form)
    assert own_choice(model).label == f"{model} · from the command line, {BEST}"
    assert is_ruined(Models(extra=[model]).get(model).model)
    if form:  # one run is enough: the folder's name, like the others, is resolved and loaded by what is tested above
        return
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    folder = run_model(model, f"{aerial_few}:val", device="cpu")
    assert json.loads((folder / "metrics.json").read_text())["values"]["bbox"]["AP"] == 0.0


def test_given_weights_on_the_page_go_before_the_models(ruined: Path) -> None:
    models = Models(extra=[START], weights=ruined / FINAL)
    assert is_ruined(models.get(START).model)
    assert own_choice(START, str(ruined / FINAL)).label.endswith(f"from the command line, {FINAL}")


def test_class_names_are_those_of_the_training_data_whatever_the_test_set_is(
    aerial_few: Path, short_training: Arguments, tmp_path: Path, no_log_files: None
) -> None:
    file = aerial_few / "annotations/instances_val.json"
    content = json.loads(file.read_text())
    other = tmp_path / "other/annotations/instances_val.json"
    other.parent.mkdir(parents=True)
    other.write_text(file.read_text())
    config = tmp_path / "saved.yaml"
    config.write_text(setup(short_training(RECIPE)).dump())
    for category in content["categories"][1:]:
        category["name"] = f"other {category['name']}"
    other.write_text(json.dumps(content))
    keys = ["DATASETS.TEST", f"('{other.parent.parent}:val',)", "OUTPUT_DIR", str(tmp_path / "evaluated")]
    cfg = setup(parse_arguments(["--num-gpus", "0", "--config-file", str(config), "--eval-only", *keys]))
    assert tuple(cfg.EXPLORER.CLASS_NAMES) == CLASSES


def test_a_lazy_run_is_a_model_with_its_classes(aerial_few: Path, tmp_path: Path) -> None:
    words = [
        f"dataloader.{part}.dataset.names={aerial_few}:{part.replace('test', 'val')}" for part in ("train", "test")
    ]
    words += ["model.num_classes=6", "model.head.num_classes=6", "model.backbone.bottom_up.spec=V-19-slim-dw-eSE"]
    words += ["model.backbone.out_channels=32", "model.head.conv_dims=[32]", f"train.output_dir={tmp_path}"]
    words += [f"model.head.input_shape.{level}.channels=32" for level in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "set_up", save_config)
        patch.setattr(training, "setup_logger", lambda *args, **options: None)
        setup(parse_arguments(["--num-gpus", "0", "--config-file", "fcos_V_39_FPN_3x", *words]))
    random = load_or_random(tmp_path, random=True)
    assert random.class_names == CLASSES
    torch.save({"model": random.model.state_dict()}, tmp_path / FINAL)
    ruin(tmp_path / FINAL)
    for form in ("", CONFIG, FINAL):
        detector = load_detector(tmp_path / form, device="cpu", exact=True)
        assert is_ruined(detector.model)
        assert detector.class_names == CLASSES
    assert load_lazy_config("fcos_V_39_FPN_3x", ["explorer.class_names=[a,b]"]).explorer.class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("proposal_generator.rpn_head.conv.bias"), "Missing from the checkpoint (1)"),
        (lambda state: state.update(extra=torch.ones(1)), "Left over in the checkpoint (1)"),
        (lambda state: state.update({"roi_heads.box_predictor.cls_score.bias": torch.ones(3)}), "Of another shape (1)"),
    ],
)
def test_weights_in_part_are_refused_unless_wanted(
    change: Callable[[dict[str, Any]], object], said: str, ruined: Path, aerial_few: Path, tmp_path: Path
) -> None:
    state = torch.load(ruined / FINAL, weights_only=True)["model"]
    whole = len(state)
    change(state)
    torch.save(state, tmp_path / "part.pth")
    photo = str(aerial_few / "val/000000.jpg")
    call = ["predict", str(ruined), photo, "--out", str(tmp_path / "out"), "--weights", str(tmp_path / "part.pth")]
    done = run(app, call)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "--allow-partial" in done.stderr
    done = run(app, [*call, "--allow-partial", "--threshold", "0"])
    assert done.exit_code == 0, done.output
    assert "part.pth: " in done.stderr
    assert "of the model's" in done.stderr
    info = json.loads((tmp_path / "out/predictions.json").read_text())["info"]
    in_part = "Left over" not in said  # what is left over leaves nothing of the model random
    assert info["model"] == (f"mine ({PARTIAL})" if in_part else "mine")
    assert info.get("note") == (PARTIAL if in_part else None)
    assert len(state) in (whole - 1, whole, whole + 1)


def test_a_backbone_alone_is_a_start_and_no_detector(ruined: Path, tmp_path: Path) -> None:
    state = torch.load(ruined / FINAL, weights_only=True)["model"]
    bottom = {name.removeprefix("backbone.bottom_up."): t for name, t in state.items() if "bottom_up" in name}
    torch.save(bottom, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match="allow_partial"):
        load_detector(ruined, weights=tmp_path / "backbone.pth", device="cpu")
    detector = load_detector(ruined, weights=tmp_path / "backbone.pth", device="cpu", allow_partial=True)
    assert detector.name == f"mine ({PARTIAL})"


def test_random_weights_are_named_wherever_they_are_shown(aerial_few: Path, tmp_path: Path) -> None:
    photo = str(aerial_few / "val/000000.jpg")
    config = tmp_path / "plain.yaml"
    config.write_text(f"_BASE_: {config_path(RECIPE)}\n")
    title = f"plain ({RANDOM})"
    calls = {
        "evaluate": ["--data", f"{aerial_few}:val", "--limit", "1", "INPUT.MIN_SIZE_TEST", "64"],
        "predict": [photo, "--out", str(tmp_path / "found")],
        "features": [photo, "--out", str(tmp_path / "seen"), "--explain", "0", "--layers", "p4"],
        "receptive-field": ["--inputs", "0"],
    }
    for command, words in calls.items():
        done = run(app, [command, str(config), *words, "--json", str(tmp_path / "out.json")])
        assert done.exit_code == 0, done.output
        assert f"plain has {RANDOM}: its config names none." in done.stderr
        document = json.loads((tmp_path / "out.json").read_text())
        document = document.get("info", document)
        assert (document["model"], document["weights"], document["note"]) == (title, None, RANDOM)
    assert title in (tmp_path / "seen/features.html").read_text()
    found = compare(Models(extra=[str(config)]), [str(config)], photo)
    (name,) = found.predictions
    assert name == f"{config} ({RANDOM})"
    assert found.counts(Filters())[0]["model"] == name
    assert own_choice(str(config)).label.endswith(RANDOM)
