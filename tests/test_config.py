"""Reading configurations: shipped ones build, wrong ones are explained, none runs code."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.modeling import build_model

import explorer.backbones  # noqa: F401 (registers the builders)
from explorer.config import CONFIGS, config_names, config_path, get_cfg, load_config


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
