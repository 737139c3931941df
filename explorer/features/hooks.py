"""Records what layers give while a model runs, and leaves the model as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from explorer.features.layers import Layer, eager, find_layers

LIMIT_MB = 2048
"""How much a recorder keeps unless told otherwise."""

_SHOWN = 4
_AT_WORK = threading.local()
"""What recorders of each thread are attached to, in `models`."""


def is_recorded(model: nn.Module) -> bool:
    """Says whether a recorder of this thread is at work on a model or a part of it; another thread's are not meant."""
    models = getattr(_AT_WORK, "models", ())
    return bool(models) and any(part is own for part in model.modules() for own in models)


@dataclass(frozen=True, eq=False)
class Record:
    """One tensor that one call of a layer gave.

    Attributes:
        layer: the layer.
        call: which call of the layer within the recording, from 0.
        part: where in the output the tensor stood: `()` if it was the output, else keys and indices.
        tensor: the tensor.
        version: how often the tensor had been written to when it was recorded.
    """

    layer: Layer
    call: int
    part: tuple[str | int, ...]
    tensor: Tensor
    version: int

    @property
    def name(self) -> str:
        """The layer's name, with the part in brackets: `proposal_generator.rpn_head[0][2]`."""
        return self.layer.name + "".join(f"[{key}]" for key in self.part)

    @property
    def size_mb(self) -> float:
        return self.tensor.numel() * self.tensor.element_size() / 1e6

    @property
    def overwritten(self) -> bool:
        """Whether the tensor was written to after it was recorded, as by an in-place ReLU; never for copies."""
        return _version(self.tensor) != self.version


class FeatureRecorder:
    """Records the outputs of layers while a model runs inside a `with` block.

        with FeatureRecorder(detector.model, ["p2", "backbone.bottom_up.stage4.*"]) as recorder, torch.no_grad():
            recorder.model([model_input])
        recorder["p2"]  # (1, 256, rows, columns)

    Inside the block the model is in evaluation mode, and everything compiled in it runs eagerly: torch.compile's code
    knows nothing of hooks that came after it. So a model whose fast path is on can be recorded, called through the
    compiled module or the one it was made from, or by `Detector.detect`, which runs the model itself meanwhile. At the
    end of the block, however it ends (an error, Ctrl-C), no hook is left and every module's mode is what it was.

    Layers that are called several times, as an RPN head is for each level, give one record per call. Outputs may be
    tensors or dictionaries, tuples and lists of them, nested; what is no tensor is passed over.
    """

    def __init__(
        self, model: nn.Module, layers: Iterable[str], *, copy: bool = True, limit_mb: float = LIMIT_MB
    ) -> None:
        """Finds the layers; nothing is attached to the model yet.

        Args:
            model: a detectron2 model, a timm model, or any other; if compiled, the module it was made from is taken.
            layers: dotted names, globs and short names; see `explorer.features.layers.find_layers`.
            copy: keep copies on the CPU, cut from autograd. False keeps the tensors themselves, with their gradients'
                history; one that a later layer overwrites in place then no longer holds the layer's output, and is
                refused when it is asked for.
            limit_mb: stop the model with an error before more than this is kept.

        Raises:
            ValueError: a name matches no layer, or a short name several; or the limit is not positive.
        """
        if not limit_mb > 0:
            raise ValueError(f"limit_mb is {limit_mb}; it must be above 0.")
        self.model = eager(model)
        self.layers = find_layers(model, layers)
        self._copy, self._limit_mb = copy, limit_mb
        self._records: list[Record] = []
        self._calls: dict[str, int] = {}
        self._stack: ExitStack | None = None

    def __enter__(self) -> Self:
        if self._stack is not None:
            raise RuntimeError("This recorder is already active; create another one for a nested block.")
        self._records, self._calls = [], dict.fromkeys((layer.name for layer in self.layers), 0)
        with ExitStack() as stack:  # undone at once if anything below fails
            stack.callback(_restore, [(module, module.training) for module in self.model.modules()])
            self.model.eval()
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            for layer in self.layers:
                stack.callback(layer.module.register_forward_hook(partial(self._take, layer)).remove)
            before = getattr(_AT_WORK, "models", ())
            stack.callback(setattr, _AT_WORK, "models", before)
            _AT_WORK.models = (*before, self.model)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()

    @property
    def records(self) -> tuple[Record, ...]:
        """Everything recorded, in the order in which the layers ran.

        Raises:
            ValueError: a tensor kept by reference has been overwritten in place since.
        """
        for record in self._records:
            if record.overwritten:
                raise ValueError(
                    f"{record.name} was overwritten in place by a later layer (an in-place ReLU?), so that the "
                    "reference no longer holds its output. Record copies (copy=True), or name that later layer."
                )
        return tuple(self._records)

    def all(self, name: str) -> list[Tensor]:
        """Returns every tensor that a layer gave, call by call.

        Raises:
            ValueError: the layer is not recorded, did not run, or gave no tensor.
        """
        if name not in (layer.name for layer in self.layers):
            (layer,) = find_layers(self.model, [name])
            name = layer.name
        found = [record.tensor for record in self.records if record.layer.name == name]
        if found:
            return found
        if name not in self._calls:
            raise ValueError(f"{name} is not recorded; recorded are {', '.join(layer.name for layer in self.layers)}.")
        calls = self._calls[name]
        raise ValueError(
            f"{name} ran {calls} time{'s' * (calls != 1)} but gave no tensor; name a layer inside it."
            if calls
            else f"{name} did not run. Run recorder.model inside the with block, on an input that reaches this layer."
        )

    def __getitem__(self, name: str) -> Tensor:
        """Returns the tensor that a layer gave.

        Raises:
            ValueError: the layer gave none or several (`all` has them), or is not recorded.
        """
        found = self.all(name)
        if len(found) > 1:
            raise ValueError(f"{name} gave {len(found)} tensors; take them with recorder.all({name!r}).")
        return found[0]

    def _take(self, layer: Layer, _module: nn.Module, _inputs: object, output: object) -> None:
        call = self._calls[layer.name]
        self._calls[layer.name] = call + 1
        wanted = output if layer.output is None else _item(layer, output)
        for part, tensor in tensors_in(wanted):
            coming = Record(layer, call, part, tensor, _version(tensor))
            self._check_limit(coming)
            if self._copy:
                copied = tensor.detach().to("cpu", copy=True)
                coming = Record(layer, call, part, copied, _version(copied))
            self._records.append(coming)

    def _check_limit(self, coming: Record) -> None:
        kept = [*self._records, coming]
        total_mb = sum(record.size_mb for record in kept)
        if total_mb <= self._limit_mb:
            return
        largest = sorted(kept, key=lambda record: -record.size_mb)[:_SHOWN]
        shown = ", ".join(f"{r.name} ({'×'.join(map(str, r.tensor.shape))}, {r.size_mb:.1f} MB)" for r in largest)
        raise ValueError(
            f"Recording takes {total_mb:.1f} MB up to {coming.name}, above limit_mb={self._limit_mb:g}. The largest "
            f"maps: {shown}. Name fewer layers, take a smaller image, or raise limit_mb."
        )


def _version(tensor: Tensor) -> int:
    """How often a tensor has been written to; tensors of inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version


def _restore(modes: Sequence[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training  # `train()` would set the children too


def _item(layer: Layer, output: object) -> object:
    if isinstance(output, Mapping) and layer.output in output:
        return output[layer.output]
    raise ValueError(
        f"{layer.name} is declared by {type(layer.module).__name__}, whose output does not hold it: {type(output)}."
    )


def tensors_in(output: Any, part: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Tensor]]:
    """Yields every tensor in nested mappings, tuples and lists, with the way to it."""
    if isinstance(output, Tensor):
        yield part, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors_in(value, (*part, key))
    elif isinstance(output, (tuple, list)):
        for index, value in enumerate(output):
            yield from tensors_in(value, (*part, index))
