"""The training loop and what it keeps.

Every random draw is a function of the seed and of the iteration (or the position in the stream of images), never of
what was drawn before. A checkpoint therefore holds the seed and the iteration instead of generator states, validation
does not disturb training, and a CPU run that was killed and resumed ends with the bits of one that was not.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any

import torch
from detectron2.engine import AMPTrainer, SimpleTrainer, TrainerBase, create_ddp_model, hooks
from detectron2.utils import comm
from fvcore.nn.precise_bn import get_bn_modules
from rich.console import Console
from torch import nn

from explorer.engine.loaders import loaders_explained
from explorer.engine.training.checkpointing import Checkpoints
from explorer.engine.training.hooks import (
    CheckpointEvery,
    OnStep,
    ProgressLine,
    Results,
    TellEveryStep,
    Validation,
    WriteEvery,
)
from explorer.engine.training.losses import loss_memory, validation_loss
from explorer.engine.training.recipe import Recipe
from explorer.engine.training.stream import TrainingStream, local_seed, seed_all
from explorer.text import logger_of

logger = logger_of(__name__)


class FiniteStep(SimpleTrainer):
    """One optimisation step, which every process of the run refuses if a loss of any is infinite or NaN."""

    def _write_metrics(self, loss_dict: Mapping[str, torch.Tensor], *arguments: Any, **named: Any) -> None:
        own = {name: float(loss.detach()) for name, loss in loss_dict.items()}
        everyones = [item for losses in comm.all_gather(own) for item in losses.items()]
        if broken := {f"{name} is {loss}" for name, loss in everyones if not math.isfinite(loss)}:
            raise FloatingPointError(", ".join(sorted(broken)))
        super()._write_metrics(loss_dict, *arguments, **named)


class MixedPrecisionStep(FiniteStep, AMPTrainer):
    """The same under autocast, on CPU as well as on GPU; float16 losses are scaled."""

    def __init__(
        self, model: nn.Module, stream: TrainingStream, optimizer: torch.optim.Optimizer, dtype: torch.dtype
    ) -> None:
        self._device = next(model.parameters()).device.type
        if self._device == "cpu":
            for part in model.modules():
                if isinstance(part, nn.GroupNorm):  # as autocast does on GPUs; in bfloat16 they take four times as long
                    part.register_forward_pre_hook(_as_float32)
        scaler = torch.amp.GradScaler(self._device, enabled=dtype is torch.float16)
        super().__init__(model, stream, optimizer, grad_scaler=scaler, precision=dtype)

    def run_step(self) -> None:
        start = time.perf_counter()
        batch = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        with torch.autocast(self._device, self.precision):
            losses: dict[str, torch.Tensor] = self.model(batch)
        self.optimizer.zero_grad()
        self.grad_scaler.scale(sum(losses.values())).backward()
        self._write_metrics(losses, data_time)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()


def _as_float32(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (inputs[0].float(),)


class PreciseNorms(hooks.PreciseBN):
    """Recomputes batch-norm statistics from the same batches each time, so that a resumed run gets the same."""

    def update_stats(self) -> None:
        stream = copy(self._data_loader)
        stream.start = 0
        self._data_iter = iter(stream)
        with local_seed(0):
            super().update_stats()


class Trainer(TrainerBase):
    """Trains a recipe's model.

    Attributes:
        recipe: what is trained, on what and for how long.
        results: figures of the last validation.
    """

    def __init__(self, recipe: Recipe, console: Console | None = None, on_step: OnStep | None = None) -> None:
        """Prepares a run.

        Args:
            recipe: what to train.
            console: where the progress line goes; None logs plain lines instead.
            on_step: called after every step, last of all.
        """
        super().__init__()
        self.recipe, self._console, self._on_step = recipe, console, on_step
        self.optimizer, self.scheduler = recipe.optimizer, recipe.schedule  # where detectron2's hooks look for them
        self._on_cpu = next(recipe.model.parameters()).device.type == "cpu"
        if self._on_cpu or recipe.precision is not None:  # faster by a tenth in float32, a third in mixed precision
            recipe.model.to(memory_format=torch.channels_last)
        devices = {"device_ids": None} if self._on_cpu else {}
        model = create_ddp_model(recipe.model, broadcast_buffers=False, **devices)
        if recipe.precision is None:
            self._step = FiniteStep(model, recipe.stream, recipe.optimizer)
        else:
            self._step = MixedPrecisionStep(model, recipe.stream, recipe.optimizer, recipe.precision)
        self.checkpoints = Checkpoints(recipe.output_dir, recipe.model, self, writes=comm.is_main_process())
        self._validation = Validation(
            recipe.validation_period,
            self.checkpoints,
            self._evaluate,
            lambda: validation_loss(recipe.model, recipe.held_out()),
        )
        self.register_hooks(self._build_hooks())

    @property
    def results(self) -> Results:
        return self._validation.results

    def _evaluate(self) -> Results:
        """Evaluates; on a CPU in the memory format of a model that is loaded, so that its checkpoint finds the same."""
        model = self.recipe.model
        if not self._on_cpu:
            return self.recipe.evaluate(model)
        model.to(memory_format=torch.contiguous_format)
        try:
            return self.recipe.evaluate(model)
        finally:
            model.to(memory_format=torch.channels_last)

    def _build_hooks(self) -> list[Any]:
        """Returns the hooks in the order in which they run after a step; it matters (see `Validation`)."""
        recipe = self.recipe
        chain: list[Any] = [hooks.IterationTimer(), hooks.LRScheduler()]
        if recipe.precise_norms and get_bn_modules(recipe.model):
            chain.append(PreciseNorms(recipe.validation_period, recipe.model, recipe.stream, recipe.precise_norms))
        chain += [CheckpointEvery(self.checkpoints, recipe.checkpoint_period), self._validation]
        if comm.is_main_process():
            chain.append(
                WriteEvery(
                    recipe.output_dir,
                    recipe.log_period,
                    recipe.validation_period,
                    log_lines=self._console is None,
                    loggers=recipe.loggers,
                    settings=recipe.settings,
                )
            )
            if self._console is not None:
                chain.append(ProgressLine(self._console))
            if self._on_step is not None:
                chain.append(TellEveryStep(self._on_step))
        return chain

    def resume(self) -> None:
        """Takes up the run in the output folder at its last checkpoint.

        Raises:
            ValueError: there is none, or it does not fit.
        """
        self.checkpoints.resume()
        self.start_iter = self.recipe.stream.start = self.iter + 1

    def run(self) -> Results:
        """Trains to the end and returns the figures of the last validation."""
        try:
            self.train(self.start_iter, self.recipe.iterations)
        finally:
            self._step._data_loader_iter_obj = None  # ends its processes now; left to the garbage collector they hang
        return self.results

    def after_train(self) -> None:
        """Lets every hook finish, even where the last validation raises: metrics are written, the terminal set back."""
        self.storage.iter = self.iter
        with ExitStack() as stack:
            for hook in reversed(self._hooks):  # the stack runs them in order
                stack.callback(hook.after_train)

    def run_step(self) -> None:
        self._step.iter = self.iter
        seed_all(self.recipe.stream.seed, comm.get_rank(), self.iter)
        # fvcore's focal loss is TorchScript, which rounds otherwise once it has watched a few calls and optimised
        # itself: a resumed run, where it is new, would drift from one that was not stopped.
        with torch.jit.optimized_execution(not self._on_cpu), self._explained():  # type: ignore[attr-defined]
            self._step.run_step()

    def after_step(self) -> None:
        with self._explained():
            super().after_step()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Says of numbers that became infinite or NaN when, at which learning rate, and what to try."""
        try:
            with loaders_explained():
                yield
        except FloatingPointError as error:
            group = hooks.LRScheduler.get_best_param_group_id(self.optimizer)
            rate, base = self.optimizer.param_groups[group]["lr"], self.scheduler.base_lrs[group]
            last = self.checkpoints.last
            third = "float32 (SOLVER.AMP.ENABLED False)" if self.recipe.precision else "`explorer data check`"
            raise FloatingPointError(
                f"Training diverged in iteration {self.iter + 1} at learning rate {rate:.3g}: {error}. Try a lower "
                f"learning rate (SOLVER.BASE_LR {base / 10:.2g}), clipped gradients (SOLVER.CLIP_GRADIENTS.ENABLED "
                f"True), or {third}. "
                + (f"Use --resume to continue from {last}." if last else "There is no checkpoint yet to --resume from.")
            ) from error

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = super().state_dict()
        memory = loss_memory(self.recipe.model)
        return state | {"step": self._step.state_dict(), "seed": self.recipe.stream.seed, "loss_memory": memory}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        wanted = list(self.scheduler.base_lrs)
        super().load_state_dict(state_dict)
        self._step.load_state_dict(state_dict["step"])
        self._change_rates(wanted)
        self.recipe.stream.seed = state_dict["seed"]
        vars(self.recipe.model).update(state_dict["loss_memory"])

    def _change_rates(self, wanted: list[float]) -> None:
        """Gives a resumed run the learning rates of its config, where these are others than it was started with."""
        before = list(self.scheduler.base_lrs)
        if before != wanted:
            logger.info("The learning rate is now %g, it was %g", max(wanted), max(before))
            self.scheduler.base_lrs = wanted
            for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_lr(), strict=True):
                group["lr"] = rate


def _without_trace(record: logging.LogRecord) -> bool:
    """Has detectron2 log in one line what a command says in one line."""
    if record.exc_info and isinstance(record.exc_info[1], (ValueError, FloatingPointError, OSError)):
        record.msg, record.args, record.exc_info = f"Training stopped: {record.exc_info[1]}", (), None
    return True


logger_of("detectron2.engine.train_loop").addFilter(_without_trace)
