"""The device that a model runs on, and what becomes of the work when a GPU fails."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torchvision.ops import nms

from explorer.text import legible

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_SAID = re.compile(r"^(?:[\w.]+Error: )?(.*(?:CUDA|cuDNN|CUDNN|CUBLAS|NVIDIA|NCCL|compiled with GPU).*)$", re.MULTILINE)
"""The line by which PyTorch, torchvision and detectron2 say that a GPU failed; what follows it is for programmers."""
_LONGEST = 200
_said: ContextVar[list[str] | None] = ContextVar("_said", default=None)
_REMEDIES = {
    "out of memory": "Free the GPU's memory (nvidia-smi shows who uses it), or use smaller images or a smaller batch",
    "no kernel image": "Install a PyTorch that was built for this GPU (https://pytorch.org/get-started)",
    "driver": "Install or update NVIDIA's driver",
    "": "Check the GPU with nvidia-smi, and start again",
}
"""What to do, by a word of the reason; the last one for all others."""


class DeviceError(RuntimeError):
    """A GPU failed; the message is one line that says how, and what to do."""


def seconds_now(device: torch.device) -> float:
    """Returns the clock's seconds once the device has done all that it was given: a GPU works behind Python's back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def pick_device(device: str) -> str:
    """Returns a torch device's name: `auto` becomes `cuda` where a GPU can compute, else `cpu`.

    A GPU that is there and cannot compute is left out with a warning in one line.

    Raises:
        ValueError: the device is unknown, not there, or cannot compute.
    """
    if device == "auto":
        if not torch.cuda.is_available():
            return "cpu"
        if reason := failure_of("cuda"):
            _fall_back(f"The GPU cannot be used, so the CPU is used instead: {reason}.")
            return "cpu"
        return "cuda"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"Unknown device {device!r}: use auto, cpu, cuda or cuda:N.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"Device {device!r} is not available: no usable GPU was found. Use cpu or auto.")
    if kind == "cuda" and (reason := failure_of(device)):
        raise ValueError(f"Device {device!r} cannot be used: {_with_remedy(reason)}")
    return device


def failure_of(device: str | torch.device) -> str:
    """Says in one line how a GPU fails at a convolution and a suppression; nothing where it does both."""
    try:
        image = torch.ones(1, 1, 4, 4, device=device)
        torch.nn.functional.conv2d(image, image[..., :3, :3])
        nms(image[0, 0], image[0, 0, 0], 0.5)
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        return gpu_failure(error) or legible(error, _LONGEST)
    return ""


def gpu_failure(error: BaseException) -> str:
    """Says in one line how a GPU failed; nothing where the error is of another kind."""
    if isinstance(error, DeviceError) and error.__cause__:
        return gpu_failure(error.__cause__)
    said = _SAID.search(str(error)) if isinstance(error, RuntimeError) else None
    if said is None and isinstance(error, (torch.OutOfMemoryError, torch.AcceleratorError)):
        return legible(error, _LONGEST)
    return legible(said[1], _LONGEST).rstrip(" .") if said else ""


def device_error(error: RuntimeError) -> DeviceError | None:
    """Returns an error as it is told to people; None where it is not of a GPU."""
    if isinstance(error, DeviceError):
        return error
    reason = gpu_failure(error)
    return DeviceError(f"The GPU failed: {_with_remedy(reason)}") if reason else None


@contextmanager
def gpu_explained() -> Iterator[None]:
    """Around work that a GPU may do.

    Raises:
        DeviceError: the GPU failed.
    """
    try:
        yield
    except RuntimeError as error:
        told = device_error(error)
        if told is None or told is error:
            raise
        raise told from error


def cpu_behind(device: str, work: Callable[[str], Result]) -> Result:
    """Does work on a device; where that is `auto` and its GPU fails, says so in one line and does all of it on the CPU.

    Args:
        device: `auto`, or a torch device's name.
        work: is given the device: `auto` or the name, and `cpu` after a failure.

    Raises:
        DeviceError: a GPU failed that was asked for by name.
    """
    with gpu_explained():
        try:
            return work(device)
        except RuntimeError as error:
            reason = gpu_failure(error)
            if device != "auto" or not reason:
                raise
        _fall_back(f"The GPU failed, so everything is computed again on the CPU: {reason}.")
        return work("cpu")  # out of the handler, whose traceback holds on to the GPU's memory


@contextmanager
def fallbacks(said: list[str]) -> Iterator[None]:
    """Adds to a list what is said within the block, and in this thread, of GPUs that the CPU stands in for."""
    before = _said.set(said)
    try:
        yield
    finally:
        _said.reset(before)


def _fall_back(sentence: str) -> None:
    logger.warning("%s", sentence)
    if (said := _said.get()) is not None and sentence not in said:
        said.append(sentence)


def _with_remedy(reason: str) -> str:
    remedy = next(remedy for word, remedy in _REMEDIES.items() if word in reason)
    return f"{reason}. {remedy}, or use the device cpu."
