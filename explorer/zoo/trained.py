"""What a MODEL argument means that names files: a training run's folder or config, an evaluation, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.reading import read_json
from explorer.zoo.downloads import sha256_of

CONFIG = "config.yaml"
"""What training calls the config that it saves beside its checkpoints."""
POINTER = "last_checkpoint"
"""The file that names the checkpoint from which a run would be resumed."""
BEST, FINAL = "model_best.pth", "model_final.pth"
SAVED, CARD = "model.safetensors", "README.md"
"""Files beside the config in a model that was saved to be passed on, as repositories of models have them."""
EVALUATION = "run.json"
"""Says in the folder of `explorer evaluate --out` which model was run."""
EXPORT, EXPORTED_WEIGHTS = "export.json", "weights.safetensors"
"""Files of `explorer export`."""
_LOG = "log.txt"
_CHECKPOINTS = {".pth", ".pt", ".pyth", ".ckpt", ".pkl", ".safetensors", ".bin"}


@dataclass(frozen=True)
class Trained:
    """Where the parts of a model lie that is not the zoo's.

    Attributes:
        config: its config file.
        name: what to call it.
        weights: its checkpoint; None for a run that has none.
        remark: which checkpoint of a run was taken, and why; for a run that has none, that it has none.
    """

    config: Path
    name: str
    weights: Path | None
    remark: str = ""


@dataclass(frozen=True)
class LoadArguments:
    """How to build the model of an evaluation again: what `load_detector` takes."""

    model: str
    weights: str | None
    overrides: tuple[str, ...]


def find_trained(model: str | Path, config_file: str | Path | None = None) -> Trained | None:
    """Finds the config and the checkpoint of a run or its saved config, a saved model, a checkpoint or an export.

    Args:
        model: what the user named.
        config_file: of a checkpoint, instead of the `config.yaml` beside it.

    Returns:
        None where `model` is none of these: a name, a config that no training saved, an evaluation's folder.

    Raises:
        ValueError: a checkpoint has no config, or `config_file` is given with something else.
    """
    path = Path(model).expanduser().absolute()
    if path.is_file() and path.suffix.lower() in _CHECKPOINTS:
        return _of_checkpoint(path, config_file)
    if config_file is not None:
        raise ValueError(
            f"A config file ({config_file}) goes with a checkpoint file as MODEL, and {str(model)!r} is none. "
            "Give the config as MODEL and the checkpoint as its weights, or the checkpoint as MODEL."
        )
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIG).is_file() or not (path.is_dir() or path.name == CONFIG):
        return None
    if (folder / EXPORT).is_file():
        return Trained(folder / CONFIG, folder.resolve().name, folder / EXPORTED_WEIGHTS)
    if (folder / SAVED).is_file():
        return Trained(folder / CONFIG, folder.resolve().name, folder / SAVED)
    trained = any((folder / name).is_file() for name in (POINTER, BEST, FINAL, _LOG))
    return _of_run(folder) if trained or (path.is_dir() and not (folder / EVALUATION).is_file()) else None


def last_checkpoint(folder: Path) -> Path | None:
    """Returns the checkpoint from which the run in `folder` would resume, or None where it left none."""
    pointer = folder / POINTER
    return folder / pointer.read_text("utf-8").strip() if pointer.is_file() else None


def find_recipe(model: str | Path, weights: str | None = None) -> LoadArguments | None:
    """Reads which model the folder of `explorer evaluate --out` is of; None where `model` is no such folder.

    Args:
        model: what the user named.
        weights: a checkpoint instead of that model's, or empty where none is wanted.

    Raises:
        ValueError: see `recorded`; or its record cannot be read.
    """
    record = Path(model).expanduser() / EVALUATION
    if not record.is_file():
        return None
    facts = read_json(record)
    if not isinstance(facts, dict) or not (facts.get("config") or facts.get("model")):
        raise ValueError(f"{record} does not say which model was run; it is none that `explorer evaluate --out` wrote.")
    return recorded(facts, str(model), weights=weights)


def recorded(facts: Mapping[str, Any], run: str, model: str | None = None, weights: str | None = None) -> LoadArguments:
    """Says how to build the model that a run was made with.

    Args:
        facts: the run's `run.json`.
        run: what to call the run in messages.
        model: what the user names instead of the run's own.
        weights: a checkpoint instead of the run's own, or empty where none is wanted.

    Raises:
        ValueError: the run's weights were random, have changed or are gone, or its config is code.
    """
    given = facts.get("overrides", [])
    if not isinstance(given, list | tuple):
        raise ValueError(f"{run}: its {EVALUATION} has overrides of type {type(given).__name__}, which must be a list")
    overrides = (*map(str, given), *_tiles(facts))
    if model is not None:
        return LoadArguments(model, weights, overrides)
    named = str(facts.get("config") or facts.get("model"))
    if named.endswith(".py") and not is_shipped(named):
        raise ValueError(
            f"{run} was made with {named}, a LazyConfig, which is code and is run only where you name it: name the "
            "model and its weights (--model, --weights)"
        )
    return LoadArguments(named, _recorded_weights(facts, run) if weights is None else weights, overrides)


def _tiles(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The tiles of a run that looked at photographs in tiles, or in none though its config has some, as overrides."""
    inference = facts.get("inference")
    if not isinstance(inference, dict) or "tiles" not in inference:
        return ()
    tiles = {"size": 0} if inference["tiles"] is None else inference["tiles"]
    keys = {"size": "TEST.TILES.SIZE", "overlap": "TEST.TILES.OVERLAP"}
    return tuple(
        text
        for name, key in keys.items()
        if isinstance(tiles, dict) and name in tiles
        for text in (key, str(tiles[name]))
    )


def _recorded_weights(facts: Mapping[str, Any], run: str) -> str | None:
    """The checkpoint that a run was made with, if it is the same file still."""
    hint = "name the model and its weights (--model, --weights), or evaluate it again"
    known = facts.get("weights", {})
    if known is None or facts.get("note"):
        note = facts.get("note", "random weights")
        raise ValueError(f"{run} was made with {note}, and random weights are not saved: {hint}")
    if not known:
        return None
    if not isinstance(known, dict) or not isinstance(known.get("path"), str):
        raise ValueError(f"{run}: its {EVALUATION} does not say where its weights are: {hint}")
    path = Path(known["path"])
    if not path.is_file():
        raise ValueError(f"{run} was made with {path}, which no longer exists: {hint}")
    if known.get("sha256", None) not in (None, sha256_of(path)):
        raise ValueError(f"{run} was made with {path}, and that file has changed since: {hint}")
    return str(path)


def is_shipped(config: str) -> bool:
    """Says whether a config came with this package, so that its code is as good as this."""
    from explorer.config import CONFIGS, config_path

    try:
        return config_path(config).resolve().is_relative_to(CONFIGS)
    except ValueError:
        return False


def _of_checkpoint(path: Path, config_file: str | Path | None) -> Trained:
    if config_file is not None:
        from explorer.config import config_path

        return Trained(config_path(config_file), path.stem, path)
    config = path.parent / CONFIG
    if not config.is_file():
        raise ValueError(
            f"{path} is a checkpoint, and there is no {CONFIG} beside it to say of which model. Name its config file "
            "(--config-file, config_file=), or put it there."
        )
    return Trained(config, f"{path.parent.resolve().name}/{path.stem}", path)


def _of_run(folder: Path) -> Trained:
    last = last_checkpoint(folder)
    choices = (
        (folder / BEST, "the best in validation"),
        (folder / FINAL, "the final one, because there is no best one"),
        (last, "the last one, because training has not finished"),
    )
    for path, why in choices:
        if path is not None and path.is_file():
            return Trained(folder / CONFIG, folder.resolve().name, path, f"{folder}: taking {path.name}, {why}.")
    there = ", ".join(sorted(path.name for path in folder.glob("*.pth")))
    others = f"It holds {there}: name one of them." if there else "Train for longer, or give other weights."
    remark = f"{folder} is a training run without a checkpoint: there is no {BEST}, {FINAL} or {POINTER}. {others}"
    return Trained(folder / CONFIG, folder.resolve().name, None, remark)
