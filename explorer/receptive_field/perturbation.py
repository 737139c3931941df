"""Theoretical fields put to the test: change the pixels outside of one, and its unit must not notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.receptive_field.effective import outputs_of, prepared
from explorer.receptive_field.theoretical import ReceptiveField


@dataclass(frozen=True)
class Perturbation:
    """What one unit noticed when pixels were replaced by noise.

    Attributes:
        layer: its layer.
        unit: `(row, column)`.
        pixels_inside: size of its theoretical field in pixels.
        outside: largest change of any of its channels after every pixel outside of the field was replaced.
        edge: the same after only the outermost pixels of the field were replaced.
        inside: the same after all pixels of the field were replaced.
    """

    layer: str
    unit: tuple[int, int]
    pixels_inside: int
    outside: float
    edge: float
    inside: float


def perturb(
    model: nn.Module, field: ReceptiveField, image: Tensor, *, unit: tuple[int, int] | None = None, seed: int = 0
) -> Perturbation:
    """Measures how a unit reacts to changed pixels outside, at the edge of and inside its theoretical field.

    Squeeze-excitation is left out, as in a field with `ignore_global`. The model is not changed.

    Args:
        model: the network to which the field belongs.
        field: the theoretical field of one of its layers.
        image: normalised image `(1, channels, height, width)` of the size for which the field was computed.
        unit: `(row, column)` of the unit in the layer's map; None for the middle one.
        seed: random seed of the noise that replaces pixels.

    Raises:
        ValueError: the image has another size than the field's input, or the unit sees no pixel.
    """
    if tuple(image.shape[-2:]) != field.input_size:
        raise ValueError(
            f"the image has (height, width) {tuple(image.shape[-2:])}, the field's input {field.input_size}"
        )
    row, column = unit or (field.grid[0] // 2, field.grid[1] // 2)
    seen = torch.from_numpy(field.mask(row, column))
    box = field.box(row, column)
    if box is None:
        raise ValueError(f"unit ({row}, {column}) of {field.layer} sees no pixel")
    x1, y1, x2, y2 = box
    inner = torch.zeros_like(seen)
    inner[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = True
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)) * image.std() + image.mean()
    with prepared(model, gates=False), outputs_of(model, [field.layer]) as found, torch.no_grad():
        look = _looking(model, found, field.layer, (row, column))
        before = look(image)
        changes = [
            float((look(torch.where(chosen, noise, image)) - before).abs().max())
            for chosen in (~seen, seen & ~inner, seen)
        ]
    return Perturbation(field.layer, (row, column), int(seen.sum()), *changes)


def _looking(
    model: nn.Module, found: dict[str, Tensor], layer: str, unit: tuple[int, int]
) -> Callable[[Tensor], Tensor]:
    def look(image: Tensor) -> Tensor:
        result: Any = model(image)
        if layer not in found:
            found.update(result)
        values = found[layer][0, :, unit[0], unit[1]].clone()
        found.clear()
        return values

    return look
