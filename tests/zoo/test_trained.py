"""What names files: runs of training, their checkpoints, evaluations, and what becomes of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from detectron2.config import LazyCall, LazyConfig
from omegaconf import DictConfig

from explorer.config import config_path, load_config, load_lazy_config
from explorer.zoo.lazy_runs import is_dump, load_dump
from explorer.zoo.resolve import configured, lasting_name, resolve
from explorer.zoo.trained import BEST, FINAL, POINTER, find_recipe, find_trained, recorded

FASTER = "faster_rcnn_V_39_FPN_3x"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder as training leaves it: all checkpoints, and in its config the weights that it started from."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (tmp_path / "start.pth").touch()
    keys = ["MODEL.WEIGHTS", str(tmp_path / "start.pth"), "EXPLORER.CLASS_NAMES", "['a']"]
    (folder / "config.yaml").write_text(load_config(FASTER, keys).dump())
    (folder / "log.txt").touch()
    (folder / POINTER).write_text("model_0000001.pth")
    for name in (BEST, FINAL, "model_0000001.pth"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("gone", "taken", "why"),
    [
        ([], BEST, "the best in validation"),
        ([BEST], FINAL, "the final one"),
        ([BEST, FINAL], "model_0000001.pth", "has not finished"),
    ],
)
@pytest.mark.parametrize("named", [".", "config.yaml"])
def test_a_run_means_its_best_else_final_else_last_checkpoint(
    gone: list[str], taken: str, why: str, named: str, run: Path
) -> None:
    for name in gone:
        (run / name).unlink()
    found = resolve(run / named)
    assert (found.weights, found.name, found.config) == (run / taken, "mine", run / "config.yaml")
    assert found.remark.startswith(f"{run}: taking {taken}, ")
    assert why in found.remark
    assert str(run / taken) == found.cfg.MODEL.WEIGHTS


@pytest.mark.parametrize("named", [".", "config.yaml"])
@pytest.mark.parametrize("left", [(), ("model_0004999.pth",)])
def test_a_run_without_a_checkpoint_is_refused_and_never_its_start(
    left: tuple[str, ...], named: str, run: Path
) -> None:
    for path in (run / BEST, run / FINAL, run / POINTER, run / "model_0000001.pth"):
        path.unlink()
    for name in left:  # of an earlier run
        (run / name).touch()
    with pytest.raises(ValueError, match="is a training run without a checkpoint") as refusal:
        resolve(run / named)
    assert ("model_0004999.pth" in str(refusal.value)) == bool(left)
    given = run.parent / "start.pth"
    assert resolve(run / named, weights=given).weights == given
    assert resolve(run / named, overrides=["MODEL.WEIGHTS", str(given)]).weights == given


def test_weights_that_are_given_go_before_the_runs(run: Path) -> None:
    given = run.parent / "start.pth"
    for found in (resolve(run, weights=given), resolve(run, overrides=["MODEL.WEIGHTS", str(given)])):
        assert (found.weights, found.remark) == (given, "")


def test_a_config_that_no_training_saved_is_itself(tmp_path: Path) -> None:
    (tmp_path / "start.pth").touch()
    keys = ["MODEL.WEIGHTS", str(tmp_path / "start.pth")]
    (tmp_path / "config.yaml").write_text(load_config(FASTER, keys).dump())
    (tmp_path / "run.json").write_text('{"model": "demo/V-19-slim-dw"}')  # of an evaluation
    assert find_trained(tmp_path / "config.yaml") is None
    assert resolve(tmp_path / "config.yaml").weights == tmp_path / "start.pth"
    assert resolve(tmp_path).name == "demo/V-19-slim-dw"


def test_a_checkpoint_finds_its_config_beside_it_or_is_told(run: Path, tmp_path: Path) -> None:
    found = resolve(run / FINAL)
    assert (found.weights, found.name, found.config) == (run / FINAL, "mine/model_final", run / "config.yaml")
    alone = tmp_path / "alone.pth"
    alone.touch()
    with pytest.raises(ValueError, match=r"no config\.yaml beside it.*--config-file"):
        resolve(alone)
    found = resolve(alone, config_file="retinanet_V_39_FPN_3x")
    assert (found.weights, found.name) == (alone, "alone")
    assert found.cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
    for model in (run, FASTER, "demo/V-19-slim-dw"):
        with pytest.raises(ValueError, match=r"retinanet.*goes with a checkpoint file as MODEL"):
            resolve(model, config_file="retinanet_V_39_FPN_3x")


def test_a_folder_of_something_else_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="or the folder of a training run"):
        resolve(tmp_path)


@pytest.fixture
def evaluation(run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    weights = {"path": str(run / FINAL), "sha256": hashlib.sha256(b"").hexdigest()}
    facts = {"model": "mine", "config": str(run), "weights": weights, "overrides": ["INPUT.MIN_SIZE_TEST", "64"]}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def test_an_evaluation_means_the_model_that_was_evaluated(evaluation: Path, run: Path) -> None:
    found = resolve(evaluation)
    assert (found.weights, found.name, found.cfg.INPUT.MIN_SIZE_TEST) == (run / FINAL, "mine", 64)
    assert configured(evaluation)[0].INPUT.MIN_SIZE_TEST == 64
    change(evaluation, inference={"engine": "exact", "tiles": {"size": 640, "overlap": 0.1}})
    assert dict(configured(evaluation)[0].TEST.TILES) == {"SIZE": 640, "OVERLAP": 0.1}
    change(evaluation, inference={"engine": "exact", "tiles": None})  # though the config has some
    assert configured(evaluation, ["TEST.TILES.OVERLAP", "0.3"])[0].TEST.TILES.SIZE == 0
    asked = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(asked.replace("    SIZE: 0\n", "    SIZE: 2048\n"))
    assert configured(evaluation)[0].TEST.TILES.SIZE == 0
    change(evaluation, inference={"engine": "exact"})
    assert configured(evaluation)[0].TEST.TILES.SIZE == 2048
    assert resolve(evaluation, weights=run / BEST, overrides=["INPUT.MIN_SIZE_TEST", "32"]).weights == run / BEST


def change(evaluation: Path, **facts: Any) -> None:
    path = evaluation / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_an_evaluation_whose_model_is_not_to_be_had_is_refused(evaluation: Path, run: Path, tmp_path: Path) -> None:
    (run / FINAL).write_bytes(b"trained on")
    with pytest.raises(ValueError, match=r"model_final\.pth, and that file has changed since"):
        resolve(evaluation)
    (run / FINAL).unlink()
    with pytest.raises(ValueError, match="no longer exists"):
        resolve(evaluation)
    assert resolve(evaluation, weights=run / BEST).weights == run / BEST
    assert resolve(evaluation, overrides=["MODEL.WEIGHTS", str(run / BEST)]).weights == run / BEST
    assert configured(evaluation)[1] == "mine"
    change(evaluation, weights=None)
    with pytest.raises(ValueError, match="random weights, and random weights are not saved"):
        resolve(evaluation)
    change(evaluation, config=str(evaluation), weights={})
    with pytest.raises(ValueError, match="names its own folder"):
        resolve(evaluation)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    change(evaluation, config=str(tmp_path / "evil.py"))
    with pytest.raises(ValueError, match="LazyConfig, which is code and is run only where you name it"):
        resolve(evaluation)
    assert not (tmp_path / "ran").exists()
    for weights in ("a text", 7, [1], {"sha256": 1}, {"path": None}):
        change(evaluation, config="x.yaml", weights=weights)
        with pytest.raises(ValueError, match="does not say where its weights are"):
            resolve(evaluation)
    for overrides in (7, "A", {"A": 1}, None):
        change(evaluation, overrides=overrides)
        with pytest.raises(ValueError, match="which must be a list"):
            resolve(evaluation)
    change(evaluation, config=None, model=None)
    with pytest.raises(ValueError, match="does not say which model"):
        resolve(evaluation)


def test_an_evaluation_in_the_runs_own_folder_does_not_hide_the_run(evaluation: Path, run: Path) -> None:
    (evaluation / "run.json").replace(run / "run.json")
    assert resolve(run).weights == run / BEST
    recipe = find_recipe(run)
    assert recipe is not None
    assert recipe.weights == str(run / FINAL)


def test_the_model_of_an_evaluation_is_what_it_was_made_with(tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    facts = {"model": "m", "config": "m.yaml", "weights": {"path": str(weights)}, "overrides": ["A", "1"]}
    weights.touch()
    assert vars(recorded(facts, "m")) == {"model": "m.yaml", "weights": str(weights), "overrides": ("A", "1")}
    assert recorded(facts, "m", "other").weights is None
    assert recorded(facts, "m", weights="w.pth").weights == "w.pth"
    assert recorded({"model": "fcos_V_39_FPN_3x"}, "m").model == "fcos_V_39_FPN_3x"  # a LazyConfig, but a shipped one
    assert recorded({"config": str(config_path("fcos_V_39_FPN_3x"))}, "m").weights is None


def test_a_name_that_lasts(evaluation: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    (run.parent / "demo/V-19-slim-dw").mkdir(parents=True)
    assert lasting_name("mine", ["A", "1"]) == (str(run), ["A", "1"])
    assert lasting_name("demo/V-19-slim-dw") == ("demo/V-19-slim-dw", [])
    assert lasting_name(FASTER) == (FASTER, [])
    assert lasting_name(evaluation, ["A", "1"]) == (str(run), ["INPUT.MIN_SIZE_TEST", "64", "A", "1"])


@pytest.fixture
def lazy_run(tmp_path: Path) -> Path:
    folder = tmp_path / "it's, lazy=1"
    folder.mkdir()
    cfg = load_lazy_config("fcos_V_39_FPN_3x", ["train.init_checkpoint=start.pth"])
    cfg.optimizer.params.lr_factor_func = lambda name: 1.0  # as detectron2's ViTDet has it: cannot be read as data
    LazyConfig.save(cfg, str(folder / "config.yaml"))
    for name in (BEST, "log.txt"):
        (folder / name).touch()
    return folder


def test_the_run_of_a_lazy_config_is_read_as_data(lazy_run: Path) -> None:
    found = resolve(lazy_run, overrides=["model.test_score_thresh=0.4"])
    assert isinstance(found.cfg, DictConfig)
    assert (found.weights, found.cfg.train.init_checkpoint) == (lazy_run / BEST, str(lazy_run / BEST))
    assert found.cfg.model.test_score_thresh == 0.4
    assert found.cfg.model.head.input_shape[0].channels == 256
    (lazy_run / BEST).unlink()
    with pytest.raises(ValueError, match="is a training run without a checkpoint"):
        resolve(lazy_run)


def bomb(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize(
    "evil",
    [
        "model: {_target_: pathlib.Path.touch, self: MARKER}",
        "model: {_target_: detectron2.modeling.FCOS, backbone: {_target_: os.system, command: touch MARKER}}",
        "model: {_target_: detectron2.modeling.FCOS, backbone: '${evil}'}\nevil: {_target_: os.system}",
        "model: {_target_: detectron2.modeling.FCOS, norm: !!python/name:os.system ''}",
        "model: {_target_: detectron2.modeling.FCOS, norm: !!python/object/apply:os.system ['touch MARKER']}",
        "model: {_target_: detectron2.modeling.FCOS, norm: !!python/object/new:os.system ['touch MARKER']}",
        "model: {_target_: detectron2.config.LazyConfig.load, filename: MARKER}",
        "model: {_target_: detectron2.utils.env.setup_environment}",
        "model: {_target_: torch.nn.functional.torch.hub.load}",
        "model: {_target_: '${evil}'}\nevil: os.system",
        "model: {_target_: explorer.nothing.there}",
        "model: {_target_: [1]}",
        "model: {_target_: detectron2.modeling.FCOS, backbone: '${nothing}'}",
    ],
)
def test_a_lazy_run_of_others_runs_nothing(evil: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "config.yaml"
    path.write_text(evil.replace("MARKER", str(marker)))
    assert is_dump(path)
    with pytest.raises(ValueError, match=r"may be any code and is not run|is not the config of a training"):
        load_dump(path)
    assert not marker.exists()


def test_a_model_of_ones_own_classes_is_built_from_its_lazy_config_alone(tmp_path: Path) -> None:
    cfg = load_lazy_config("fcos_V_39_FPN_3x")
    cfg.model.backbone.bottom_up = LazyCall(bomb)(path=str(tmp_path / "ran"))
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    (tmp_path / FINAL).touch()
    with pytest.raises(ValueError, match=r"test_trained\.bomb, which may be any code.*\(\.py\) as MODEL"):
        resolve(tmp_path)


def test_every_shipped_lazy_config_can_be_read_back(tmp_path: Path) -> None:
    from detectron2.config import instantiate

    cfg = load_lazy_config("fcos_V_39_FPN_3x", ["model.backbone.bottom_up.spec=V-19-slim-dw-eSE"])
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    shapes = [
        {name: tensor.shape for name, tensor in instantiate(one.model).state_dict().items()}
        for one in (cfg, load_dump(tmp_path / "config.yaml"))
    ]
    assert shapes[0] == shapes[1]
