"""Theoretical receptive fields, exact: the pixels that can change a unit, found by following every operation.

The network runs once on an input without contents, and each operation tells which pixels its outputs see (see
`explorer.receptive_field.operations`). So branches, concatenations, additions, strides, dilation, padding, ceil-mode
pooling, resizing and top-down paths count as they are, up to the border. After nearest upsampling neighbouring units
see differently placed fields; they are told apart as phases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from explorer.receptive_field.operations import apply
from explorer.receptive_field.support import identity
from explorer.receptive_field.trail import Call, NotUnderstoodError, Trail, merged, once
from explorer.types import Bools, Floats

FIRST_SIZE_PX = 2048
LARGEST_SIZE_PX = 4096
_PERIODS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64)


@dataclass(frozen=True)
class Phase:
    """The field of every `period`-th unit along one axis, away from the border.

    Attributes:
        size_px: from the first pixel to the last.
        offset_px: from the middle of the unit's own cell, `stride` pixels wide, to the middle of its field.
        gaps: whether pixels in between are not seen.
    """

    size_px: int
    offset_px: float
    gaps: bool


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What the units of a layer can see of the input.

    Attributes:
        layer: its name.
        grid: `(rows, columns)` of units.
        input_size: `(height, width)` in pixels of the input that was followed.
        trail: what was followed.
        ignores_global: whether operations that look at the whole map were left out.
    """

    layer: str
    grid: tuple[int, int]
    input_size: tuple[int, int]
    trail: Trail
    ignores_global: bool

    @property
    def whole(self) -> tuple[str, ...]:
        """Layers on the way that look at the whole map: squeeze-excitation, group normalisation, global pooling."""
        return self.trail.whole

    @property
    def partial(self) -> str | None:
        """`partial: …` with the operations that were not understood; None where the field is exact."""
        return f"partial: {', '.join(self.trail.unknown)}" if self.trail.unknown else None

    @property
    def is_global(self) -> bool:
        """Whether every unit sees the whole input, because of an operation that looks at the whole map."""
        return bool(self.whole) and not self.ignores_global

    @property
    def stride_px(self) -> tuple[int, int]:
        """Pixels from one unit to the next, downwards and to the right; the input's sides for a map of one place."""
        down, right = map(round, self._strides)
        return down, right

    @property
    def _strides(self) -> tuple[float, float]:
        """The same to the fraction: as it was followed or, where that was not possible, by the sizes."""
        down, right = (
            side / max(units, 1) if self.trail.unknown or not math.isfinite(stride) else min(stride, float(side))
            for stride, side, units in zip(self.trail.stride, self.input_size, self.grid, strict=True)
        )
        return down, right

    def unit_at(self, x: float, y: float) -> tuple[int, int]:
        """The `(row, column)` of the unit whose cell, or the nearest to it, holds a point of the input in pixels."""
        row, column = (
            max(0, min(int(place / stride), units - 1))
            for place, stride, units in zip((y, x), self._strides, self.grid, strict=True)
        )
        return row, column

    @cached_property
    def phases(self) -> tuple[tuple[Phase, ...], tuple[Phase, ...]]:
        """The different fields along rows and along columns, by place within the period; empty where none is whole."""
        down, right = (self._phases(axis) for axis in (0, 1))
        return down, right

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of the largest field away from the border; the input's where every unit sees its border."""
        sizes = [
            max((phase.size_px for phase in phases), default=length)
            for phases, length in zip(self.phases, self.input_size, strict=True)
        ]
        return sizes[0], sizes[1]

    @property
    def is_clipped(self) -> bool:
        """Whether the input was too small for any unit's field to lie inside."""
        return not all(self.phases)

    @property
    def wants_more(self) -> bool:
        """Whether a larger input could show a whole field."""
        return self.is_clipped and not self.is_global and self.grid != (1, 1) and bool(self.trail.products)

    def box(self, row: int, column: int) -> tuple[int, int, int, int] | None:
        """The field of one unit as `(x1, y1, x2, y2)` in input pixels, ends exclusive; None if it sees nothing."""
        seen = [(_span(p.rows[row]), _span(p.columns[column])) for p in self.trail.products]
        spans = [(rows, columns) for rows, columns in seen if rows and columns]
        if not spans:
            return None
        return (
            min(columns[0] for _, columns in spans),
            min(rows[0] for rows, _ in spans),
            max(columns[1] for _, columns in spans),
            max(rows[1] for rows, _ in spans),
        )

    def mask(self, row: int, column: int) -> Bools:
        """The field of one unit, `(height, width)` bool: exactly the pixels that can change it."""
        seen = np.zeros(self.input_size, dtype=np.bool_)
        for product in self.trail.products:
            seen |= np.outer(product.rows[row], product.columns[column])
        return seen

    def _phases(self, axis: int) -> tuple[Phase, ...]:
        units, length = self.grid[axis], self.input_size[axis]
        stride = self._strides[axis]
        supports = [p.columns if axis else p.rows for p in self.trail.products]
        if not supports:
            return ()
        seen = np.logical_or.reduce(supports)
        inside = seen.any(axis=1) & ~seen[:, 0] & ~seen[:, -1]
        first, last = seen.argmax(axis=1), length - seen[:, ::-1].argmax(axis=1)
        sizes, offsets = last - first, (first + last) / 2 - (np.arange(units) + 0.5) * stride
        gaps = seen.sum(axis=1) < sizes
        places = np.flatnonzero(inside)
        kinds = np.stack([sizes, np.round(offsets, 6)], axis=1)
        for period in _PERIODS:
            groups = [places[places % period == phase] for phase in range(period)]
            if all(_alike_but_at_the_border(kinds[group]) for group in groups):
                typical = [group[len(group) // 2] for group in groups]
                return tuple(Phase(int(sizes[own]), float(offsets[own]), bool(gaps[own])) for own in typical)
        return ()


def theoretical_fields(
    model: nn.Module,
    size: tuple[int, int] | None = None,
    *,
    channels: int = 3,
    ignore_global: bool = False,
    make_input: Callable[[Tensor], Any] | None = None,
) -> dict[str, ReceptiveField]:
    """Computes the exact theoretical receptive field of every layer of a network.

    Args:
        model: a network that takes an image `(1, channels, height, width)`: a backbone, with or without FPN.
        size: `(height, width)` of the input in pixels. None for 2048 × 2048, or twice that if a field is larger.
        channels: number of input channels.
        ignore_global: leave out operations on the whole map: squeeze-excitation, group normalisation, global pooling.
        make_input: converts the image to the model's input, if that is not the image itself.

    Returns:
        Fields by dotted module name, in the order in which the modules finish. Further outputs in a mapping, such as
        `p2`, are named by their key, or `name[key]` inside the model. If a module is called several times, the last
        call counts.

    Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, for the sizes.
    """
    if size is not None:
        return _follow(model, size, channels, ignore_global, make_input)
    side = FIRST_SIZE_PX
    while True:
        fields = _follow(model, (side, side), channels, ignore_global, make_input)
        if side >= LARGEST_SIZE_PX or not any(
            f.is_clipped and not f.is_global and f.grid != (1, 1) for f in fields.values()
        ):
            return fields
        side *= 2


def _follow(
    model: nn.Module,
    size: tuple[int, int],
    channels: int,
    ignore_global: bool,
    make_input: Callable[[Tensor], Any] | None,
) -> dict[str, ReceptiveField]:
    fields: dict[str, ReceptiveField] = {}
    with evaluating(model), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        image = torch.empty(1, channels, *size, device=device_of(model))
        tracer = _Tracer(image, ignore_global)

        def ends(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
            for label, tensor in _named_tensors(name, output):
                trail = tracer.trail_of(tensor)
                if trail is not None and min(trail.axes) >= 0 and not trail.folded:
                    grid = tensor.shape[trail.axes[0]], tensor.shape[trail.axes[1]]
                    fields[label] = ReceptiveField(label, grid, size, trail, ignore_global)

        with ExitStack() as handles:
            for name, module in model.named_modules():
                handles.callback(
                    module.register_forward_pre_hook(lambda *_, own=name: tracer.layers.append(own)).remove
                )
                hook = module.register_forward_hook(partial(ends, name))
                handles.callback(hook.remove)
                left = module.register_forward_hook(lambda *_: tracer.layers.pop() and None, always_call=True)
                handles.callback(left.remove)
            with tracer:
                model(make_input(image) if make_input else image)
    return fields


def _named_tensors(name: str, output: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield name, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            if isinstance(value, Tensor):
                yield (f"{name}[{key}]" if name else str(key)), value
    elif isinstance(output, Sequence):
        for place, value in enumerate(output):
            if isinstance(value, Tensor):
                yield f"{name}[{place}]", value


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches every operation and keeps what is known of its outputs."""

    def __init__(self, image: Tensor, ignore_global: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[str] = []
        self._ignore_global = ignore_global
        products = identity((image.shape[2], image.shape[3]))
        self._known: dict[int, tuple[Tensor, Trail]] = {id(image): (image, Trail(products, (2, 3)))}

    def enter(self, name: str, *_: object) -> None:
        self.layers.append(name)

    def leave(self, *_: object) -> None:
        self.layers.pop()

    def trail_of(self, tensor: Tensor) -> Trail | None:
        known = self._known.get(id(tensor))
        return known[1] if known else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [item for item in tree_flatten((args, kwargs or {}))[0] if isinstance(item, Tensor)]
        operands = tuple((tensor, trail) for tensor in given if (trail := self.trail_of(tensor)) is not None)
        if operands:
            name = func._schema.name.partition("::")[2]
            outputs = [result] if isinstance(result, Tensor) else tree_flatten(result)[0]
            for output in outputs:
                if isinstance(output, Tensor) and output.dim():
                    # the tensor is kept, so that no other gets its id
                    self._known[id(output)] = (output, self._of(name, args, operands, output))
            if func._schema.is_mutable and len(operands) > 1:
                self._forget_parts_of(result, name)
        return result

    def _forget_parts_of(self, written: Any, name: str) -> None:
        """Says of tensors of which a part was written to in place that they are not understood."""
        if not isinstance(written, Tensor):
            return
        place = written.untyped_storage()._cdata
        for tensor, trail in list(self._known.values()):
            if tensor is not written and tensor.untyped_storage()._cdata == place:
                unknown = once((*trail.unknown, f"{name} into a part in {(self.layers or [''])[-1] or 'the model'}"))
                self._known[id(tensor)] = (tensor, replace(trail, unknown=unknown))

    def _of(self, name: str, args: Any, operands: tuple[tuple[Tensor, Trail], ...], output: Tensor) -> Trail:
        layer = self.layers[-1] if self.layers else ""
        try:
            return apply(name, Call(tuple(args), operands, output, layer, self._ignore_global))
        except (NotUnderstoodError, IndexError, TypeError):
            known = merged([trail for _, trail in operands], operands[0][1].axes)
            unknown = (*known.unknown, f"{name} in {layer or 'the model'}")
            same = output.shape == operands[0][0].shape
            axes = known.axes if same else (output.dim() - 2, output.dim() - 1) if output.dim() == 4 else (-1, -1)
            return Trail(known.products if same else (), axes, known.whole, once(unknown))


def _alike_but_at_the_border(kinds: Floats) -> bool:
    """Whether units have one kind of field, but for some at both ends.

    A field with gaps can be cut off though its unit does not see the outermost pixel, and one after a crop is.
    """
    if not len(kinds):
        return False
    different = np.flatnonzero((kinds != kinds[len(kinds) // 2]).any(axis=1))
    before, after = (different[different < len(kinds) // 2], different[different > len(kinds) // 2])
    start, end = (before.max() + 1 if len(before) else 0), (after.min() if len(after) else len(kinds))
    return bool(2 * (end - start) >= len(kinds))


def _span(seen: Bools) -> tuple[int, int] | None:
    places = np.flatnonzero(seen)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else None


def device_of(model: nn.Module, otherwise: torch.device | str = "cpu") -> torch.device:
    """Returns the device of a model's weights, and another where it has none."""
    held = next(chain(model.parameters(), model.buffers()), None)
    return torch.device(otherwise) if held is None else held.device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts the model into evaluation mode inside the block, and each module back into its own after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
