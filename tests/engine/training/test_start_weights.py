"""What training starts from: weights of a backbone or of the zoo, the pixels they know, and none when it resumes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import LazyConfig

from explorer.engine.training.checkpointing import read_state
from explorer.engine.training.command import job, parse_arguments
from explorer.engine.training.recipe import yaml_recipe
from explorer.zoo import resolve
from tests.fixtures.trainings import setup

pytestmark = pytest.mark.usefixtures("no_log_files")
FASTER = "faster_rcnn_V_39_FPN_3x"
Arguments = Callable[..., Namespace]


def test_weights_of_a_backbone_alone_are_a_start(short_training: Arguments, tmp_path: Path) -> None:
    recipe = yaml_recipe(setup(short_training(FASTER)))
    state = {f"backbone.bottom_up.{k}": v + 1 for k, v in recipe.model.backbone.bottom_up.state_dict().items()}
    torch.save(state, tmp_path / "backbone.pth")
    args = short_training(FASTER, "MODEL.WEIGHTS", str(tmp_path / "backbone.pth"), "SOLVER.BASE_LR", "0.0")
    job(args)
    final = read_state(tmp_path / "run/model_final.pth")["model"]
    key = "backbone.bottom_up.stem.stem_1/conv.weight"
    torch.testing.assert_close(final[key], state[key], rtol=0, atol=0)


def test_weights_of_the_zoo_bring_the_pixels_that_they_know(
    short_training: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "fetch_weights", lambda entry, **_: tmp_path / f"{entry.backbone}.safetensors")
    keys = ("MODEL.WEIGHTS", "timm/ese_vovnet39b.ra_in1k")
    cfg = setup(short_training(FASTER, *keys))
    assert str(tmp_path / "V-39-eSE.safetensors") == cfg.MODEL.WEIGHTS
    assert (cfg.INPUT.FORMAT, cfg.MODEL.VOVNET.ESE, cfg.MODEL.PIXEL_STD) == ("RGB", "last", [58.395, 57.12, 57.375])
    assert setup(short_training(FASTER, *keys, "INPUT.FORMAT", "BGR")).INPUT.FORMAT == "BGR"


def lazy_arguments(data: Path, *keys: str) -> list[str]:
    words = [f"dataloader.{part}.dataset.names={data}:val" for part in ("train", "test")]
    words += ["model.num_classes=6", "model.head.num_classes=6"]
    return ["--num-gpus", "0", "--config-file", "fcos_V_39_FPN_3x", *words, *keys]


def test_weights_of_the_zoo_bring_a_lazy_config_the_pixels_that_they_know(
    aerial_few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "fetch_weights", lambda entry, **_: tmp_path / f"{entry.backbone}.safetensors")
    words = lazy_arguments(aerial_few, "train.init_checkpoint=timm/ese_vovnet39b.ra_in1k")
    cfg = setup(parse_arguments(words))
    assert str(tmp_path / "V-39-eSE.safetensors") == cfg.train.init_checkpoint
    assert (cfg.dataloader.train.mapper.image_format, cfg.model.backbone.bottom_up.ese) == ("RGB", "last")
    assert list(cfg.model.pixel_std) == [58.395, 57.12, 57.375]


def gone(entry: Any, **_: Any) -> Path:
    raise AssertionError("a run that is resumed does not read its start weights")


@pytest.mark.parametrize("repeated", [True, False])
def test_a_run_is_resumed_without_its_start_weights_but_with_what_they_brought(
    repeated: bool, short_training: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "fetch_weights", lambda entry, **_: tmp_path / "gone.safetensors")
    keys = ("MODEL.WEIGHTS", "timm/ese_vovnet39b.ra_in1k")
    first = setup(short_training(FASTER, *keys))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(first.dump())
    monkeypatch.setattr(resolve, "fetch_weights", gone)
    with pytest.raises(AssertionError, match="start weights"):  # there is nothing to resume from yet
        setup(short_training(FASTER, *keys, resume=True))
    (tmp_path / "run/last_checkpoint").write_text("model_0000001.pth")
    second = setup(short_training(FASTER, *(keys if repeated else ()), resume=True))
    assert second.dump() == first.dump()


def test_a_lazy_run_is_resumed_without_its_start_weights_but_with_what_they_brought(
    aerial_few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "fetch_weights", lambda entry, **_: tmp_path / "gone.safetensors")
    words = lazy_arguments(aerial_few, f"train.output_dir={tmp_path}")
    first = setup(parse_arguments([*words, "train.init_checkpoint=timm/ese_vovnet39b.ra_in1k"]))
    LazyConfig.save(first, str(tmp_path / "config.yaml"))
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    monkeypatch.setattr(resolve, "fetch_weights", gone)
    assert setup(parse_arguments(["--resume", *words])) == first
