"""What each stage of a backbone costs: parameters, multiplications, memory traffic, and time.

Multiplications and bytes are counted by following the operations of one run on an input without contents, so that the
names of modules do not matter (those of VoVNet have slashes, which break counters that go by names) and nothing is
computed. Time is measured on a run of its own.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explorer.backbones.mobilenet import MobileNetV2
from explorer.engine.speed.interleaved import interleaved
from explorer.engine.speed.multiplications import flop_registry
from explorer.receptive_field.theoretical import evaluating
from explorer.types import Floats, Progress

REST = "rest"
"""What runs outside all stages: of a backbone with FPN, the pyramid."""

Stages = Mapping[str, Sequence[nn.Module]]
"""Modules by stage; none lies inside another one."""


@dataclass(frozen=True)
class StageCost:
    """What one stage costs for one image.

    Attributes:
        name: of the stage.
        params: number of parameters, without buffers.
        macs: multiplications of convolutions and matrix products, each with its addition.
        read_bytes: what its operations read, weights included, if every operation takes its inputs from memory.
        written_bytes: what they write.
    """

    name: str
    params: int
    macs: int
    read_bytes: int
    written_bytes: int

    @property
    def gmac(self) -> float:
        return self.macs / 1e9

    @property
    def traffic_mb(self) -> float:
        """Megabytes read and written."""
        return (self.read_bytes + self.written_bytes) / 1e6

    @property
    def macs_per_byte(self) -> float:
        """Multiplications for each byte moved: where it is low, memory is what one waits for. NaN where none move."""
        moved = self.read_bytes + self.written_bytes
        return self.macs / moved if moved else float("nan")


def stages_of(backbone: nn.Module) -> dict[str, tuple[nn.Module, ...]]:
    """Returns a backbone's stages in the order in which they run; of one with FPN, those of the network below it.

    Children are stages. MobileNetV2, which is one chain of blocks, is cut behind the maps that it gives.
    """
    network: nn.Module = getattr(backbone, "bottom_up", backbone)
    if isinstance(network, MobileNetV2):
        blocks: dict[str, tuple[nn.Module, ...]] = network.stages
        return blocks
    return {name: (module,) for name, module in network.named_children()}


def stage_costs(
    backbone: nn.Module, size: tuple[int, int], stages: Stages | None = None, *, channels: int = 3
) -> tuple[StageCost, ...]:
    """Counts what each stage of a backbone costs for one image.

    Memory traffic is that of eager execution: every operation reads its inputs from memory and writes its outputs
    there. Caches and fused kernels save some of it.

    Args:
        backbone: what takes an image `(1, channels, height, width)`. It is left as it was.
        size: `(height, width)` of the image in pixels.
        stages: what to count together; `stages_of` where None.
        channels: of the image.

    Returns:
        One per stage, and `rest` where anything runs, or has parameters, outside all of them.
    """
    parts = stages if stages is not None else stages_of(backbone)
    counter = _Counter()
    with evaluating(backbone), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        image = torch.empty(1, channels, *size)
        with _inside(parts, counter.enter, counter.leave), counter:
            backbone(image)
    params = {name: sum(p.numel() for module in own for p in module.parameters()) for name, own in parts.items()}
    params[REST] = sum(p.numel() for p in backbone.parameters()) - sum(params.values())
    costs = [StageCost(name, params[name], *counter.counts[name]) for name in (*parts, REST)]
    return tuple(cost for cost in costs if cost.name != REST or cost.params or cost.written_bytes)


def total_cost(costs: Sequence[StageCost], name: str = "all") -> StageCost:
    """Adds the costs of stages.

    Args:
        costs: costs of the stages, as `stage_costs` returns them.
        name: name of the sum.
    """
    sums = (sum(getattr(cost, key) for cost in costs) for key in ("params", "macs", "read_bytes", "written_bytes"))
    return StageCost(name, *sums)


def stage_seconds(
    backbones: Mapping[str, nn.Module],
    image: Tensor,
    *,
    rounds: int = 7,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Floats]]:
    """Times each stage of some backbones on the CPU, in interleaved rounds; see `explorer.engine.speed.interleaved`.

    Args:
        backbones: by name; they are left as they were.
        image: `(1, channels, height, width)`.
        rounds: how many are kept, after one that is not.
        progress: called after each run of a backbone.
        clock: gives seconds.

    Returns:
        Seconds `(rounds,)` by backbone and stage; `rest` is what runs outside all stages.

    Raises:
        ValueError: there is no backbone, or no round.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in backbones}
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        calls: dict[str, Callable[[], object]] = {}
        for name, backbone in backbones.items():
            stack.enter_context(evaluating(backbone))
            watch = _StageTimer(backbone, stages_of(backbone), clock)
            calls[name] = lambda own=found[name], run=watch: own.append(run(image))  # type: ignore[misc]
        interleaved(calls, rounds=rounds, progress=progress)
    return {
        name: {stage: np.array([turn[stage] for turn in own[-rounds:]]) for stage in own[0]}
        for name, own in found.items()
    }


class _StageTimer:
    """Runs a backbone and says how long each of its stages took."""

    def __init__(self, backbone: nn.Module, stages: Stages, clock: Callable[[], float]) -> None:
        self._backbone, self._stages, self._clock = backbone, stages, clock
        self._start, self._spent = 0.0, dict.fromkeys(stages, 0.0)

    def __call__(self, image: Tensor) -> dict[str, float]:
        self._spent = dict.fromkeys(self._stages, 0.0)
        with _inside(self._stages, self._enter, self._leave):
            start = self._clock()
            self._backbone(image)
            whole = self._clock() - start
        return self._spent | {REST: whole - sum(self._spent.values())}

    def _enter(self, _name: str) -> None:
        self._start = self._clock()

    def _leave(self, name: str) -> None:
        self._spent[name] += self._clock() - self._start


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the multiplications and bytes of every operation by the stage in which it runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._stage = REST

    def enter(self, name: str) -> None:
        self._stage = name

    def leave(self, _name: str) -> None:
        self._stage = REST

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        written = _bytes(result)
        if written and not _is_view(func):  # what gives no tensor only asks for a shape or a device
            count = self.counts[self._stage]
            if (flops := flop_registry.get(func._overloadpacket)) is not None:
                count[0] += flops(*args, **(kwargs or {}), out_val=result) // 2
            count[1] += _bytes((args, kwargs))
            count[2] += written
        return result


def _is_view(func: Any) -> bool:
    """Whether an operation moves nothing: its outputs are its inputs, looked at otherwise."""
    returns = func._schema.returns
    aliases = [value.alias_info for value in returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


def _bytes(values: Any) -> int:
    tensors = {id(value): value for value in tree_leaves(values) if isinstance(value, Tensor)}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@contextmanager
def _inside(stages: Stages, enter: Callable[[str], Any], leave: Callable[[str], Any]) -> Iterator[None]:
    """Calls `enter` and `leave` with a stage's name around each of its modules, within the block."""
    with ExitStack() as handles:
        for name, modules in stages.items():
            for module in modules:
                before = module.register_forward_pre_hook(lambda *_, own=name: enter(own) and None)
                handles.callback(before.remove)
                after = module.register_forward_hook(lambda *_, own=name: leave(own) and None, always_call=True)
                handles.callback(after.remove)
        yield
