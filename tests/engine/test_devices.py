"""Which device is taken, and what is said of a GPU that fails; errors are of the types and in the words of PyTorch."""

from __future__ import annotations

import pytest
import torch

from explorer import doctor
from explorer.engine import devices
from explorer.engine.artifacts import provenance
from explorer.engine.devices import DeviceError, cpu_behind, gpu_explained, gpu_failure, pick_device

FOR_PROGRAMMERS = "\nCUDA kernel errors might be asynchronously reported at some other API call"
NO_KERNEL = torch.AcceleratorError(
    f"CUDA error: no kernel image is available for execution on the device{FOR_PROGRAMMERS}"
)
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB")
OF_A_GPU = [
    (NO_KERNEL, "no kernel image", "Install a PyTorch"),
    (FULL, "CUDA out of memory", "Free the GPU's memory"),
    (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "illegal memory", "nvidia-smi"),
    (RuntimeError("Found no NVIDIA driver on your system."), "no NVIDIA driver", "NVIDIA's driver"),
    (RuntimeError("CUDA driver version is insufficient for CUDA runtime version"), "insufficient", "NVIDIA's driver"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), "cuDNN error", "nvidia-smi"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "CUBLAS", "nvidia-smi"),
    (NotImplementedError("Could not run 'torchvision::nms' with arguments from the 'CUDA' backend."), "nms", "cpu"),
    (RuntimeError("Not compiled with GPU support"), "Not compiled", "the device cpu"),
]
OTHERS = [
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ValueError("CUDA is spelt in capitals"),
]


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "failure_of", lambda device: "")


def fails_with(error: Exception) -> str:
    raise error


def test_unknown_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'gpu'"):
        pick_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == "cpu"
    with pytest.raises(ValueError, match="'cuda:1' is not available"):
        pick_device("cuda:1")


def test_a_gpu_that_computes_is_taken(on_gpu: None) -> None:
    assert (pick_device("auto"), pick_device("cuda:1"), pick_device("cpu")) == ("cuda", "cuda:1", "cpu")


@pytest.mark.parametrize(("error", "reason", "remedy"), OF_A_GPU, ids=lambda value: str(value)[:30])
def test_a_gpu_that_cannot_compute_is_left_out_or_refused(
    error: Exception, reason: str, remedy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: fails_with(error))
    assert pick_device("auto") == "cpu"
    (said,) = caplog.messages
    assert said.startswith("The GPU cannot be used, so the CPU is used instead: ")
    assert reason in said
    with pytest.raises(ValueError, match="Device 'cuda' cannot be used: ") as told:
        pick_device("cuda")
    assert reason in str(told.value)
    assert remedy in str(told.value)
    assert "\n" not in said + str(told.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_where_there_is_no_driver_a_gpu_that_was_seen_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PyTorch itself fails here, and not a stand-in."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == "cpu"
    assert len(caplog.messages) == 1
    assert provenance()["gpu"] is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check = doctor.check_gpu()
    assert check.status == "warning"
    assert check.problem
    assert "\n" not in check.problem


@pytest.mark.parametrize(("error", "reason", "remedy"), OF_A_GPU, ids=lambda value: str(value)[:30])
def test_work_that_a_gpu_fails_at_is_done_by_the_cpu_or_explained(
    error: Exception, reason: str, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    def work(device: str) -> str:
        return device if device == "cpu" else fails_with(error)

    assert cpu_behind("auto", work) == "cpu"
    (said,) = caplog.messages
    assert said.startswith("The GPU failed, so everything is computed again on the CPU: ")
    assert reason in said
    with pytest.raises(DeviceError, match="The GPU failed: ") as told:
        cpu_behind("cuda", work)
    assert reason in str(told.value)
    assert remedy in str(told.value)
    assert "\n" not in str(told.value)
    assert reason in gpu_failure(told.value)  # so that who is outside can still fall back


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: str(error)[:30])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert gpu_failure(error) == ""
    with pytest.raises(type(error)) as told:
        cpu_behind("auto", lambda device: fails_with(error))
    assert told.value is error


def test_an_explained_failure_is_not_explained_twice() -> None:
    with pytest.raises(DeviceError) as told, gpu_explained(), gpu_explained():
        raise NO_KERNEL
    assert str(told.value).count("The GPU failed") == 1
