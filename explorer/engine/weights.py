"""The weights that a training or an evaluation starts from, as `MODEL.WEIGHTS` names them."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn

from explorer.zoo import registry
from explorer.zoo.checkpoints import load_weights
from explorer.zoo.resolve import fetch_weights

logger = logging.getLogger(__name__)


def find_weights(source: str) -> tuple[Path | None, tuple[str, ...]]:
    """Finds a checkpoint, downloading it where the zoo knows it and this machine does not have it.

    Args:
        source: a file, a name of the zoo, an address that the zoo lists, or empty.

    Returns:
        The file (None for an empty `source`) and the `KEY VALUE` pairs that a config needs with it.

    Raises:
        ValueError: it is none of these.
        DownloadError: the file cannot be had.
    """
    if not source:
        return None, ()
    path = Path(source).expanduser()
    if path.is_file():
        return path.absolute(), ()
    for entry in registry.entries():
        if source == entry.name or source in entry.weights:
            return fetch_weights(entry), entry.overrides
    names = {entry.name: entry for entry in registry.entries()}
    raise ValueError(
        f"the weights {source!r} are neither a file nor in the zoo. {registry.nearest(source, names)} "
        "An address is fetched only if the zoo lists it: download it, and give the file."
    )


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
        logger.warning("MODEL.WEIGHTS is empty: these are figures of a random model")
    else:
        logger.info("Evaluating %s", load_weights(model, path))
