"""Networks of plain tensors made ready to run: by torch, by code compiled for this machine, by OpenVINO.

All take and give float32 whatever they compute in, since what boxes are decoded from should not be rounded, and give
maps that are channels-last in memory, which is what convolutions and pooling read fastest. All take any image size;
none needs more padding than the model, which would change what squeeze-excitation averages, and so every feature.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.engine.fast.folding import fold_norms
from explorer.engine.fast.hardware import Plan

Network = Callable[[Tensor], tuple[Tensor, ...]]
"""A tensor in, a tuple of tensors out."""


OPENVINO_SAYS = "Exception from "
"""How OpenVINO's own errors begin, which are of no class of their own."""
_CANNOT = (OPENVINO_SAYS, "Tracer", "Couldn't export")
"""How the errors begin of what cannot be traced or converted; all other RuntimeErrors are no engine's."""


class NotFastError(RuntimeError):
    """A network cannot be made ready this way here, gives other results, or cannot take an input."""


def prepare(module: nn.Module, sample: Tensor, plan: Plan) -> Network:
    """Makes a network ready; `module`, in evaluation mode, belongs to it afterwards.

    Args:
        module: takes one tensor, gives a tuple of them.
        sample: an input; every dimension but the channels' may be another later.
        plan: how.

    Raises:
        NotFastError: the engine cannot take it.
    """
    fold_norms(module)
    if plan.engine == "openvino":
        return openvino_network(openvino_model(module, sample), plan.dtype)
    ready = module.to(plan.dtype).to(memory_format=torch.channels_last)
    if plan.engine == "compile":
        return _compiled(ready, sample, plan.dtype)
    return TorchNetwork(ready, plan.dtype)


class TorchNetwork:
    """Runs a module as it is."""

    def __init__(self, module: Callable[..., Any], dtype: torch.dtype) -> None:
        self._module, self._dtype = module, dtype

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        x = x.to(self._dtype)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return tuple(out.float() for out in self._module(x))


def _compiled(module: nn.Module, sample: Tensor, dtype: torch.dtype) -> Network:
    """Compiles for the sample's size; the second size makes code for all sizes. Kept on disk by torch itself."""
    from torch._dynamo.exc import TorchDynamoException  # of its tracer and of all its compilers

    # freezing packs weights for oneDNN; on GPUs their graphs spare launching kernels one by one
    options: dict[str, Any] = {"freezing": True} if sample.device.type == "cpu" else {"triton.cudagraphs": True}
    network = TorchNetwork(torch.compile(module, options=options), dtype)
    try:
        network(sample)
    except TorchDynamoException as error:
        raise NotFastError(f"compilation fails ({type(error).__name__})") from error
    return network


@cache
def openvino_core() -> Any:
    """Returns the process's one OpenVINO core, which reads and compiles models, and stays.

    With the last core and compiled model its plugin is unloaded, and a core made after that has crashed interpreters.
    Compiled models can be let go of while a core is there.

    Source: https://github.com/openvinotoolkit/openvino/issues/35338, Ultralytics' pull request 25864.
    """
    import openvino

    return openvino.Core()


def openvino_model(module: nn.Module, sample: Tensor) -> Any:
    """Converts a network to an OpenVINO model that takes inputs of any size.

    Raises:
        NotFastError: OpenVINO cannot take it.
    """
    import openvino
    from openvino.frontend import (
        FrontEndManager,
        GeneralFailure,
        InitializationFailure,
        NotImplementedFailure,
        OpConversionFailure,
        OpValidationFailure,
    )
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    failures = GeneralFailure, InitializationFailure, NotImplementedFailure, OpConversionFailure, OpValidationFailure
    # What `openvino.convert_model` does in the end; it would report to its makers that it was used.
    frontend = FrontEndManager().load_by_framework("pytorch")
    try:
        decoder = TorchScriptPythonDecoder(traced(module, sample), example_input=sample)
        loaded = frontend.load(decoder)  # refers to the decoder, and does not keep it
        model = frontend.convert(loaded)
        del loaded  # before the decoder goes
    except (RuntimeError, *failures) as error:
        if type(error) is RuntimeError and not str(error).startswith(_CANNOT):  # say, no memory is left
            raise
        raise NotFastError(f"OpenVINO cannot convert it ({type(error).__name__})") from error
    node = model.inputs[0].get_node()
    node.set_partial_shape(openvino.PartialShape([-1, sample.shape[1], *([-1] * (sample.ndim - 2))]))
    node.set_element_type(openvino.Type.f32)
    model.validate_nodes_and_infer_types()
    return model


def traced(module: nn.Module, sample: Tensor) -> Any:
    """Returns the operations of a network on `sample` as TorchScript."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # detectron2 asks for sizes in asserts, torch calls TorchScript deprecated
        # its check calls equal graphs unequal where names are new
        return torch.jit.trace(module, sample, check_trace=False)  # type: ignore[no-untyped-call]


def openvino_network(model: Any, dtype: torch.dtype) -> Network:
    """Makes an OpenVINO model ready on the CPU, with torch's number of threads.

    Args:
        model: from `openvino_model`, or read from a file.
        dtype: what to compute in.
    """
    import openvino
    from openvino.preprocess import PrePostProcessor

    ends = PrePostProcessor(model)
    for index, port in enumerate(model.inputs):
        if len(port.partial_shape) == 4:
            ends.input(index).tensor().set_layout(openvino.Layout("NHWC"))
            ends.input(index).model().set_layout(openvino.Layout("NCHW"))
    for index, port in enumerate(model.outputs):
        if len(port.partial_shape) == 4:
            ends.output(index).tensor().set_layout(openvino.Layout("NHWC"))
            ends.output(index).model().set_layout(openvino.Layout("NCHW"))
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    return OpenVinoNetwork(openvino_core().compile_model(ends.build(), "CPU", settings))


class OpenVinoNetwork:
    """Runs a compiled OpenVINO model; the maps it gives are good until its next run."""

    def __init__(self, compiled: Any) -> None:
        self._compiled, self._request = compiled, compiled.create_infer_request()
        self._outputs = len(compiled.outputs)
        self._last: tuple[int, ...] | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        x = x.float().permute(0, 2, 3, 1).contiguous() if x.ndim == 4 else x.float().contiguous()
        try:
            self._run(x)
        except RuntimeError as error:
            if not str(error).startswith(OPENVINO_SAYS):  # one that a signal's handler raised, say of a dead loader
                raise
            self._recover()
            raise NotFastError(str(error)) from error
        self._last = tuple(x.shape)
        found = (torch.from_numpy(self._request.get_output_tensor(i).data) for i in range(self._outputs))
        return tuple(out.permute(0, 3, 1, 2) if out.ndim == 4 else out for out in found)

    def _run(self, x: Tensor) -> None:
        # Not `infer`: with one thread it says nothing of a failure, and the outputs stay those of the run before.
        self._request.start_async({0: x.numpy()}, share_inputs=True)
        self._request.wait()

    def _recover(self) -> None:
        """After a failure OpenVINO fails at the size before it too, until it has run at another."""
        if self._last is not None:
            first, second, *rest = self._last
            other = (first, 2 * second, *rest) if rest else (2 * first, second)
            with suppress(RuntimeError):
                self._run(torch.zeros(other))


def onnx_network(model: Path | bytes) -> Network:
    """Makes an ONNX model, a file or its content, ready for ONNX Runtime on the CPU, in float32.

    It runs with torch's number of threads.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    content = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> tuple[Tensor, ...]:
        found = (torch.from_numpy(out) for out in session.run(None, {name: x.float().contiguous().numpy()}))
        return tuple(out.contiguous(memory_format=torch.channels_last) if out.ndim == 4 else out for out in found)

    return run
