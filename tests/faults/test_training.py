"""Trainings: two in one folder, and processes that end before their time."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException
from torch.utils.data import DataLoader, get_worker_info

from explorer.engine.loaders import loaders_explained
from explorer.engine.training import launch
from explorer.engine.training.command import parse_arguments
from explorer.zoo.trained import CONFIG
from tests.faults.conftest import Case, Commands, final_files


@pytest.fixture
def training(data: Path) -> Case:
    """A training that would take long."""
    words = ("train", "--config-file", "retinanet_V_39_FPN_3x", "--num-gpus", "0", "MODEL.WEIGHTS", "")
    sets = ("OUTPUT_DIR", "OUT", "DATASETS.TRAIN", f"('{data}:val',)", "DATASETS.TEST", "()")
    return Case((*words, *sets))


def test_a_second_training_in_one_folder_is_refused_in_one_line(
    training: Case, held: subprocess.Popen[str], commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "out" / CONFIG).write_text("of the first")
    before = final_files(tmp_path / "out")
    second = commands.run(training, tmp_path / "out")
    assert second.code == 1, second
    assert second.said.startswith("BlockingIOError: another process is writing into")
    assert "\n" not in second.said
    assert final_files(tmp_path / "out") == before


class Ends(torch.utils.data.Dataset[int]):
    """Ends the process that reads it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        assert get_worker_info() is not None
        os.kill(os.getpid(), signal.SIGKILL)
        return index


@pytest.mark.filterwarnings("ignore")
def test_a_loader_of_a_training_that_is_killed_is_told_in_one_line() -> None:
    told = pytest.raises(ChildProcessError, match="a process that read images was ended from outside")
    with told, loaders_explained():
        next(iter(DataLoader(Ends(), num_workers=1)))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), loaders_explained():
        raise RuntimeError("shapes differ")


def test_a_process_of_a_training_that_is_killed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def spawned(*arguments: object) -> None:
        raise ProcessExitedException("process 1 terminated", 1, 77, -9, "SIGKILL")

    monkeypatch.setattr(launch, "spawn", spawned)
    with pytest.raises(ChildProcessError, match=r"ended from outside \(SIGKILL\).*--resume"):
        launch.start(lambda args: None, parse_arguments(["--num-gpus", "0"]))
