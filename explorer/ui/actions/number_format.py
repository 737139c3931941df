"""In which number format the page's models compute, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.engine.detector import Detector


def check_inference(inference: Mapping[str, Any]) -> None:
    """Refuses a number format that no model can be run in here.

    Raises:
        ValueError: it does not exist, the hardware does not support it, or it needs what is not installed.
    """
    import torch

    from explorer.engine.devices import pick_device
    from explorer.engine.fast.hardware import choose, probe

    wanted = {name: inference[name] for name in ("dtype", "emulate") if name in inference}
    choose(probe(torch.device(pick_device("auto"))), **wanted, int8_lacks=lambda: "")


def number_format(detector: Detector) -> str:
    """Says what a detector computes in and why; empty where that is float32, as nothing else was asked for."""
    fast = detector.fast
    if fast is None or not (fast.chosen.reason or str(fast.chosen.dtype) != "torch.float32"):
        return ""
    number = str(fast.plan.dtype).removeprefix("torch.")
    if fast.plan.dtype != fast.chosen.dtype:
        return f"{number}: {fast.plan.why}"
    return fast.chosen.reason or f"{number}, as requested"
