"""What this machine can do, and which way to run a network follows from it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch

EngineName = Literal["torch", "compile", "openvino"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
FEW_IMAGES = 20
"""Up to so many images, what the quickest engine saves is less than it takes to get ready."""
DtypeName = Literal["auto", "float32", "bfloat16", "int8"]
DTYPES: tuple[DtypeName, ...] = get_args(DtypeName)


_INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8")


@dataclass(frozen=True)
class Hardware:
    """What decides how a network is run.

    Attributes:
        device: `cpu` or `cuda`.
        bfloat16: whether matrix products in bfloat16 are done by the hardware, not by conversion.
        compiler: whether there is a C++ compiler, without which `torch.compile` makes no code for a CPU.
        openvino: whether OpenVINO is installed.
        int8: whether the hardware adds up products of 8-bit integers (VNNI, AMX).
    """

    device: str
    bfloat16: bool
    compiler: bool = False
    openvino: bool = False
    int8: bool = False


@dataclass(frozen=True)
class Plan:
    """How to run a network.

    Attributes:
        engine: what runs it.
        dtype: what it computes in.
        why: one line for the user where it is not what was asked for, else empty.
        reason: one line on what decided where the number format was left open, else empty.
        rest: what the parts compute in that `int8` leaves as they are.
    """

    engine: EngineName
    dtype: torch.dtype
    why: str = ""
    reason: str = field(default="", compare=False)
    rest: torch.dtype = field(default=torch.float32, compare=False)


class UnavailableError(ValueError):
    """A number format that was asked for cannot be had: the hardware has it not, or something is not installed."""


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
        int8=not cpu_flags().isdisjoint(_INT8_FLAGS),
    )


def engine_for(images: int, dtype: DtypeName = "float32") -> EngineName | Literal["auto"]:
    """Returns the engine with which so many images are done soonest, getting ready included."""
    return "auto" if images > FEW_IMAGES or dtype == "int8" else "torch"


def cpu_flags() -> frozenset[str]:
    """Returns the processor's flags as Linux lists them; empty where it does not."""
    listing = Path("/proc/cpuinfo")
    if platform.system() != "Linux" or not listing.is_file():
        return frozenset()
    for line in listing.read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def choose(
    hardware: Hardware,
    dtype: DtypeName = "auto",
    engine: EngineName | Literal["auto"] = "auto",
    *,
    emulate: bool = False,
    int8_lacks: Callable[[], str] = lambda: "ranges are not known",
) -> Plan:
    """Chooses engine and number format: what was asked for, or the next best engine that is there.

    On its own it takes OpenVINO on CPUs, which is fastest in all formats, with AMX and without, and ready in seconds;
    on GPUs torch itself.

    Args:
        hardware: what `probe` found.
        dtype: `auto` is bfloat16 where the hardware computes in it, int8 where it computes in that and nothing is
            lacking, and else float32.
        engine: `auto`, or what to run with if it is there. Integers are run by OpenVINO alone.
        emulate: take a number format that the hardware does not compute in, which is slower than float32.
        int8_lacks: says what integers lack for this model, nothing if nothing; asked where it matters.

    Raises:
        UnavailableError: the format cannot be had here.
        ValueError: there is no such format or engine.
    """
    if dtype not in DTYPES:
        raise ValueError(f"There is no number format {dtype!r} here: choose one of {', '.join(DTYPES)}.")
    if engine not in (*ENGINES, "auto"):
        raise ValueError(f"There is no engine {engine!r}: choose auto or one of {', '.join(ENGINES)}.")
    if dtype == "int8" or (dtype == "auto" and _integers_pay(hardware, engine)):
        lacks = _int8_lacks(hardware, engine, emulate) or int8_lacks()
        if not lacks:
            rest = torch.bfloat16 if hardware.bfloat16 else torch.float32
            return Plan("openvino", torch.int8, reason="int8, which this processor supports natively", rest=rest)
        if dtype == "int8":
            raise UnavailableError(f"int8 cannot be used: {lacks}.")
        number, reason = torch.float32, f"float32: this processor has no native bfloat16, and for int8 {lacks}"
    else:
        number, reason = _number(hardware, dtype, emulate)
    chosen, why = _engine(hardware, engine)
    return Plan(chosen, number, why, reason)


def _integers_pay(hardware: Hardware, engine: str) -> bool:
    """Whether int8 is the fastest format here that the engine asked for computes in."""
    ready = hardware.device == "cpu" and hardware.openvino and engine in ("auto", "openvino")
    return ready and hardware.int8 and not hardware.bfloat16


def _int8_lacks(hardware: Hardware, engine: str, emulate: bool) -> str:
    if hardware.device != "cpu" or not hardware.openvino:
        return "it needs OpenVINO on a CPU" + ("" if hardware.openvino else ", which is not installed")
    if engine not in ("auto", "openvino"):
        return f"it needs OpenVINO, and the engine {engine} was requested"
    if not hardware.int8 and not emulate:
        return f"this processor has no instructions for it (VNNI), so it would not be faster{_TWICE}"
    return ""


def _number(hardware: Hardware, dtype: DtypeName, emulate: bool) -> tuple[torch.dtype, str]:
    """Chooses between the floating-point formats; says why where it was free to."""
    if dtype == "float32":
        return torch.float32, ""
    if hardware.bfloat16 or (dtype == "bfloat16" and emulate):
        return torch.bfloat16, "bfloat16, which this hardware supports natively" if dtype == "auto" else ""
    if dtype == "bfloat16":
        raise UnavailableError(
            "This hardware has no native bfloat16, which would be slower than float32: use float32, int8 or "
            f"auto{_TWICE}."
        )
    if hardware.int8:
        return torch.float32, "float32: this hardware has no native bfloat16, and int8 needs OpenVINO"
    return torch.float32, "float32: this hardware has neither native bfloat16 nor int8"


_TWICE = ", or add --emulate (emulate=True) to use it anyway"


def _engine(hardware: Hardware, engine: EngineName | Literal["auto"]) -> tuple[EngineName, str]:
    """Chooses the engine, and says why where it is not the one that was asked for."""
    why = []
    best: EngineName = "openvino" if hardware.device == "cpu" and hardware.openvino else "torch"
    chosen = best if engine == "auto" else engine
    if chosen == "compile" and not hardware.compiler:
        chosen = "torch" if hardware.device == "cuda" or not hardware.openvino else "openvino"
        why.append(f"there is no compiler here: {chosen} instead of compiled code")
    if chosen == "openvino" and (hardware.device != "cpu" or not hardware.openvino):
        missing = "OpenVINO runs on CPUs here" if hardware.device != "cpu" else "OpenVINO is not installed"
        chosen = "torch"
        why.append(f"{missing}: torch instead")
    return chosen, "; ".join(why)
