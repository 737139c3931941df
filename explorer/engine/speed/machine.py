"""What speed is held against: this machine, and how fast it multiplies matrices at best."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from explorer.engine.artifacts import code_facts
from explorer.engine.fast.hardware import cpu_flags, probe
from explorer.engine.speed.interleaved import interleaved
from explorer.processor import processor_name

SIDE = 4096


def ceiling(dtype: torch.dtype, device: torch.device, *, rounds: int = 3) -> dict[str, float]:
    """Measures floating-point operations per second of a product of two `SIDE`² matrices.

    By every path at hand, since a library may be slow on a processor that another maker's is fast on: the largest is
    the ceiling.

    Returns:
        Operations per second (a multiplication and an addition are two) by path.
    """
    if dtype == torch.int8:
        calls: dict[str, Callable[[], object]] = {"OpenVINO": _openvino_int8()}
        return {name: 2 * SIDE**3 / float(np.median(own)) for name, own in interleaved(calls, rounds=rounds).items()}
    calls = {"torch.matmul": _matmul(dtype, device)}
    if device.type == "cpu":
        calls["1x1 convolution"] = _convolution(dtype)
        if importlib.util.find_spec("openvino"):
            calls["OpenVINO"] = _openvino(dtype)
    with torch.inference_mode():
        seconds = interleaved(calls, rounds=rounds)
    return {name: 2 * SIDE**3 / float(np.median(own)) for name, own in seconds.items()}


def _matmul(dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    a, b = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))

    def run() -> None:
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def _convolution(dtype: torch.dtype) -> Callable[[], object]:
    side = int(SIDE**0.5)
    image, weight = torch.randn(1, SIDE, side, side), torch.randn(SIDE, SIDE, 1, 1)
    a, b = (one.to(dtype).contiguous(memory_format=torch.channels_last) for one in (image, weight))
    return lambda: F.conv2d(a, b)


def _openvino(dtype: torch.dtype) -> Callable[[], object]:
    from explorer.engine.fast.networks import openvino_model, openvino_network

    layer = torch.nn.Linear(SIDE, SIDE, bias=False).requires_grad_(requires_grad=False)
    image = torch.randn(SIDE, SIDE)
    network = openvino_network(openvino_model(torch.nn.Sequential(layer), image[:2]), dtype)
    return lambda: network(image)


def _openvino_int8() -> Callable[[], object]:
    """A product of a tensor that is quantised on the way, as between layers, and 8-bit weights."""
    import openvino
    from openvino import opset13 as ops

    from explorer.engine.fast.networks import openvino_network

    image = ops.parameter([-1, SIDE], np.float32)
    ends = [np.float32(end) for end in (-4.0, 4.0)]
    rounded = ops.fake_quantize(image, *ends, *ends, 256)
    weights = ops.constant(np.random.default_rng(0).integers(-127, 128, (SIDE, SIDE), dtype=np.int8))
    scaled = ops.multiply(ops.convert(weights, np.float32), np.full((SIDE, 1), 1 / 127, np.float32))
    product = ops.matmul(rounded, scaled, transpose_a=False, transpose_b=True)
    network = openvino_network(openvino.Model([product], [image]), torch.float32)
    numbers = torch.randn(SIDE, SIDE)
    return lambda: network(numbers)


def hardware_facts(device: torch.device) -> dict[str, Any]:
    """Says what the figures were measured on: processor and what it can do, GPU, commit of the code."""
    hardware = probe(device)
    telling = ("avx2", "avx_vnni", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        "cpu_flags": [flag for flag in telling if flag in cpu_flags()],
        "bfloat16": hardware.bfloat16,
        "int8": hardware.int8,
        "openvino": hardware.openvino,
        "compiler": hardware.compiler,
        "commit": (code_facts() or {}).get("commit"),
    }
