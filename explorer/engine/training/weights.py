"""The weights that a training or an evaluation starts from, and what a run had started from."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from explorer.text import logger_of
from explorer.zoo.checkpoints import load_weights
from explorer.zoo.lazy_runs import read_dump
from explorer.zoo.trained import CONFIG, last_checkpoint

logger = logger_of(__name__)


def started_with(folder: Path, keys: Iterable[str]) -> tuple[str, dict[str, Any]] | None:
    """Tells what the run in `folder`, which can be resumed, was started with, so that its start weights may be gone.

    Args:
        folder: the run's output folder; its `config.yaml` is read as data.
        keys: dotted keys of its config.

    Returns:
        The name of the weights and the values of those `keys` that the config has a value of its own for; None where
        there is no run to resume, or not its config.

    Raises:
        ValueError: its config is damaged.
    """
    path = folder / CONFIG
    if last_checkpoint(folder) is None or not path.is_file():
        return None
    saved = read_dump(path)
    named = _value(saved, "MODEL.WEIGHTS") or _value(saved, "train.init_checkpoint") or ""
    values = {key: _value(saved, key) for key in keys}
    own = {key: value for key, value in values.items() if value is not None and not str(value).startswith("${")}
    return str(named), own


def _value(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def start_from(model: nn.Module, path: Path | None) -> None:
    """Loads what fits of a checkpoint, as training wants it: a backbone alone, or heads for other classes.

    Raises:
        CheckpointError: it cannot be read, or nothing of it fits.
    """
    if path is None:
        logger.warning("MODEL.WEIGHTS is empty: training starts from random weights. See: explorer zoo list")
    else:
        report = load_weights(model, path, allow_partial=True)
        logger.log(logging.INFO if report.complete else logging.WARNING, "Starting from %s", report)


def evaluate_with(model: nn.Module, path: Path | None) -> None:
    """Loads a checkpoint that must fit the model entirely.

    Raises:
        CheckpointError: it cannot be read, or does not fit.
    """
    if path is None:
        logger.warning("MODEL.WEIGHTS is empty: the model has random weights, so its metrics are meaningless")
    else:
        logger.info("Evaluating %s", load_weights(model, path))
