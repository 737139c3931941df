"""Runs that are killed and resumed: what is on disk is always whole, and the end is the same to the bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from explorer.engine.training.checkpointing import (
    EARLIER,
    METRICS,
    Checkpoints,
    read_metrics,
    read_state,
    trim_metrics,
)
from explorer.engine.training.command import job, main
from explorer.engine.training.recipe import Recipe, yaml_recipe
from explorer.engine.training.trainer import Trainer
from explorer.zoo.trained import BEST, FINAL, last_checkpoint
from tests.fixtures.trainings import setup

FASTER = "faster_rcnn_V_39_FPN_3x"
Arguments = Callable[..., Namespace]


def assert_same(left: Any, right: Any) -> None:
    """Compares two checkpoints to the bit: weights, momenta, schedule, seed."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right


class InterruptedRunError(Exception):
    """Stands for the kill where a test cannot kill its own process."""


def interrupt_after(trainer: Trainer, steps: int) -> None:
    """Lets `trainer` run until `steps` iterations are done in all, and stops it at the start of the next."""
    run_step = trainer.run_step

    def counted() -> None:
        if trainer.iter == steps:
            raise InterruptedRunError
        run_step()

    trainer.run_step = counted  # type: ignore[method-assign]
    with pytest.raises(InterruptedRunError):
        trainer.run()


@pytest.fixture
def recipe_of(no_log_files: None, short_training: Arguments) -> Callable[..., Recipe]:
    return lambda config, *keys, **options: yaml_recipe(setup(short_training(config, *keys, **options)))


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        (FASTER, ("SOLVER.AMP.ENABLED", "True", "DATALOADER.NUM_WORKERS", "1")),
        ("mask_rcnn_V_39_FPN_3x", ("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler")),
        pytest.param(FASTER, (), marks=pytest.mark.slow),
        pytest.param(
            FASTER, ("TEST.PRECISE_BN.ENABLED", "True", "TEST.PRECISE_BN.NUM_ITER", "2"), marks=pytest.mark.slow
        ),
        pytest.param("retinanet_V_39_FPN_3x", ("DATALOADER.ASPECT_RATIO_GROUPING", "False"), marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_ends_as_one_that_was_not_stopped(
    config: str, keys: tuple[str, ...], recipe_of: Callable[..., Recipe]
) -> None:
    keys = (*keys, "SOLVER.MAX_ITER", "5", "SOLVER.STEPS", "(3,)")
    whole = Trainer(recipe_of(config, *keys, out="whole"))
    whole.run()
    interrupt_after(Trainer(recipe_of(config, *keys, out="parts")), steps=3)
    second = Trainer(recipe_of(config, *keys, out="parts", resume=True))
    second.recipe.stream.seed = 999  # as a run without SEED draws it; the checkpoint knows better
    second.resume()
    assert second.start_iter == 2
    second.run()
    assert_same(*(read_state(t.recipe.output_dir / "model_final.pth") for t in (whole, second)))


def test_resuming_does_carry_over_what_it_claims_to(recipe_of: Callable[..., Recipe]) -> None:
    """The comparison above would not notice a training in which nothing depends on the past: this one does."""
    ends = []
    for out, forget in (("kept", False), ("lost", True)):
        interrupt_after(Trainer(recipe_of(FASTER, "SOLVER.MAX_ITER", "4", out=out)), steps=3)
        trainer = Trainer(recipe_of(FASTER, "SOLVER.MAX_ITER", "4", out=out, resume=True))
        trainer.resume()
        if forget:
            trainer.optimizer.state.clear()
        trainer.run()
        ends.append(read_state(trainer.recipe.output_dir / "model_final.pth")["model"])
    assert not all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.fixture(scope="module")
def forkserver() -> Any:
    """Starts processes that have imported everything already and share no thread with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["explorer.engine.training.command"])
    return context


def train(args: Namespace) -> None:
    """Starts its loaders as a training from a shell does: they see that it was killed, and end."""
    multiprocessing.set_start_method("fork", force=True)
    main(args)


def start(context: Any, args: Namespace) -> Any:
    process = context.Process(target=train, args=(args,))
    process.start()
    return process


def kill_after(process: Any, folder: Path, pause_s: float) -> str:
    """Kills a training with SIGKILL, `pause_s` after its next checkpoint; returns the checkpoint it had then."""
    before = last_checkpoint(folder)
    while last_checkpoint(folder) == before:
        assert process.is_alive(), "the training ended before it could be killed"
        time.sleep(0.002)
    time.sleep(pause_s)
    loaders = [
        Path("/proc", pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline_s = time.monotonic() + 30
    while any(loader.exists() for loader in loaders):  # they look every five seconds, and hold the folder until then
        assert time.monotonic() < deadline_s, "a process that loads images outlived its training"
        time.sleep(0.1)
    assert process.exitcode == -signal.SIGKILL, "the training ended before it could be killed"
    last = last_checkpoint(folder)
    assert last is not None
    read_state(last)
    return last.name


def kill_and_resume(
    context: Any, arguments: Callable[..., Namespace], out: str, folder: Path, kills: int, seed: int
) -> list[str]:
    """Runs a training to its end through `kills` kills at random moments; returns what it resumed from."""
    chance = random.Random(seed)
    found = []
    for number in range(kills):
        process = start(context, arguments(out=out, resume=number > 0))
        found.append(kill_after(process, folder, chance.uniform(0.0, 0.15)))
    last = start(context, arguments(out=out, resume=True))
    last.join()
    assert last.exitcode == 0
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "kills", "workers"),
    [(FASTER, 2, 0), ("retinanet_V_39_FPN_3x", 2, 0), (FASTER, 2, 1), (FASTER, 14, 0)],
)
def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    config: str,
    kills: int,
    workers: int,
    forkserver: Any,
    short_training: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("killed", kills)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    keys = ("SOLVER.MAX_ITER", str(12 * (kills + 1)), "SOLVER.CHECKPOINT_PERIOD", "3", "TEST.EVAL_PERIOD", "10")
    keys += ("DATALOADER.NUM_WORKERS", str(workers))

    def arguments(out: str, *, resume: bool = False) -> Namespace:
        return short_training(config, *keys, out=out, resume=resume)

    whole = start(forkserver, arguments("whole"))
    whole.join()
    assert whole.exitcode == 0
    found = kill_and_resume(forkserver, arguments, "killed", tmp_path / "killed", kills, seed=kills)
    assert found == sorted(set(found))
    assert_same(*(read_state(tmp_path / out / "model_final.pth") for out in ("whole", "killed")))
    assert_same(*(read_state(tmp_path / out / "model_best.pth") for out in ("whole", "killed")))
    rows = [read_metrics(tmp_path / out / METRICS) for out in ("whole", "killed")]
    figures = [{row["iteration"]: row["bbox/AP"] for row in of_run if "bbox/AP" in row} for of_run in rows]
    assert figures[0] == figures[1]
    assert len(rows[1]) == len({row["iteration"] for row in rows[1]})


class Nothing:
    """A trainer without a state."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert state_dict == {}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path, torch.nn.Linear(2, 2), Nothing())


def test_a_write_that_fails_leaves_the_last_checkpoint(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save("model_0000001")

    def half(state: dict[str, Any], path: Path) -> None:
        path.write_bytes(b"PK half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    for name in ("model_0000003", "model_0000001"):
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(name)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["last_checkpoint", "model_0000001.pth"]
    checkpoints.resume()


def test_other_processes_of_a_run_write_nothing(tmp_path: Path) -> None:
    second = Checkpoints(tmp_path / "run", torch.nn.Linear(2, 2), Nothing(), writes=False)
    second.save("model_0000001")
    second.save_best(value=1.0)
    assert not (tmp_path / "run").exists()


class RunsOnLoad:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("damage", ["code", "cut", "empty", "text", "gone", "no model"])
def test_a_checkpoint_that_is_not_one_is_one_clear_error_and_runs_nothing(
    damage: str, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoints.folder)
    checkpoints.save("model_0000001")
    path = checkpoints.folder / "model_0000001.pth"
    match damage:
        case "code":
            torch.save({"model": {}, "trainer": RunsOnLoad()}, path)
        case "cut":
            path.write_bytes(path.read_bytes()[:-100])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("<html>")
        case "gone":
            path.unlink()
        case "no model":
            torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"model_0000001\.pth"):
        checkpoints.resume()
    assert not (checkpoints.folder / "ran").exists()


def test_a_checkpoint_of_another_model_is_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save("model_0000001")
    other = Checkpoints(checkpoints.folder, torch.nn.Linear(3, 2), Nothing())
    with pytest.raises(ValueError, match="another model"):
        other.resume()


def test_weights_alone_cannot_be_resumed(checkpoints: Checkpoints) -> None:
    checkpoints.save_best(value=1.0)
    (checkpoints.folder / "last_checkpoint").write_text("model_best.pth")
    with pytest.raises(ValueError, match=r"MODEL\.WEIGHTS instead of --resume"):
        checkpoints.resume()


def test_a_new_run_in_an_old_folder_forgets_the_old_one(recipe_of: Callable[..., Recipe]) -> None:
    Trainer(recipe_of(FASTER)).run()
    trainer = Trainer(recipe_of(FASTER))
    interrupt_after(trainer, steps=1)
    assert trainer.checkpoints.last is None
    assert not (trainer.recipe.output_dir / BEST).exists()
    assert read_state(trainer.recipe.output_dir / EARLIER[BEST])["figure"] == "bbox/AP"
    assert not (trainer.recipe.output_dir / FINAL).exists()
    assert (trainer.recipe.output_dir / EARLIER[FINAL]).is_file()
    assert [row["iteration"] for row in read_metrics(trainer.recipe.output_dir / METRICS)] == [0]


def test_a_resumed_run_can_be_resumed_again(no_log_files: None, short_training: Arguments, tmp_path: Path) -> None:
    """AdamW keeps a tuple in its state: what a run read of it, the next one reads too."""
    for iterations in ("1", "2", "3"):
        keys = ["SOLVER.OPTIMIZER", "AdamW", "SOLVER.MAX_ITER", iterations, "TEST.EVAL_PERIOD", "0"]
        job(short_training(FASTER, *keys, "DATASETS.TEST", "()", resume=True))
    assert read_state(tmp_path / "run" / FINAL)["trainer"]["iteration"] == 2


def test_resume_without_a_checkpoint_starts_at_the_beginning(no_log_files: None, short_training: Arguments) -> None:
    assert "bbox" in job(short_training(FASTER, "SOLVER.MAX_ITER", "1", resume=True))


def test_metrics_after_the_checkpoint_are_dropped_and_a_cut_line_too(tmp_path: Path) -> None:
    rows = [{"iteration": number, "total_loss": 1.0} for number in (1, 3, 5)]
    path = tmp_path / METRICS
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"iteration": 7, "tot')
    trim_metrics(path, 4)
    assert read_metrics(path) == rows[:2]
    trim_metrics(tmp_path / "none.json", 4)
    assert read_metrics(tmp_path / "none.json") == []


def figures_in_turn(values: list[float]) -> Callable[[torch.nn.Module], dict[str, dict[str, float]]]:
    turns: Iterator[float] = iter(values)
    return lambda model: {"bbox": {"AP": next(turns)}}


def test_the_best_weights_are_kept_through_a_resume(recipe_of: Callable[..., Recipe]) -> None:
    keys = ("SOLVER.MAX_ITER", "6", "TEST.EVAL_PERIOD", "1", "SOLVER.CHECKPOINT_PERIOD", "1")
    first = Trainer(replace(recipe_of(FASTER, *keys), evaluate=figures_in_turn([10.0, 30.0, float("nan"), 20.0])))
    interrupt_after(first, steps=4)
    best = first.recipe.output_dir / "model_best.pth"
    assert {key: value for key, value in read_state(best).items() if key != "model"} == {
        "iteration": 1,
        "figure": "bbox/AP",
        "value": 30.0,
    }
    second = Trainer(replace(recipe_of(FASTER, *keys, resume=True), evaluate=figures_in_turn([25.0, 30.5])))
    second.resume()
    second.run()
    assert read_state(best)["iteration"] == 5
    assert second.results == {"bbox": {"AP": 30.5}}


def test_a_validation_that_a_kill_cut_short_is_made_up_for(recipe_of: Callable[..., Recipe]) -> None:
    keys = ("SOLVER.MAX_ITER", "4", "TEST.EVAL_PERIOD", "2", "SOLVER.CHECKPOINT_PERIOD", "2")

    def cut(model: torch.nn.Module) -> dict[str, dict[str, float]]:
        raise InterruptedRunError

    first = Trainer(replace(recipe_of(FASTER, *keys), evaluate=cut))
    with pytest.raises(InterruptedRunError):
        first.run()
    second = Trainer(replace(recipe_of(FASTER, *keys, resume=True), evaluate=figures_in_turn([10.0, 20.0])))
    second.resume()
    second.run()
    rows = read_metrics(second.recipe.output_dir / METRICS)
    assert {row["iteration"]: row["bbox/AP"] for row in rows if "bbox/AP" in row} == {1: 10.0, 3: 20.0}
