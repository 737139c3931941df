"""Reading configurations: shipped ones build, wrong ones are explained, none runs code."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.modeling import build_model

import explorer.heads  # noqa: F401 (registers the heads and, with them, the builders of backbones)
from explorer.config import CONFIGS, config_names, config_path, get_cfg, load_config, load_lazy_config


@pytest.mark.parametrize("name", config_names())
def test_every_shipped_config_builds(name):
    path = CONFIGS / name
    with torch.device("meta"):
        if path.suffix == ".py":
            model = instantiate(LazyConfig.load(str(path)).model)
        else:
            model = build_model(load_config(path, ["MODEL.DEVICE", "meta"]))
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e5


@pytest.mark.parametrize(
    "source",
    ["faster_rcnn_V_39_FPN_3x", "faster_rcnn_V_39_FPN_3x.yaml", "configs/faster_rcnn_V_39_FPN_3x.yaml"],
)
def test_shipped_configs_are_found_from_anywhere(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_path(source) == CONFIGS / "faster_rcnn_V_39_FPN_3x.yaml"


def test_base_files_are_not_offered():
    assert not [name for name in config_names() if "Base" in name]


def test_overrides_are_applied():
    cfg = load_config("faster_rcnn_V_39_FPN_3x", ["MODEL.VOVNET.ESE", "last", "MODEL.VOVNET.IDENTITY", "False"])
    assert (cfg.MODEL.VOVNET.ESE, cfg.MODEL.VOVNET.IDENTITY) == ("last", False)
    assert get_cfg().MODEL.VOVNET.ESE is None


def test_a_whole_number_is_a_value_of_a_key_with_fractions(tmp_path):
    path = write(tmp_path / "config.yaml", "SOLVER: {BASE_LR: 1}\nINPUT: {ZOOM_TEST: 2, MIN_SIZE_TEST: 600}\n")
    cfg = load_config(path, ["INPUT.ZOOM_TEST", "3", "SOLVER.MAX_ITER", "7"])
    assert (cfg.SOLVER.BASE_LR, cfg.INPUT.ZOOM_TEST, cfg.INPUT.MIN_SIZE_TEST, cfg.SOLVER.MAX_ITER) == (1.0, 3.0, 600, 7)
    assert isinstance(cfg.INPUT.ZOOM_TEST, float)
    assert isinstance(cfg.INPUT.MIN_SIZE_TEST, int)


@pytest.mark.parametrize("name", [name for name in config_names() if name.endswith(".yaml")])
def test_shipped_configs_are_read_as_detectron2_reads_them(name):
    theirs = get_cfg()
    theirs.merge_from_file(str(CONFIGS / name))
    assert load_config(name) == theirs


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MODEL:\n  VOVNET:\n    CONV_BODI: V-39-eSE\n", "Did you mean MODEL.VOVNET.CONV_BODY"),
        ("MODEL:\n  MASK_ON: 'perhaps'\n", "MASK_ON"),
        ("MODEL: [unclosed\n", "is not a YAML configuration"),
        ("just words", "is not a YAML configuration"),
        (
            "SOLVER:\n  STEPS: !!python/object/apply:os.system ['touch {marker}']\n",
            "construct a Python object",
        ),
    ],
)
def test_wrong_files_are_explained_and_run_nothing(text, words, tmp_path):
    marker = tmp_path / "ran"
    path = write(tmp_path / "config.yaml", text.replace("{marker}", str(marker)))
    with pytest.raises(ValueError, match=words):
        load_config(path)
    assert not marker.exists()


def test_lazy_configs_are_not_run_by_accident(tmp_path):
    marker = tmp_path / "ran"
    path = write(tmp_path / "config.py", f"open({str(marker)!r}, 'w')")
    with pytest.raises(ValueError, match="Python code"):
        load_config(path)
    assert not marker.exists()


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ValueError, match="faster_rcnn_V_39_FPN_3x"):
        load_config("faster_rcnn_V39_FPN_3x")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["MODEL.VOVNET.NORM"], "no value"),
        (["MODEL.VOVNET.NORN", "BN"], "Did you mean MODEL.VOVNET.NORM"),
        (["MODEL.MASK_ON", "perhaps"], "MASK_ON"),
    ],
)
def test_wrong_overrides_are_explained(overrides, words):
    with pytest.raises(ValueError, match=words):
        load_config("faster_rcnn_V_39_FPN_3x", overrides)


def test_a_base_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "config.yaml", "_BASE_: nowhere.yaml\n")
    with pytest.raises(ValueError, match=r"config\.yaml: there is no file 'nowhere\.yaml', which its _BASE_ names"):
        load_config(path)


LAZY = "fcos_V_39_FPN_3x"


def test_lazy_overrides_are_applied():
    words = ["model.num_classes=6", "model.backbone.bottom_up.ese=last", "train.seed=1", "+train.mine=2"]
    words += ["dataloader.train.mapper.augmentations.0.max_size=96", "model.pixel_mean=[1, 2, 3]"]
    cfg = load_lazy_config(LAZY, words)
    assert (cfg.model.num_classes, cfg.model.backbone.bottom_up.ese) == (6, "last")
    assert (cfg.train.seed, cfg.train.mine, list(cfg.model.pixel_mean)) == (1, 2, [1, 2, 3])
    assert cfg.dataloader.train.mapper.augmentations[0].max_size == 96
    assert "seed" not in load_lazy_config(LAZY).train


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.num_classes"], "'model.num_classes': a LazyConfig takes key=value"),
        (["MODEL.MASK_ON", "False"], "'MODEL.MASK_ON': a LazyConfig takes key=value"),
        (["model.nothing=1"], r"there is no key model\.nothing\..* write \+model\.nothing=1"),
        (["model.num_clases=6"], r"Did you mean model\.num_classes\?"),
        (["modle.num_classes=6"], r"Did you mean model\.num_classes\?"),
        (["train.max_itr=6"], r"Did you mean train\.max_iter\?"),
        (["model.num_classes.deep=6"], "there is no key"),
        (["dataloader.train.mapper.augmentations.7.max_size=6"], "there is no key"),
        (["dataloader.train.mapper.augmentations.x.max_size=6"], "there is no key"),
        (["model.num_classes=6,7"], "several values"),
        (["model.pixel_mean=[1,2"], "'model.pixel_mean=\\[1,2': "),
        (["=1"], "'=1': "),
        (["~model.num_classes=80"], "deletion"),
    ],
)
def test_wrong_lazy_overrides_are_explained(words, message):
    with pytest.raises(ValueError, match=message):
        load_lazy_config(LAZY, words)
