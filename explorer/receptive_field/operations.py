"""What torch's operations do to the set of pixels that a unit sees.

One rule per kind of operation, found by the name of the ATen operation. An operation that is not here is not guessed
at: the result says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from explorer.receptive_field.support import Product, picked, spread, union, windows
from explorer.receptive_field.trail import Axes, Call, NotUnderstoodError, Trail, merged, once
from explorer.types import Bools, Ints

OnAxis = Callable[[Bools, int], Bools]
"""What an operation does to the support along one axis, 0 for rows and 1 for columns."""


def apply(name: str, call: Call) -> Trail:
    """Returns what is known of an operation's output.

    Args:
        name: the ATen operation's, without namespace and overload.
        call: how it was called.

    Raises:
        NotUnderstoodError: there is no rule for it, or not for this way to call it.
    """
    bare = name.rstrip("_")
    if bare not in _OF_FOLDED and any(trail.folded for _, trail in call.operands):
        if bare in _POINTWISE and len(call.operands) == 1 and call.output.shape == call.tensor.shape:
            return call.trail
        raise NotUnderstoodError
    if bare in _POINTWISE:
        return _pointwise(call)
    if bare not in _RULES:
        raise NotUnderstoodError
    return _RULES[bare](call)


def _pointwise(call: Call) -> Trail:
    """A unit depends on those at its own place; a map of one place, such as a gate, reaches all."""
    dimensions = call.output.dim()
    placed = []
    for tensor, trail in call.operands:
        shift = dimensions - tensor.dim()
        rows, columns = (axis + shift if axis >= 0 else -1 for axis in trail.axes)
        placed.append(_stretched(replace(trail, axes=(rows, columns)), call.output))
    return merged(placed, max(trail.axes for trail in placed))


def _stretched(trail: Trail, output: Tensor) -> Trail:
    """Repeats a map of one row or column over those of the output."""

    def repeat(support: Bools, axis: int) -> Bools:
        length = output.shape[trail.axes[axis]] if trail.axes[axis] >= 0 else 1
        if len(support) == length:
            return support
        if len(support) != 1:
            raise NotUnderstoodError
        return np.repeat(support, length, axis=0)

    return _mapped(trail, repeat)


def _mapped(trail: Trail, on_axis: OnAxis, same: bool = False) -> Trail:
    """Applies a function along both axes; once where they are the same array and the function treats them alike."""
    products = []
    for product in trail.products:
        rows = on_axis(product.rows, 0)
        shared = same and product.rows is product.columns
        products.append(Product(rows, rows if shared else on_axis(product.columns, 1)))
    return replace(trail, products=union(products))


def _convolution(call: Call) -> Trail:
    weight, transposed = call.argument(1), bool(call.argument(6))
    kernel = weight.shape[-2], weight.shape[-1]
    stride, padding, dilation = call.pair(3, 1), call.pair(4), call.pair(5, 1)
    return _slide(call, kernel, stride, padding, dilation, spread if transposed else windows)


def _max_pooling(call: Call) -> Trail:
    kernel = call.pair(1)
    return _slide(call, kernel, call.pair(2) if call.argument(2) else kernel, call.pair(3), call.pair(4, 1), windows)


def _average_pooling(call: Call) -> Trail:
    kernel = call.pair(1)
    return _slide(call, kernel, call.pair(2) if call.argument(2) else kernel, call.pair(3), (1, 1), windows)


def _slide(
    call: Call,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    move: Callable[..., Bools],
) -> Trail:
    sizes = [call.output.shape[axis] for axis in call.trail.axes]

    def on_axis(support: Bools, axis: int) -> Bools:
        return move(support, sizes[axis], kernel[axis], stride[axis], padding[axis], dilation[axis])

    alike = all(len(set(pair)) == 1 for pair in (sizes, kernel, stride, padding, dilation))
    steps = [1 / step if move is spread else float(step) for step in stride]
    return _apart(_mapped(call.trail, on_axis, alike), steps)


def _apart(trail: Trail, steps: Sequence[float]) -> Trail:
    """Says how many units of a map it is from one of the next map's to another."""
    return replace(trail, stride=(trail.stride[0] * steps[0], trail.stride[1] * steps[1]))


def _resized(call: Call, scales: Sequence[float | None]) -> Sequence[float]:
    """How many units of the input one of the output is, downwards and to the right.

    Torch goes by the factor that it was given, and by the sizes where it was given sizes.
    """
    axes = call.trail.axes
    given = (
        scale or call.output.shape[axis] / call.tensor.shape[axis] for scale, axis in zip(scales, axes, strict=True)
    )
    return tuple(1 / scale for scale in given)


def _nearest(call: Call) -> Trail:
    steps = _resized(call, (call.argument(2), call.argument(3)))

    def on_axis(support: Bools, axis: int) -> Bools:
        length = call.output.shape[call.trail.axes[axis]]
        sources = np.floor(np.arange(length) * steps[axis] + 1e-9).astype(np.int64)
        return picked(support, np.minimum(sources, len(support) - 1))

    return _apart(_mapped(call.trail, on_axis), steps)


def _bilinear(call: Call) -> Trail:
    corners = bool(call.argument(2))
    steps = _resized(call, (None, None) if corners else (call.argument(3), call.argument(4)))

    def on_axis(support: Bools, axis: int) -> Bools:
        length, inputs = call.output.shape[call.trail.axes[axis]], len(support)
        place = np.arange(length, dtype=np.float64)
        if corners:
            source = place * ((inputs - 1) / max(length - 1, 1))
        else:
            source = np.maximum((place + 0.5) * steps[axis] - 0.5, 0)
        low = np.minimum(np.floor(source + 1e-9).astype(np.int64), inputs - 1)
        high = np.where(source - low > 1e-9, np.minimum(low + 1, inputs - 1), low)
        seen: Bools = picked(support, low) | picked(support, high)
        return seen

    return _apart(_mapped(call.trail, on_axis), steps)


def _adaptive_pooling(call: Call) -> Trail:
    outputs = tuple(call.output.shape[axis] for axis in call.trail.axes)
    if outputs == (1, 1):
        return _everything(call, keep=True)

    def on_axis(support: Bools, axis: int) -> Bools:
        length, inputs = outputs[axis], len(support)
        spans = [(i * inputs // length, -(-(i + 1) * inputs // length)) for i in range(length)]
        return np.stack([support[start:end].any(axis=0) for start, end in spans])

    return _apart(_mapped(call.trail, on_axis), _resized(call, (None, None)))


def _reduction(call: Call) -> Trail:
    """A mean, a sum or a maximum over some dimensions."""
    dimensions = call.tensor.dim()
    given = call.argument(1)
    over = set(range(dimensions)) if given in (None, []) else {axis % dimensions for axis in _numbers(given)}
    keep = call.output.dim() == dimensions
    if set(call.trail.axes) <= over:
        return _everything(call, keep=keep)
    if over & set(call.trail.axes):
        raise NotUnderstoodError
    return replace(call.trail, axes=call.trail.axes if keep else _without(call.trail.axes, over))


def _everything(call: Call, *, keep: bool) -> Trail:
    """The whole map in one place: global pooling."""
    axes = call.trail.axes if keep else (-1, -1)
    if min(call.trail.axes) < 0:  # of a map that is one place already
        return replace(call.trail, axes=axes)
    whole = once((*call.trail.whole, call.layer))
    if call.ignore_global:
        return replace(call.trail, products=(), axes=axes, whole=whole, stride=(math.inf, math.inf))
    gathered = _mapped(call.trail, lambda support, _: _all_together(support, 1))
    sides = [float(call.tensor.shape[axis]) for axis in call.trail.axes]
    return replace(_apart(gathered, sides), axes=axes, whole=whole)


def _all_together(support: Bools, outputs: int) -> Bools:
    """Lets each of some outputs see what any input sees."""
    seen = np.empty((outputs, support.shape[1]), dtype=np.bool_)
    seen[:] = support.any(axis=0)
    return seen


def _group_norm(call: Call) -> Trail:
    """Normalises by the mean and variance of the whole map."""
    whole = once((*call.trail.whole, call.layer))
    if call.ignore_global:
        return replace(call.trail, whole=whole)
    seen = _mapped(call.trail, lambda support, _: _all_together(support, len(support)))
    return replace(seen, whole=whole)


def _layer_norm(call: Call) -> Trail:
    first = call.tensor.dim() - len(call.argument(1))
    return _group_norm(call) if any(axis >= first for axis in call.trail.axes) else call.trail


def _batch_norm(call: Call) -> Trail:
    if call.argument(5) is True:
        return _group_norm(call)
    return call.trail


def _concatenation(call: Call) -> Trail:
    dimension = int(call.argument(1, 0)) % call.output.dim()
    axes = call.trail.axes
    if dimension in axes or any(trail.axes != axes for _, trail in call.operands):
        raise NotUnderstoodError
    return merged([trail for _, trail in call.operands], axes)


def _permutation(call: Call) -> Trail:
    order = [int(axis) % call.tensor.dim() for axis in call.argument(1)]
    return replace(call.trail, axes=_renamed(call.trail.axes, order.index))


def _transposition(call: Call) -> Trail:
    dimensions = call.tensor.dim()
    a, b = (int(call.argument(place)) % dimensions for place in (1, 2))
    swapped = {a: b, b: a}
    return replace(call.trail, axes=_renamed(call.trail.axes, lambda axis: swapped.get(axis, axis)))


def _renamed(axes: Axes, new: Callable[[int], int]) -> Axes:
    rows, columns = (new(axis) if axis >= 0 else -1 for axis in axes)
    return rows, columns


def _reshape(call: Call) -> Trail:
    """Understood where rows and columns stay side by side, lie along one axis, come apart again, or are gone."""
    trail, before, after = call.trail, tuple(call.tensor.shape), tuple(call.output.shape)
    if trail.axes == (-1, -1) or after == before:
        return trail
    first, second = trail.axes
    grid = trail.folded or (before[first], before[second])
    if trail.folded is None and (second != first + 1 or first < 0):
        raise NotUnderstoodError
    if grid == (1, 1):
        return replace(trail, axes=(-1, -1), folded=None)
    for place in range(len(after)):
        if math.prod(after[:place]) == math.prod(before[:first]):
            if after[place : place + 2] == grid:
                return replace(trail, axes=(place, place + 1), folded=None)
            if after[place] == math.prod(grid):
                return replace(trail, axes=(place, place), folded=grid)
    raise NotUnderstoodError


def _new_dimension(call: Call) -> Trail:
    place = int(call.argument(1)) % call.output.dim()
    return replace(call.trail, axes=_renamed(call.trail.axes, lambda axis: axis + (axis >= place)))


def _squeeze(call: Call) -> Trail:
    given = call.argument(1)
    shape = call.tensor.shape
    over = range(len(shape)) if given is None else [axis % len(shape) for axis in _numbers(given)]
    gone = {axis for axis in over if shape[axis] == 1}
    if gone & set(call.trail.axes) and not set(call.trail.axes) <= gone:
        raise NotUnderstoodError
    return replace(call.trail, axes=_without(call.trail.axes, gone))


def _without(axes: Axes, gone: set[int]) -> Axes:
    rows, columns = (-1 if axis in gone or axis < 0 else axis - sum(g < axis for g in gone) for axis in axes)
    return rows, columns


def _slice(call: Call) -> Trail:
    dimension = int(call.argument(1, 0)) % call.tensor.dim()
    length = call.tensor.shape[dimension]
    kept = np.arange(length)[slice(call.argument(2), call.argument(3), call.argument(4, 1))]
    steps = [float(call.argument(4, 1)) if axis == dimension else 1.0 for axis in call.trail.axes]
    return _apart(_picked_along(call, dimension, kept), steps)


def _padding(call: Call) -> Trail:
    pads = call.argument(1)
    trail = call.trail
    for place in range(len(pads) // 2):
        dimension, (before, after) = call.tensor.dim() - 1 - place, pads[2 * place : 2 * place + 2]
        if dimension in trail.axes:
            length = call.tensor.shape[dimension]
            sources = np.arange(-before, length + after)
            sources[(sources < 0) | (sources >= length)] = -1
            trail = _picked_along(replace(call, operands=((call.tensor, trail),)), dimension, sources)
    return trail


def _picked_along(call: Call, dimension: int, sources: Ints) -> Trail:
    if dimension not in call.trail.axes:
        return call.trail
    which = call.trail.axes.index(dimension)
    return _mapped(call.trail, lambda support, axis: picked(support, sources) if axis == which else support)


def _parts(call: Call) -> Trail:
    """A split of the channels."""
    if call.output.shape[call.trail.axes[0]] != call.tensor.shape[call.trail.axes[0]]:
        raise NotUnderstoodError
    if call.output.shape[call.trail.axes[1]] != call.tensor.shape[call.trail.axes[1]]:
        raise NotUnderstoodError
    return call.trail


def _vector(call: Call) -> Trail:
    """A fully connected layer: of a vector, or of the last dimension, which is no axis."""
    if call.trail.axes == (-1, -1) or call.tensor.dim() - 1 not in call.trail.axes:
        return replace(call.trail)
    raise NotUnderstoodError


def _vector_product(call: Call) -> Trail:
    """A product of matrices: of vectors, or of the channels at each place of a map with weights."""
    if call.trail.folded and len(call.operands) == 1 and call.trail.axes == (0, 0):
        return call.trail
    if any(trail.axes != (-1, -1) for _, trail in call.operands):
        raise NotUnderstoodError
    return merged([trail for _, trail in call.operands], (-1, -1))


def _numbers(given: Any) -> list[int]:
    return [given] if isinstance(given, int) else list(given)


_ARITHMETIC = ("add", "addcmul", "div", "mul", "neg", "reciprocal", "rsub", "sub", "where")
_FUNCTIONS = ("abs", "exp", "log", "maximum", "minimum", "pow", "rsqrt", "softplus", "sqrt", "square", "tanh")
_LIMITS = ("clamp", "clamp_max", "clamp_min", "hardtanh", "threshold")
_ACTIVATIONS = ("elu", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "mish", "relu", "relu6", "sigmoid", "silu")
_COPIES = ("alias", "clone", "contiguous", "copy", "detach", "dropout", "expand", "lift_fresh", "native_dropout", "to")
_POINTWISE = frozenset((*_ARITHMETIC, *_FUNCTIONS, *_LIMITS, *_ACTIVATIONS, *_COPIES, "_to_copy"))

_OF_FOLDED = frozenset(("view", "_unsafe_view", "reshape", "transpose", "permute", "mm", "addmm"))
"""What keeps a map understood whose places lie along one axis: what fully connected layers do to its channels."""

_RULES: dict[str, Callable[[Call], Trail]] = {
    "convolution": _convolution,
    "conv2d": _convolution,
    "max_pool2d_with_indices": _max_pooling,
    "max_pool2d": _max_pooling,
    "avg_pool2d": _average_pooling,
    "upsample_nearest2d": _nearest,
    "upsample_bilinear2d": _bilinear,
    "_adaptive_avg_pool2d": _adaptive_pooling,
    "adaptive_avg_pool2d": _adaptive_pooling,
    "adaptive_max_pool2d": _adaptive_pooling,
    "mean": _reduction,
    "sum": _reduction,
    "amax": _reduction,
    "var_mean": _reduction,
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_batch_norm_impl_index": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "cat": _concatenation,
    "permute": _permutation,
    "transpose": _transposition,
    "view": _reshape,
    "_unsafe_view": _reshape,
    "reshape": _reshape,
    "unsqueeze": _new_dimension,
    "squeeze": _squeeze,
    "slice": _slice,
    "constant_pad_nd": _padding,
    "split": _parts,
    "split_with_sizes": _parts,
    "chunk": _parts,
    "linear": _vector,
    "addmm": _vector_product,
    "mm": _vector_product,
}
