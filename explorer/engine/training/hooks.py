"""What happens around the training steps: validation with the best weights kept, checkpoints, the progress line."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.engine.hooks import PeriodicWriter
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, JSONWriter, TensorboardXWriter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from explorer.data.images import ImageError
from explorer.engine.training.checkpointing import METRICS, Checkpoints, read_metrics, read_state, trim_metrics
from explorer.engine.training.loggers import open_loggers
from explorer.text import logger_of
from explorer.zoo.trained import BEST, FINAL

logger = logger_of(__name__)

Results = Mapping[str, Any]
"""Nested evaluation figures in percent: task (or data set, then task) -> COCO name -> value."""
OnStep = Callable[[int, int, Mapping[str, float]], None]
"""Called with the number of iterations done, the number in all, and the latest value of every scalar."""
HEADLINES = ("panoptic_seg/PQ", "segm/AP", "bbox/AP")
"""The figures that decide which weights are the best: the first that a model has."""


def headline(figures: Mapping[str, float]) -> tuple[str, float] | None:
    """Returns name and value of the figure by which the weights are judged, None where there is none.

    Args:
        figures: flat, such as `{"bbox/AP": 38.4}`; with several test sets `{"name/bbox/AP": …}`, of which the first
            counts.
    """
    for wanted in HEADLINES:
        for name, value in figures.items():
            if (name == wanted or name.endswith(f"/{wanted}")) and not math.isnan(value):
                return name, value
    return None


class CheckpointEvery(HookBase):
    """Saves a checkpoint every `period` iterations and after the last one."""

    def __init__(self, checkpoints: Checkpoints, period: int) -> None:
        self._checkpoints, self._period = checkpoints, period

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done == self.trainer.max_iter:
            self._checkpoints.save(FINAL.removesuffix(".pth"))
        elif self._period > 0 and done % self._period == 0:
            self._checkpoints.save(f"model_{self.trainer.iter:07d}")


class Validation(HookBase):
    """Evaluates every `period` iterations and at the end, and keeps the best weights as `model_best.pth`.

    Runs after the checkpoint of the same iteration, so that a failing evaluation loses no training. An evaluation
    that a kill cut short is made up for when the run resumes. One that meets a damaged image is logged as an error
    and left out; only the last one raises, when there is nothing left to train.
    """

    def __init__(
        self,
        period: int,
        checkpoints: Checkpoints,
        evaluate: Callable[[], Results],
        losses: Callable[[], Mapping[str, float]],
    ) -> None:
        self._period, self._checkpoints = period, checkpoints
        self._evaluate, self._losses = evaluate, losses
        self._best = -math.inf
        self.results: Results = {}

    def _due(self, iteration: int) -> bool:
        return self._period > 0 and iteration > 0 and iteration % self._period == 0

    def before_train(self) -> None:
        start: int = self.trainer.start_iter
        if start == 0:
            return
        best = self._checkpoints.folder / BEST
        with suppress(ValueError, KeyError):  # none yet, or one of another program: start over
            self._best = float(read_state(best)["value"])
        logged = read_metrics(self._checkpoints.folder / METRICS)
        known = any(headline(row) for row in logged if row["iteration"] == start - 1)
        missed = self._due(start) and start < self.trainer.max_iter and not known
        if any(comm.all_gather(missed)):
            self._try(start - 1)

    def after_step(self) -> None:
        if self._due(self.trainer.iter + 1) and self.trainer.iter + 1 < self.trainer.max_iter:
            self._try(self.trainer.iter)

    def after_train(self) -> None:
        if self.trainer.iter >= self.trainer.max_iter:  # else training stopped on an error
            self._run(self.trainer.max_iter - 1)

    def _try(self, iteration: int) -> None:
        try:
            self._run(iteration)
        except ImageError as error:
            words = str(error)  # a log record that had the error itself would keep its traceback alive
            logger.error("Validation after %d iterations failed, training continues: %s", iteration + 1, words)

    def _run(self, iteration: int) -> None:
        self.results = self._evaluate()
        figures = {name: float(value) for name, value in flatten_results_dict(self.results).items()}
        for scalars in (figures, self._losses()):
            finite = {name: value for name, value in scalars.items() if math.isfinite(value)}  # JSON has no NaN
            self.trainer.storage.put_scalars(smoothing_hint=False, cur_iter=iteration, **finite)
        judged = headline(figures)
        if not judged and figures:
            logger.warning(
                "Validation after %d iterations has no %s: no weights are kept as the best",
                iteration + 1,
                " or ".join(HEADLINES),
            )
        if judged and judged[1] > self._best:
            self._best = judged[1]
            self._checkpoints.save_best(iteration=iteration, figure=judged[0], value=judged[1])
            logger.info("Best so far: %s %.3f after %d iterations", *judged, iteration + 1)
        comm.synchronize()  # evaluation may take longer on one process than on another


class WriteEvery(PeriodicWriter):
    """Writes the metrics periodically, and at once after a validation, so that a kill loses no AP."""

    def __init__(
        self,
        folder: Path,
        period: int,
        validation_period: int,
        *,
        log_lines: bool,
        loggers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepares `metrics.json` and TensorBoard events in `folder`, and log lines and `LOGGERS` where asked for."""
        super().__init__([], period)
        self._folder, self._validation_period, self._log_lines = folder, validation_period, log_lines
        self._loggers, self._settings = loggers, settings or {}

    def before_train(self) -> None:
        start = self.trainer.start_iter
        trim_metrics(self._folder / METRICS, start)  # before the writer opens it
        self._writers = [
            JSONWriter(str(self._folder / METRICS)),
            TensorboardXWriter(str(self._folder), purge_step=start),
            *open_loggers(self._loggers, self._folder, self._settings, resumed=start > 0),
        ]
        for writer in self._writers:  # a validation that was made up for
            writer.write()
        self._log = CommonMetricPrinter(self.trainer.max_iter) if self._log_lines else None

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        last = done == self.trainer.max_iter
        validated = self._validation_period > 0 and done % self._validation_period == 0
        if last or validated or done % self._period == 0:
            if self._log:
                self._log.write()
            if not last:  # the last row waits for the last validation
                for writer in self._writers:
                    writer.write()


class TellEveryStep(HookBase):
    """Calls a function after every step; what it raises ends the run, and its last checkpoint stays."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def after_step(self) -> None:
        latest = {name: value for name, (value, _) in self.trainer.storage.latest().items()}
        self._on_step(self.trainer.iter + 1, self.trainer.max_iter, latest)


class ProgressLine(HookBase):
    """One line on the terminal: iterations done, time left, loss, learning rate and the last AP.

    Log records keep flowing above the line.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=console,
            speed_estimate_period=600,
        )
        self._diverted: list[tuple[logging.StreamHandler[Any], Any]] = []

    def before_train(self) -> None:
        stream = sys.stdout
        self._progress.start()  # puts its own stream in place of stdout
        start, total = self.trainer.start_iter, self.trainer.max_iter
        self._task = self._progress.add_task("", completed=start, total=total, facts="")
        for name in ("detectron2", "fvcore", "explorer"):  # a handler that keeps the old stdout would tear the line
            for handler in logging.getLogger(name).handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                    self._diverted.append((handler, handler.setStream(sys.stdout)))

    def after_step(self) -> None:
        latest = {name: value for name, (value, _) in self.trainer.storage.latest().items()}
        self._progress.update(self._task, completed=self.trainer.iter + 1, facts=facts_line(latest))

    def after_train(self) -> None:
        for handler, stream in self._diverted:
            handler.setStream(stream)
        self._progress.stop()


def facts_line(latest: Mapping[str, float]) -> str:
    """Formats the latest scalars of a run for the progress line, such as `loss 1.204  lr 0.01  AP 12.3`."""
    parts = [f"loss {latest['total_loss']:.4g}"] if "total_loss" in latest else []
    if "lr" in latest:
        parts.append(f"lr {latest['lr']:.3g}")
    judged = headline(latest)
    if judged:
        parts.append(f"{judged[0].rpartition('/')[2]} {judged[1]:.1f}")
    return "  ".join(parts)
