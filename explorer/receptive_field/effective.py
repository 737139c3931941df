"""Effective receptive fields: how much each pixel matters to a unit, measured by gradients.

A unit's theoretical field says which pixels can change it; most of them hardly do. Over many inputs, the squared
gradient of the unit in the middle with respect to the input is summed up: its *energy* by pixel. It lies in a spot far
smaller than the theoretical field, close to a Gaussian.

All channels of the unit count alike: each input's gradient is that of a sum over channels with random signs, whose
expected square is the sum of the channels' squares.

Source: W. Luo, Y. Li, R. Urtasun, R. Zemel: Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks. NeurIPS 2016.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explorer.receptive_field.energy import SHARE, EnergySum, area_px
from explorer.types import Floats, Progress
from explorer.writing import replacing
from explorer.zoo.downloads import cache_dir

GATES = ("ESE", "SqueezeExcite", "EffectiveSEModule", "SEModule", "SqueezeExcitation")
"""Names of the classes whose gates `gates=False` leaves out."""

Place = tuple[int, int]

_VERSION = 2  # of the measurement; one that gives other figures has another


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How much each pixel matters to the unit in the middle of a layer's map.

    Attributes:
        layer: its name.
        energy: `(height, width)` float64, shares of the whole, summing to 1; zeros where no gradient arrives.
        unit: `(row, column)` of the unit.
        grid: `(rows, columns)` of the map.
        inputs: number of inputs that it was measured on.
    """

    layer: str
    energy: Floats
    unit: tuple[int, int]
    grid: tuple[int, int]
    inputs: int

    def area_px(self, share: float = SHARE) -> int:
        """Number of pixels, the brightest ones, that hold `share` of the energy.

        Raises:
            ValueError: the share is not above 0 and at most 1.
        """
        return area_px(self.energy, share)

    def side_px(self, share: float = SHARE) -> float:
        """Side of the square as large as `area_px`: what to hold against an object's size."""
        return math.sqrt(self.area_px(share))

    @cached_property
    def center_yx(self) -> tuple[float, float]:
        """Middle of the energy in pixels; NaN without energy."""
        if not self.energy.any():
            return math.nan, math.nan
        rows, columns = (np.arange(length) + 0.5 for length in self.energy.shape)
        return float(self.energy.sum(axis=1) @ rows), float(self.energy.sum(axis=0) @ columns)

    @cached_property
    def gaussian_radius_px(self) -> float:
        """Two standard deviations of the round Gaussian that fits the energy best, by distance from its middle.

        NaN without energy, or where the fit fails.
        """
        from scipy.optimize import curve_fit

        if not self.energy.any():
            return math.nan
        middle = self.center_yx
        rows, columns = (np.arange(length) + 0.5 - c for length, c in zip(self.energy.shape, middle, strict=True))
        distance = np.hypot(rows[:, None], columns[None, :])
        rings = distance.astype(np.int64)
        pixels = np.bincount(rings.ravel())
        mean = np.bincount(rings.ravel(), self.energy.ravel()) / np.maximum(pixels, 1)
        radius = np.bincount(rings.ravel(), distance.ravel()) / np.maximum(pixels, 1)
        spread = math.sqrt(float((self.energy * distance**2).sum()) / 2)
        try:
            (_, sigma), _ = curve_fit(
                lambda r, height, width: height * np.exp(-(r**2) / (2 * width**2)),
                radius,
                mean / mean.max(),
                p0=(1.0, max(spread, 0.5)),
                sigma=1 / np.sqrt(np.maximum(pixels, 1)),
            )
        except RuntimeError:
            return math.nan
        return 2 * abs(float(sigma))


def effective_fields(
    model: nn.Module,
    layers: Sequence[str],
    inputs: Iterable[Tensor],
    *,
    gates: bool = True,
    seed: int = 0,
    narrower_than: float | None = None,
    progress: Progress | None = None,
) -> dict[str, EffectiveField]:
    """Measures the effective fields of some layers' middle units.

    The model is used as it is, in evaluation mode, and left as it was. Normalisation by the statistics of the whole
    map, and gates, let far pixels matter a little. A unit that copies another, as p6's does in an FPN whose p6 is
    every second place of p5, is not followed back a second time.

    Args:
        model: what takes a batch `(n, 3, height, width)`: a backbone, with or without FPN.
        layers: dotted names of modules, `name[key]` for one map of several that a module gives, or keys of the model's
            output such as `p2`.
        inputs: batches of one size, as the network takes them (normalised).
        gates: whether squeeze-excitation works; without it, it is left out.
        seed: of the random signs.
        narrower_than: a layer gets no more inputs once the 95 % interval of its side is narrower than this share of
            the side, as in 0.03, and the side falls short by less than half of that (see `EnergySum`). None for all.
        progress: called after each batch, with the number of inputs; the number in all is 0 where it is not known.

    Raises:
        ValueError: there are no inputs, or of several sizes, or no such layer.
    """
    total = sum(len(batch) for batch in inputs) if isinstance(inputs, Sequence) else 0
    generator = torch.Generator().manual_seed(seed)
    sums = {layer: EnergySum(narrower_than) for layer in layers}
    places: dict[str, tuple[Place, Place]] = {}
    done = 0
    with prepared(model, gates), outputs_of(model, layers) as found:
        for batch in inputs:
            wanted = [layer for layer, own in sums.items() if not own.is_settled]
            if not wanted:
                break
            followed = _followed_back(model, batch, layers, wanted, found, generator)
            for layer, (energy, unit, grid) in followed.items():
                sums[layer].add(energy, len(batch))
                places[layer] = unit, grid
            done += len(batch)
            if progress:
                progress(done, total)
    if not done:
        raise ValueError("there are no inputs to measure on")
    return {
        layer: EffectiveField(
            layer, own.total / max(own.total.sum(), np.finfo(np.float64).tiny), *places[layer], own.inputs
        )
        for layer, own in sums.items()
        if own.total is not None
    }


def random_inputs(number: int, size: tuple[int, int], *, batch: int = 4, seed: int = 0) -> list[Tensor]:
    """Makes batches of noise, normally distributed as normalised photographs are: `(n, 3, height, width)`."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(min(batch, number - start), 3, *size, generator=generator) for start in range(0, number, batch)]


def cached_effective_fields(
    model: nn.Module,
    layers: Sequence[str],
    *,
    inputs: int = 32,
    size: tuple[int, int] = (512, 512),
    batch: int = 4,
    gates: bool = True,
    seed: int = 0,
    narrower_than: float | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, EffectiveField]:
    """Measures on noise, or reads what was measured before for the same weights and settings.

    Args:
        model: as in `effective_fields`.
        layers: as in `effective_fields`.
        inputs: how many, at most.
        size: of the inputs.
        batch: inputs at a time.
        gates: see `effective_fields`.
        seed: of inputs and signs.
        narrower_than: as in `effective_fields`.
        folder: where measurements are kept; `receptive-fields` in the cache of downloads where None.
        progress: called after each batch.
    """
    root = folder or cache_dir() / "receptive-fields"
    settings = (inputs, *size, batch, gates, seed, narrower_than, _VERSION)
    key = hashlib.sha256(f"{fingerprint(model)} {settings}".encode()).hexdigest()[:32]
    known = {layer: read for layer in layers if (read := _read(root / f"{key}-{_safe(layer)}.npz", layer))}
    missing = [layer for layer in layers if layer not in known]
    if missing:
        batches = random_inputs(inputs, size, batch=batch, seed=seed)
        known |= effective_fields(
            model, missing, batches, gates=gates, seed=seed, narrower_than=narrower_than, progress=progress
        )
        for layer in missing:
            with suppress(OSError):  # a full disk or a read-only cache: it is measured all the same
                _write(root / f"{key}-{_safe(layer)}.npz", known[layer])
    return {layer: known[layer] for layer in layers}


def fingerprint(model: nn.Module) -> str:
    """A hash of a model's structure and weights."""
    digest = hashlib.sha256(str(model).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _followed_back(
    model: nn.Module,
    batch: Tensor,
    layers: Sequence[str],
    wanted: Sequence[str],
    found: dict[str, Tensor],
    generator: torch.Generator,
) -> dict[str, tuple[Floats, Place, Place]]:
    """The energy of one batch, the middle unit and the map's size, of each wanted layer."""
    image = batch.detach().clone().requires_grad_()
    found.clear()
    result = model(image)
    if isinstance(result, Mapping):
        found.update({key: value for key, value in result.items() if key in layers})
    followed: dict[str, tuple[Floats, Place, Place]] = {}
    known: dict[str, Tensor] = {}
    for layer in layers:
        values, unit, grid = _middle(found, layer)
        # drawn for all, so that a layer's signs do not depend on what else is wanted
        signs = torch.randint(0, 2, values.shape, generator=generator).to(values) * 2 - 1
        if layer not in wanted:
            continue
        twin = next((other for other, theirs in known.items() if theirs.equal(values) and theirs.any()), None)
        if twin is None:
            (gradient,) = torch.autograd.grad((values * signs).sum(), image, retain_graph=True)
            energy = gradient.double().square().sum(dim=(0, 1)).numpy()
        else:
            energy = followed[twin][0]
        known[layer], followed[layer] = values, (energy, unit, grid)
    found.clear()
    return followed


def _middle(found: Mapping[str, Tensor], layer: str) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
    """The values `(n, channels)` of the unit in the middle of a layer's map, its place, and the map's size."""
    if layer not in found:
        raise ValueError(f"there is no layer {layer!r} with a map; there are {', '.join(sorted(found)) or 'none'}")
    rows, columns = found[layer].shape[-2:]
    unit = rows // 2, columns // 2
    return found[layer][:, :, unit[0], unit[1]], unit, (rows, columns)


@contextmanager
def outputs_of(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Yields a mapping that holds what layers of these names gave last."""
    found: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        given = (
            {f"{name}[{key}]": part for key, part in output.items()} if isinstance(output, Mapping) else {name: output}
        )
        for label, tensor in given.items():
            if label in layers and isinstance(tensor, Tensor) and tensor.dim() == 4:
                # what is written to in place later has to stay what it was
                found[label] = tensor if isinstance(output, Mapping) else tensor.clone()

    with ExitStack() as handles:
        for name, module in model.named_modules():
            if name in layers or any(layer.startswith(f"{name}[") for layer in layers):
                handles.callback(module.register_forward_hook(partial(keep, name)).remove)
        yield found


@contextmanager
def prepared(model: nn.Module, gates: bool) -> Iterator[None]:
    """Puts the model into evaluation mode without gradients of its weights, and back after the block."""
    modes = [(module, module.training) for module in model.modules()]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with ExitStack() as handles, torch.enable_grad():
        model.eval()
        model.requires_grad_(False)
        if not gates:
            for module in model.modules():
                if type(module).__name__ in GATES:
                    handles.callback(module.register_forward_hook(lambda _m, given, _o: given[0]).remove)
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for parameter in learning:
                parameter.requires_grad_(True)


def _safe(layer: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in layer)


def _read(path: Path, layer: str) -> EffectiveField | None:
    """Reads a measurement; None where there is none or it is broken. Never runs code: pickled arrays are refused."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            places = kept["places"].tolist()
            energy = kept["energy"].astype(np.float64)
        return EffectiveField(layer, energy, (places[0], places[1]), (places[2], places[3]), places[4])
    except (OSError, ValueError, KeyError, IndexError, EOFError, AttributeError, zipfile.BadZipFile):
        return None


def _write(path: Path, field: EffectiveField) -> None:
    with replacing(path) as scratch:
        np.savez_compressed(scratch, energy=field.energy, places=np.array([*field.unit, *field.grid, field.inputs]))
