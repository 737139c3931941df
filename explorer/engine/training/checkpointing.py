"""Checkpoints that are written whole or not at all, and read without running anything.

A run leaves `model_0004999.pth`, … and `model_final.pth` (weights, optimizer, schedule, seed), `model_best.pth`
(weights and their validation figure) and `last_checkpoint`, which names the file to resume from. A file gets its
name only after its bytes are on the disk, and `last_checkpoint` names it only after that: whenever the process is
killed, the checkpoint that `last_checkpoint` names is complete.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from explorer.reading import parse_json
from explorer.text import logger_of
from explorer.writing import replacing
from explorer.zoo.checkpoints.reading import read_content
from explorer.zoo.trained import BEST, FINAL, POINTER, last_checkpoint

logger = logger_of(__name__)

EARLIER = {name: name.replace(".pth", "_of_earlier_run.pth") for name in (BEST, FINAL)}
"""What the weights that stand for a run are called once another run has begun in its folder."""
METRICS = "metrics.json"
"""Where a run logs its scalars, one JSON object per line."""


class Stateful(Protocol):
    """What can be put into a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


def read_state(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of this module as tensors and plain containers, on the CPU.

    Raises:
        ValueError: the file is missing, cut short, holds anything that is not data, or is not a training checkpoint.
    """
    state = read_content(path, mapped=False)
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise ValueError(f"{path} is not a training checkpoint: it has no 'model' part")
    return state


def set_aside(folder: Path) -> None:
    """Makes room for a new run: an earlier one is not resumed by mistake, nor are its weights taken for the new one's.

    Called before the new run's config is written, so that the config and the checkpoints in a folder always belong
    together.
    """
    (folder / POINTER).unlink(missing_ok=True)
    for name, earlier in EARLIER.items():
        with suppress(FileNotFoundError):
            (folder / name).replace(folder / earlier)


class Checkpoints:
    """The checkpoints of one training run, in its output folder."""

    def __init__(self, folder: Path, model: nn.Module, trainer: Stateful, *, writes: bool = True) -> None:
        """Binds a run to its folder.

        Args:
            folder: the output folder; made where missing. The run has it for itself (`explorer.writing.alone_in`).
            model: whose weights are kept; not wrapped for distributed training.
            trainer: everything else that the run needs to go on.
            writes: false on all processes but the first.
        """
        self.folder, self._model, self._trainer, self._writes = folder, model, trainer, writes
        if writes:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def last(self) -> Path | None:
        """The checkpoint to resume from, or None before the first."""
        return last_checkpoint(self.folder)

    def save(self, name: str) -> None:
        """Writes all that the run needs to go on to `name`.pth and makes that the file to resume from.

        Raises:
            FloatingPointError: weights are infinite or NaN, from which no run could go on; nothing is written.
        """
        weights = self._model.state_dict()
        if broken := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
            raise FloatingPointError(f"{broken[0]} and {len(broken) - 1} more weights are infinite or NaN")
        if not self._writes:
            return
        path = self.folder / f"{name}.pth"
        with replacing(path) as scratch:
            torch.save({"model": weights, "trainer": self._trainer.state_dict()}, scratch)
        with replacing(self.folder / POINTER) as scratch:
            scratch.write_text(path.name, "utf-8")
        logger.info("Saved %s", path)

    def save_best(self, **facts: str | int | float) -> None:
        """Writes the weights, and plain facts about them, as the best so far, beside the chain of checkpoints."""
        if self._writes:
            with replacing(self.folder / BEST) as scratch:
                torch.save({"model": self._model.state_dict(), **facts}, scratch)

    def resume(self) -> None:
        """Loads the last checkpoint into the model and the trainer.

        Raises:
            ValueError: there is none, it cannot be read, or it belongs to another model or trainer.
        """
        path = self.last
        if path is None:
            raise ValueError(f"{self.folder} holds no checkpoint to resume from")
        state = read_state(path)
        if "trainer" not in state:
            raise ValueError(f"{path} holds weights only; start from it with MODEL.WEIGHTS instead of --resume")
        try:
            self._model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise ValueError(f"{path} was written by a run of another model: {error}") from error
        self._trainer.load_state_dict(state["trainer"])
        logger.info("Resumed from %s", path)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Reads a run's `metrics.json`, one mapping per line; a line cut short by a kill is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            rows.append(parse_json(line))
        except ValueError:
            continue
    return rows


def trim_metrics(path: Path, iteration: int) -> None:
    """Drops what a killed run logged from `iteration` on, since the resumed run logs it again."""
    if path.is_file():
        rows = [row for row in read_metrics(path) if row["iteration"] < iteration]
        with replacing(path) as scratch:
            scratch.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), "utf-8")
