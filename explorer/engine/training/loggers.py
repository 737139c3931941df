"""What a training logs, sent to Weights & Biases, MLflow or Trackio through detectron2's interface for writers.

Where a run goes is set as these libraries have it: `WANDB_PROJECT`, `WANDB_MODE`, `MLFLOW_TRACKING_URI`,
`MLFLOW_EXPERIMENT_NAME`, `TRACKIO_SPACE_ID`. A resumed training goes on in the run that it began.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from detectron2.utils.events import EventWriter, get_event_storage

from explorer.reading import read_json
from explorer.text import logger_of
from explorer.writing import write_json
from explorer.zoo.downloads import offline_wanted

logger = logger_of(__name__)

RUNS = "loggers.json"
"""In the output folder: the id of the run with each logger."""
PROJECT = "vovnet-explorer"
"""Of runs for which the environment names none."""
_WINDOW = 20  # iterations that losses are smoothed over, as in metrics.json
_PARAMETERS = 100  # that MLflow takes at once
_LONGEST = 500  # characters of a value, for MLflow
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)  # what MLflow's names of metrics may not hold


class Logger(EventWriter):
    """Sends the scalars of each iteration once. A library that fails says so once, and training goes on."""

    name: ClassVar[str]
    """Of the library, and of the extra that installs it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], earlier: str | None) -> None:
        """Begins a run with the library.

        Args:
            folder: of the training, whose name the run gets.
            settings: the config, nested.
            earlier: the id of the run to go on with; None for a new one.
        """
        self._last, self._broken = -1, False
        self.id = self._begin(folder.resolve(), settings, earlier)

    @abstractmethod
    def _begin(self, folder: Path, settings: Mapping[str, Any], earlier: str | None) -> str: ...

    @abstractmethod
    def _send(self, scalars: Mapping[str, float], iteration: int) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...

    def write(self) -> None:
        rows: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in get_event_storage().latest_with_smoothing_hint(_WINDOW).items():
            if iteration > self._last:
                rows[iteration][name] = value
        for iteration in sorted(rows):
            self._last = iteration
            self._try(self._send, rows[iteration], iteration)

    def close(self) -> None:
        self._try(self._end)

    def _try(self, work: Any, *arguments: Any) -> None:
        if self._broken:
            return
        try:
            work(*arguments)
        except Exception as error:  # theirs are of many kinds, and none is worth a training
            self._broken = True
            logger.warning(
                "%s failed and receives no more metrics of this training: %s: %s",
                self.name,
                type(error).__name__,
                error,
            )


class Wandb(Logger):
    """Weights & Biases; with `EXPLORER_OFFLINE` its runs stay on this machine until `wandb sync`."""

    name = "wandb"

    def _begin(self, folder: Path, settings: Mapping[str, Any], earlier: str | None) -> str:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            dir=os.environ.get("WANDB_DIR", str(folder)),
            config=dict(settings),
            allow_val_change=True,  # a resumed training may have another learning rate
            id=earlier,
            resume="allow" if earlier else None,
            mode="offline" if offline_wanted() else None,
        )
        return str(self._run.id)

    def _send(self, scalars: Mapping[str, float], iteration: int) -> None:
        self._run.log(dict(scalars), step=iteration)

    def _end(self) -> None:
        self._run.finish()


class Mlflow(Logger):
    """MLflow."""

    name = "mlflow"

    def _begin(self, folder: Path, settings: Mapping[str, Any], earlier: str | None) -> str:
        import mlflow

        self._library = mlflow
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
            mlflow.set_experiment(PROJECT)
        started = mlflow.start_run(run_id=earlier, run_name=None if earlier else folder.name)
        if not earlier:
            parameters = [(name, str(value)[:_LONGEST]) for name, value in _flat(settings)]
            for start in range(0, len(parameters), _PARAMETERS):
                mlflow.log_params(dict(parameters[start : start + _PARAMETERS]))
        return str(started.info.run_id)

    def _send(self, scalars: Mapping[str, float], iteration: int) -> None:
        allowed = {_NOT_IN_NAMES.sub("_", name): value for name, value in scalars.items()}
        self._library.log_metrics(allowed, step=iteration)

    def _end(self) -> None:
        self._library.end_run()


class Trackio(Logger):
    """Trackio, which knows a run by its name."""

    name = "trackio"

    def _begin(self, folder: Path, settings: Mapping[str, Any], earlier: str | None) -> str:
        import trackio

        project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        resume = "allow" if earlier else "never"
        self._run = trackio.init(project=project, name=earlier or folder.name, config=dict(settings), resume=resume)
        return str(self._run.name)

    def _send(self, scalars: Mapping[str, float], iteration: int) -> None:
        self._run.log(dict(scalars), step=iteration)

    def _end(self) -> None:
        self._run.finish()


LOGGERS: Mapping[str, type[Logger]] = {kind.name: kind for kind in (Wandb, Mlflow, Trackio)}


def logger_names(said: str | Sequence[str]) -> tuple[str, ...]:
    """Reads `EXPLORER.LOGGER`: names with commas between them.

    Raises:
        ValueError: there is no such logger.
    """
    names = [name.strip() for name in (said.split(",") if isinstance(said, str) else said)]
    for name in filter(None, names):
        if name not in LOGGERS:
            raise ValueError(
                f"EXPLORER.LOGGER is {name!r}: choose from {', '.join(LOGGERS)}, with commas between them."
            )
    return tuple(filter(None, dict.fromkeys(names)))


def open_loggers(names: Sequence[str], folder: Path, settings: Mapping[str, Any], *, resumed: bool) -> list[Logger]:
    """Begins a run with each logger, or goes on with that of a training that is resumed.

    Args:
        names: of the loggers.
        folder: the training's output folder.
        settings: its config, nested.
        resumed: whether the training goes on.

    Raises:
        OSError: a library does not begin a run; the message says why.
        ValueError: a library is not installed.
    """
    file = folder / RUNS
    known: Any = read_json(file) if resumed and file.is_file() else {}
    if not isinstance(known, dict):
        raise ValueError(f"{file} does not list the runs of this training: delete it to start new ones.")
    opened = []
    for name in names:
        try:
            opened.append(LOGGERS[name](folder, settings, known.get(name)))
        except ModuleNotFoundError as error:
            how = f"pip install 'vovnet-explorer[{name}]'"
            raise ValueError(f"EXPLORER.LOGGER {name} needs {error.name}, which is not installed: {how}") from error
        except Exception as error:
            raise OSError(f"{name} could not start a run: {type(error).__name__}: {error}") from error
    if opened:
        write_json(known | {own.name: own.id for own in opened}, file, indent=1)
    return opened


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
