"""Training whose numbers become infinite or NaN: one line that helps, and a checkpoint that is still good."""

from __future__ import annotations

import logging
import math
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.utils import comm
from typer.testing import CliRunner

from explorer.cli import app
from explorer.engine.training.checkpointing import last_checkpoint, read_state
from explorer.engine.training.command import job
from explorer.engine.training.recipe import Recipe, yaml_recipe
from explorer.engine.training.trainer import Trainer
from tests.fixtures.trainings import setup

pytestmark = pytest.mark.usefixtures("no_log_files")
FASTER = "faster_rcnn_V_39_FPN_3x"
KEYS = ("SOLVER.CHECKPOINT_PERIOD", "1", "TEST.EVAL_PERIOD", "0", "SOLVER.MAX_ITER", "4", "SOLVER.BASE_LR", "0.02")
Arguments = Callable[..., Namespace]


def break_loss(recipe: Recipe, after: int, value: float) -> None:
    """Lets one of the model's losses be `value` from a forward pass on."""
    forward, passes = recipe.model.forward, 0

    def broken(batch: Any) -> Any:
        nonlocal passes
        losses = forward(batch)
        passes += 1
        if passes > after:
            losses["loss_cls"] = losses["loss_cls"] * value
        return losses

    recipe.model.forward = broken


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_loss_is_named_and_the_run_goes_on_from_its_checkpoint(
    value: float, short_training: Arguments, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = yaml_recipe(setup(short_training(FASTER, *KEYS)))
    break_loss(recipe, after=2, value=value)
    with pytest.raises(FloatingPointError) as stopped, caplog.at_level(logging.INFO):
        Trainer(recipe).run()
    said = str(stopped.value)
    assert said.startswith("Training diverged in iteration 3 at learning rate ")
    assert f": loss_cls is {value}. Try" in said
    for part in ("SOLVER.BASE_LR 0.002", "SOLVER.CLIP_GRADIENTS.ENABLED True", "explorer data check"):
        assert part in said
    assert said.endswith(f"Use --resume to continue from {tmp_path / 'run/model_0000001.pth'}.")
    assert "\n" not in said
    assert not [record for record in caplog.records if record.exc_info]
    assert any(record.getMessage() == f"Training stopped: {said}" for record in caplog.records)
    job(short_training(FASTER, *KEYS, resume=True))
    assert last_checkpoint(tmp_path / "run") == tmp_path / "run/model_final.pth"


def test_weights_that_are_broken_never_become_the_checkpoint_to_resume_from(
    short_training: Arguments, tmp_path: Path
) -> None:
    trainer = Trainer(yaml_recipe(setup(short_training(FASTER, *KEYS))))
    step = trainer._step.run_step

    def break_weights() -> None:
        step()
        if trainer.iter == 2:
            next(trainer.recipe.model.parameters()).data.fill_(math.nan)

    trainer._step.run_step = break_weights  # type: ignore[method-assign]
    with pytest.raises(FloatingPointError, match=r"iteration 3 .*weights are infinite or NaN.*model_0000001\.pth"):
        trainer.run()
    last = last_checkpoint(tmp_path / "run")
    assert last is not None
    assert all(torch.isfinite(value).all() for value in read_state(last)["model"].values())


def test_a_process_whose_own_loss_is_sound_stops_too(
    short_training: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(yaml_recipe(setup(short_training(FASTER, *KEYS))))
    monkeypatch.setattr(comm, "all_gather", lambda own: [own, {"loss_rpn_loc": math.nan}])
    with pytest.raises(FloatingPointError, match=r"iteration 1 .*loss_rpn_loc is nan.*no checkpoint yet"):
        trainer.train(0, 1)


def test_a_resumed_run_takes_another_learning_rate_from_its_config(short_training: Arguments, tmp_path: Path) -> None:
    job(short_training(FASTER, *KEYS, "SOLVER.MAX_ITER", "2"))
    rates = {}
    for name, base in (("same", "0.02"), ("lower", "0.002")):
        args = short_training(FASTER, *KEYS, "SOLVER.BASE_LR", base, resume=True)
        trainer = Trainer(yaml_recipe(setup(args)))
        trainer.resume()
        rates[name] = (trainer.optimizer.param_groups[0]["lr"], max(trainer.scheduler.base_lrs))
        trainer.optimizer.step()
        trainer.scheduler.step()
        assert trainer.optimizer.param_groups[0]["lr"] <= float(base)
    assert rates["lower"] == pytest.approx([rate / 10 for rate in rates["same"]])
    stopped = Trainer(yaml_recipe(setup(short_training(FASTER, *KEYS, "SOLVER.BASE_LR", "0", resume=True))))
    stopped.resume()
    assert stopped.optimizer.param_groups[0]["lr"] == 0
    trainer = Trainer(yaml_recipe(setup(short_training(FASTER, *KEYS, "SOLVER.BASE_LR", "0.02", resume=True))))
    trainer.load_state_dict(stopped.state_dict())
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(rates["same"][0])


def test_the_command_exits_with_1(short_training: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(_: object) -> None:
        raise FloatingPointError("Training diverged in iteration 3")

    monkeypatch.setattr("explorer.engine.training.command.main", diverge)
    done = CliRunner().invoke(app, ["train", "--config-file", FASTER])
    assert done.exit_code == 1
    assert done.stderr == "FloatingPointError: Training diverged in iteration 3\n"
