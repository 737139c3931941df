"""What this machine can do, and which way to run a network follows from it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

EngineName = Literal["torch", "compile", "openvino"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
FEW_IMAGES = 20
"""Up to so many images, what the quickest engine saves is less than it takes to get ready."""
DtypeName = Literal["auto", "float32", "bfloat16"]
DTYPES: tuple[DtypeName, ...] = get_args(DtypeName)


@dataclass(frozen=True)
class Hardware:
    """What decides how a network is run.

    Attributes:
        device: `cpu` or `cuda`.
        bfloat16: whether matrix products in bfloat16 are done by the hardware, not by conversion.
        compiler: whether there is a C++ compiler, without which `torch.compile` makes no code for a CPU.
        openvino: whether OpenVINO is installed.
    """

    device: str
    bfloat16: bool
    compiler: bool = False
    openvino: bool = False


@dataclass(frozen=True)
class Plan:
    """How to run a network.

    Attributes:
        engine: what runs it.
        dtype: what it computes in.
        why: one line for the user where it is not what was asked for, else empty.
    """

    engine: EngineName
    dtype: torch.dtype
    why: str = ""


def probe(device: torch.device) -> Hardware:
    """Looks at the machine."""
    if device.type == "cuda":
        # `including_emulation` is what answers yes on cards older than Ampere
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Hardware("cuda", bfloat16, compiler=importlib.util.find_spec("triton") is not None)
    return Hardware(
        "cpu",
        bfloat16=bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        compiler=any(shutil.which(name) for name in ("c++", "g++", "clang++")),
        openvino=importlib.util.find_spec("openvino") is not None,
    )


def cpu_flags() -> frozenset[str]:
    """Returns the processor's flags as Linux lists them; empty where it does not."""
    listing = Path("/proc/cpuinfo")
    if platform.system() != "Linux" or not listing.is_file():
        return frozenset()
    for line in listing.read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def choose(hardware: Hardware, dtype: DtypeName = "auto", engine: EngineName | Literal["auto"] = "auto") -> Plan:
    """Chooses engine and number format: what was asked for, or the next best that is there.

    On its own it takes OpenVINO on CPUs, which is fastest in both formats, with AMX and without, and ready in seconds;
    on GPUs torch itself.

    Args:
        hardware: what `probe` found.
        dtype: `auto` is bfloat16 where the hardware has it.
        engine: `auto`, or what to run with if it is there.

    Raises:
        ValueError: there is no such format or engine.
    """
    if dtype not in DTYPES:
        raise ValueError(f"There is no number format {dtype!r} here: choose one of {', '.join(DTYPES)}.")
    if engine not in (*ENGINES, "auto"):
        raise ValueError(f"There is no engine {engine!r}: choose auto or one of {', '.join(ENGINES)}.")
    why = []
    number = torch.bfloat16 if dtype != "float32" and hardware.bfloat16 else torch.float32
    if dtype == "bfloat16" and number != torch.bfloat16:
        why.append("this hardware does not compute in bfloat16, where it would be slower: float32 instead")
    best: EngineName = "openvino" if hardware.device == "cpu" and hardware.openvino else "torch"
    chosen = best if engine == "auto" else engine
    if chosen == "compile" and not hardware.compiler:
        chosen = "torch" if hardware.device == "cuda" or not hardware.openvino else "openvino"
        why.append(f"there is no compiler here: {chosen} instead of compiled code")
    if chosen == "openvino" and (hardware.device != "cpu" or not hardware.openvino):
        missing = "OpenVINO runs on CPUs here" if hardware.device != "cpu" else "OpenVINO is not installed"
        chosen = "torch"
        why.append(f"{missing}: torch instead")
    return Plan(chosen, number, "; ".join(why))
