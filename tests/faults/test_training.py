"""Trainings: two in one folder, and processes that end before their time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader, get_worker_info

from explorer.engine import devices
from explorer.engine.devices import DeviceError
from explorer.engine.loaders import leave_in_silence, loaders_explained
from explorer.engine.training import command, launch
from explorer.engine.training.command import parse_arguments
from explorer.zoo.trained import CONFIG
from tests.faults.conftest import Case, Commands, final_files
from tests.faults.test_processes import children, ended, loaders, started, wait_until


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


@pytest.mark.slow
@pytest.mark.parametrize(("number", "says"), [(signal.SIGINT, "Interrupted."), (signal.SIGTERM, "Terminated.")])
def test_all_processes_of_a_training_end_where_one_is_told_to(
    number: int, says: str, training: Case, tmp_path: Path
) -> None:
    words = [{"0": "2"}.get(word, word) for word in (*training.words, "DATALOADER.NUM_WORKERS", "1")]
    with started(words, tmp_path / "out") as process:
        wait_until(lambda: len(loaders_below(process.pid)) > 1 or process.poll() is not None)
        assert process.poll() is None, ended(process)
        os.kill(process.pid, number)
        code, said = ended(process)
    assert (code, said.splitlines()[-1]) == (128 + number, says), said
    assert "Traceback" not in said


def loaders_below(parent: int) -> list[int]:
    """Processes that read images for the processes of a training."""
    return [one for process in children(parent, "spawn_main") for one in loaders(process)]


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
    told = pytest.raises(ChildProcessError, match="a process that read images was killed")
    with told, loaders_explained():
        next(iter(DataLoader(Ends(), num_workers=1)))


def test_a_loader_says_nothing_of_a_training_that_has_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    leave_in_silence(0)
    for error in (ConnectionResetError("reset by peer"), ValueError("another")):  # as resource_sharer reports them
        thread = threading.Thread(target=lambda own=error: sys.excepthook(type(own), own, None))
        thread.start()
        thread.join()
    assert capsys.readouterr().err == "ValueError: another\n"


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), loaders_explained():
        raise RuntimeError("shapes differ")


def test_a_process_of_a_training_that_is_killed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def spawned(*arguments: object) -> None:
        raise ProcessExitedException("process 1 terminated", 1, 77, -9, "SIGKILL")

    monkeypatch.setattr(launch, "spawn", spawned)
    with pytest.raises(ChildProcessError, match=r"killed \(SIGKILL\).*--resume"):
        launch.start(lambda args: None, parse_arguments(["--num-gpus", "0"]))


def fails(args: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_gpu_that_fails_in_a_training_is_told_in_one_line() -> None:
    with pytest.raises(DeviceError, match=r"^The GPU failed: CUDA out of memory.*nvidia-smi.*device cpu\.$"):
        launch.start(fails, parse_arguments(["--num-gpus", "0"]))


def test_a_gpu_that_fails_before_a_process_of_a_training_begins_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def spawned(*arguments: object) -> None:
        told = "Traceback (most recent call last):\n  set_device(1)\ntorch.AcceleratorError: CUDA error: gone\n"
        raise ProcessRaisedException(f"\n\n-- Process 1 terminated with the following error:\n{told}", 1, 77)

    monkeypatch.setattr(launch, "spawn", spawned)
    with pytest.raises(DeviceError, match=r"^The GPU failed: CUDA error: gone\. Check"):
        launch.start(fails, parse_arguments(["--num-gpus", "0"]))


def test_a_training_falls_back_from_one_gpu_and_not_from_several(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "failure_of", lambda device: "CUDA error: no kernel image is available")
    assert command._device("cuda", 1) == "cpu"
    assert caplog.messages == [
        "The GPU cannot be used, so the CPU is used instead: CUDA error: no kernel image is available."
    ]
    with pytest.raises(ValueError, match=r"cannot be used: CUDA error: no kernel image.*Install a PyTorch"):
        command._device("cuda", 2)
