"""Metrics sent elsewhere: the calls that Weights & Biases, MLflow and Trackio get, by stand-ins of their modules."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from detectron2.utils.events import EventStorage

from explorer.engine.training.loggers import LOGGERS, RUNS, logger_names, open_loggers

SETTINGS = {"SOLVER": {"BASE_LR": 0.01, "STEPS": [1, 2]}, "OUTPUT_DIR": "mine"}
Calls = list[tuple[object, ...]]


class Standin(ModuleType):
    """One module for all three, with the signatures that their documentation gives; it writes down what it is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: Calls = []

    def init(self, *, project, name, config, resume, id=None, dir=None, mode=None, allow_val_change=None):  # noqa: A002
        self.calls.append(("init", project, name, id, resume, mode))
        self.config = config
        return SimpleNamespace(id=id or "w1", name=name, log=self._log, finish=lambda: self.calls.append(("finish",)))

    def _log(self, metrics, step=None):
        self.calls.append(("log", dict(metrics), step))

    def set_experiment(self, experiment_name):
        self.calls.append(("set_experiment", experiment_name))

    def start_run(self, run_id=None, run_name=None):
        self.calls.append(("start_run", run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "m1"))

    def log_params(self, params):
        self.config = params

    def log_metrics(self, metrics, step=None):
        self.calls.append(("log", dict(metrics), step))

    def end_run(self):
        self.calls.append(("finish",))


@pytest.fixture(params=list(LOGGERS))
def library(request, monkeypatch: pytest.MonkeyPatch) -> Standin:
    for variable in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "TRACKIO_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("EXPLORER_OFFLINE", raising=False)
    module = Standin(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


def begun(library: Standin) -> Calls:
    return [call for call in library.calls if call[0] in ("init", "start_run")]


def test_each_iteration_is_sent_once_and_a_validation_that_comes_late_too(library: Standin, tmp_path: Path) -> None:
    (opened,) = open_loggers([library.__name__], tmp_path / "cells", SETTINGS, resumed=False)
    with EventStorage(0) as storage:
        storage.put_scalar("total_loss", 2.0)
        opened.write()
        opened.write()
        storage.step()
        storage.put_scalar("total_loss", 1.0)
        storage.put_scalars(smoothing_hint=False, cur_iter=1, **{"bbox/AP-a(b)": 40.0})
        opened.write()
        opened.close()
    sent = [call for call in library.calls if call[0] in ("log", "finish")]
    name = "bbox/AP-a_b_" if library.__name__ == "mlflow" else "bbox/AP-a(b)"  # MLflow refuses brackets in names
    assert sent == [("log", {"total_loss": 2.0}, 0), ("log", {"total_loss": 1.5, name: 40.0}, 1), ("finish",)]
    flat = {"SOLVER.BASE_LR": "0.01", "SOLVER.STEPS": "[1, 2]", "OUTPUT_DIR": "mine"}
    assert library.config == (flat if library.__name__ == "mlflow" else SETTINGS)


def test_a_resumed_training_goes_on_in_its_run(library: Standin, tmp_path: Path, monkeypatch) -> None:
    name, folder = library.__name__, tmp_path / "cells"
    open_loggers([name], folder, SETTINGS, resumed=False)
    known = json.loads((folder / RUNS).read_text())[name]
    open_loggers([name], folder, SETTINGS, resumed=True)
    monkeypatch.setenv("EXPLORER_OFFLINE", "1")
    open_loggers([name], folder, SETTINGS, resumed=False)  # a new run in the same folder
    first, second, third = begun(library)
    project = "vovnet-explorer"
    assert {
        "wandb": [("init", project, "cells", None, None, None), ("init", project, "cells", "w1", "allow", None)],
        "mlflow": [("start_run", None, "cells"), ("start_run", "m1", None)],
        "trackio": [("init", project, "cells", None, "never", None), ("init", project, "cells", None, "allow", None)],
    }[name] == [first, second]
    assert known == {"wandb": "w1", "mlflow": "m1", "trackio": "cells"}[name]
    assert third[:4] == first[:4]
    assert name != "wandb" or third[-1] == "offline"
    assert name != "mlflow" or ("set_experiment", project) in library.calls


def test_a_library_that_fails_ends_no_training(library: Standin, tmp_path: Path, caplog) -> None:
    (opened,) = open_loggers([library.__name__], tmp_path, SETTINGS, resumed=False)
    opened._send = lambda *_: (_ for _ in ()).throw(ConnectionError("the server is gone"))
    with caplog.at_level(logging.WARNING), EventStorage(0) as storage:
        for _ in range(2):
            storage.put_scalar("total_loss", 2.0)
            opened.write()
            storage.step()
        opened.close()
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{library.__name__} failed and receives no more metrics of this training: ConnectionError: the server is gone"
    )


def test_one_that_does_not_begin_or_is_not_there_is_said_in_a_line(
    library: Standin, tmp_path: Path, monkeypatch
) -> None:
    name = library.__name__
    for begin in ("init", "start_run"):
        monkeypatch.setattr(library, begin, lambda **_: (_ for _ in ()).throw(RuntimeError("no key")))
    with pytest.raises(OSError, match=f"^{name} could not start a run: RuntimeError: no key$"):
        open_loggers([name], tmp_path, SETTINGS, resumed=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ValueError, match=rf"^EXPLORER.LOGGER {name} needs {name}, .*pip install 'vovnet-explorer\[{name}\]'"
    ):
        open_loggers([name], tmp_path, SETTINGS, resumed=False)
    assert not (tmp_path / RUNS).exists()


def test_names_are_read_with_commas_and_unknown_ones_refused() -> None:
    assert logger_names("") == ()
    assert logger_names("wandb, mlflow,wandb") == ("wandb", "mlflow")
    with pytest.raises(ValueError, match=r"EXPLORER.LOGGER is 'neptune': choose from wandb, mlflow, trackio"):
        logger_names("wandb,neptune")


def test_writers_of_a_training_include_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.engine.training.hooks import WriteEvery

    module = Standin("trackio")
    monkeypatch.setitem(sys.modules, "trackio", module)
    hook = WriteEvery(tmp_path, 1, 0, log_lines=False, loggers=("trackio",), settings=SETTINGS)
    hook.trainer = SimpleNamespace(start_iter=0, max_iter=2, iter=0)
    with EventStorage(0) as storage:
        hook.before_train()
        storage.put_scalar("total_loss", 2.0)
        hook.after_step()
        hook.after_train()
    assert [call[0] for call in module.calls] == ["init", "log", "finish"]
