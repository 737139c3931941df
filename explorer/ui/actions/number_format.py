"""In which number format the page's models compute, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.engine.fast.hardware import Plan


def check_inference(inference: Mapping[str, Any]) -> None:
    """Refuses a number format that no model can be run in here.

    Raises:
        ValueError: it does not exist, the hardware does not support it, or it needs what is not installed.
    """
    _plan(inference, "auto")


def engine_of(inference: Mapping[str, Any], device: str) -> Literal["auto", "torch"]:
    """Returns what runs the page's models: torch, which is ready at once and keeps no maps; OpenVINO for int8 alone."""
    if inference.get("dtype", "float32") not in ("auto", "int8"):
        return "torch"
    return "auto" if str(_plan(inference, device).dtype) == "torch.int8" else "torch"


def _plan(inference: Mapping[str, Any], device: str) -> Plan:
    """How a model is run that lacks nothing."""
    import torch

    from explorer.engine.devices import pick_device
    from explorer.engine.fast.hardware import choose, probe

    wanted = {name: inference[name] for name in ("dtype", "emulate") if name in inference}
    return choose(probe(torch.device(pick_device(device))), **wanted, int8_lacks=lambda: "")


def number_format(detector: Detector) -> str:
    """Says what a detector computes in and why; empty where that is float32, as nothing else was asked for."""
    fast = detector.fast
    if fast is None or not (fast.chosen.reason or str(fast.chosen.dtype) != "torch.float32"):
        return ""
    number = str(fast.plan.dtype).removeprefix("torch.")
    if fast.plan.dtype != fast.chosen.dtype:
        return f"{number}: {fast.plan.why}"
    return fast.chosen.reason or f"{number}, as requested"
