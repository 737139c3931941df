"""Effective receptive fields: how much each pixel matters to a unit, measured by gradients.

A unit's theoretical field says which pixels can change it; most of them hardly do. Over many inputs, the squared
gradient of the unit in the middle with respect to the input is summed up: its *energy* by pixel. It lies in a spot far
smaller than the theoretical field, close to a Gaussian.

All channels of the unit count alike: each input's gradient is that of a sum over channels with random signs, whose
expected square is the sum of the channels' squares. Several units far apart are measured in one pass (see `units`).

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
from explorer.receptive_field.theoretical import ReceptiveField, device_of, theoretical_fields
from explorer.receptive_field.units import Units, apart, middle_alone, nearly_apart
from explorer.types import Floats, Progress
from explorer.writing import replacing
from explorer.zoo.downloads import cache_dir

GATES = ("ESE", "EseModule", "SqueezeExcite", "EffectiveSEModule", "SEModule", "SqueezeExcitation", "EcaModule")
"""Names of the classes whose gates `gates=False` leaves out."""

_VERSION = 5  # of the measurement; one that gives other figures has another


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How much each pixel matters to the unit in the middle of a layer's map.

    Attributes:
        layer: its name.
        energy: `(height, width)` float64, shares of the whole, summing to 1; zeros where no gradient arrives.
        unit: `(row, column)` of the unit.
        grid: `(rows, columns)` of the map.
        inputs: number of inputs that it was measured on.
        units: number of units that were measured on them, all put where the one in the middle is.
        shortfall: how far the side falls short of what more units would give, as a share of it (see `EnergySum`); 0
            where it is not estimated: for a single unit, and without `narrower_than`.
    """

    layer: str
    energy: Floats
    unit: tuple[int, int]
    grid: tuple[int, int]
    inputs: int
    units: int = 1
    shortfall: float = 0.0

    def area_px(self, share: float = SHARE) -> int:
        """Number of pixels, the brightest ones, that hold `share` of the energy.

        Raises:
            ValueError: the share is not above 0 and at most 1.
        """
        return area_px(self.energy, share)

    def side_px(self, share: float = SHARE) -> float:
        """Side of the square as large as `area_px`, without its shortfall: what to hold against an object's size."""
        return math.sqrt(self.area_px(share)) * (1 + self.shortfall)

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
    """Measures the effective receptive fields of the middle units of layers, by gradients on random inputs.

    The model is used in evaluation mode, on its own device, and is not changed. Squeeze-excitation and normalisation by
    statistics of the whole map give distant pixels a small influence. A layer's field does not depend on the other
    layers that are measured with it: where the units of two layers in a pass have the same values, as those of an FPN's
    `p6` that subsamples `p5` can have, both get the same energy from one backward pass.

    Args:
        model: a network that takes a batch `(n, 3, height, width)`: a backbone, with or without FPN.
        layers: dotted names of modules, `name[key]` for one of several outputs of a module, or keys of the model's
            output such as `p2`.
        inputs: batches of normalised images, all of one size.
        gates: whether squeeze-excitation is active; otherwise it is left out.
        seed: random seed of the signs of the gradients, which are the same for layers of equally many channels.
        narrower_than: enables the faster method. A layer gets no more inputs once the 95 % interval of its side is
            narrower than this share of the side, such as 0.03; each pass measures several units that are far enough
            apart; sides are corrected for the few inputs; and the network computes in bfloat16 if the processor
            supports it. None measures only the middle unit, on all inputs, in float32.
        progress: called after each batch with the number of inputs done and the total, which is 0 if it is not known.

    Returns:
        By layer, the energy of the gradient by pixel of the input.

    Raises:
        ValueError: there are no inputs, they have several sizes, or a layer does not exist.

    Source: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NeurIPS
    2016 (arXiv 1701.04128).
    """
    total = sum(len(batch) for batch in inputs) if isinstance(inputs, Sequence) else 0
    quick = narrower_than is not None
    theory = theoretical_fields(model, ignore_global=True) if quick else {}
    spots = {
        layer: Spot(layer, theory.get(layer), torch.Generator().manual_seed(seed), narrower_than) for layer in layers
    }
    done, size = 0, None
    with prepared(model, gates), outputs_of(model, layers) as found, _number_format(quick):
        for batch in inputs:
            wanted = [spot for spot in spots.values() if not spot.energy.is_settled]
            if not wanted:
                break
            if size not in (None, (size := batch.shape[-2:])):
                raise ValueError(f"inputs are of {tuple(size)} px and of other sizes; give one size")
            _follow_back(model, batch, wanted, found)
            done += len(batch)
            if progress:
                progress(done, total)
    if not done:
        raise ValueError("there are no inputs to measure on")
    return {layer: spot.field() for layer, spot in spots.items()}


def random_inputs(number: int, size: tuple[int, int], *, batch: int = 4, seed: int = 0) -> list[Tensor]:
    """Makes batches of Gaussian noise with the mean and variance of normalised images.

    Args:
        number: number of images in all batches together.
        size: `(height, width)` of the images in pixels.
        batch: maximum number of images in a batch.
        seed: random seed.

    Returns:
        Batches `(n, 3, height, width)`, float32.
    """
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


class Spot:
    """The energy of one layer while it is measured, and the units that it is measured at.

    Args:
        layer: its name.
        theory: its theoretical field; None to measure the unit in the middle alone.
        generator: of the random signs.
        narrower_than: see `EnergySum`.
    """

    def __init__(
        self, layer: str, theory: ReceptiveField | None, generator: torch.Generator, narrower_than: float | None
    ) -> None:
        self.layer, self.energy = layer, EnergySum(narrower_than)
        self._theory, self._generator = theory, generator
        self._units: Units | None = None
        self._inputs = 0

    def chosen(self, values: Tensor, image: Tensor) -> Tensor:
        """The values `(n, channels, rows, columns)` of the units that are measured next, of a layer's map."""
        if self._units is None:
            where = (values.shape[2], values.shape[3]), (image.shape[2], image.shape[3])
            spread = apart(self._theory, *where) if self._theory else None
            self._units = spread or middle_alone(*where)
        rows, columns = (torch.tensor(places) for places in (self._units.rows, self._units.columns))
        return values[:, :, rows[:, None], columns]

    def signed(self, values: Tensor) -> Tensor:
        """The sum of the chosen values with random signs."""
        signs = torch.randint(0, 2, values.shape, generator=self._generator).to(values) * 2 - 1
        return (values * signs).sum()

    def add(self, energy: Floats) -> None:
        """Adds the energy `(n, height, width)` of a pass."""
        assert self._units is not None
        self._inputs += len(energy)
        self.energy.add(self._units.windows(energy))
        if self._theory and self._units.window is None and self.energy.total is not None:
            first, self._theory = self._theory, None  # asked once
            spread = nearly_apart(first, self._units.grid, self._units.input_size, self.energy.total)
            if spread:
                self._units = spread
                self.energy.replace(spread.alone().windows(energy))

    def field(self) -> EffectiveField:
        """What was measured."""
        units, total = self._units, self.energy.total
        assert units is not None
        assert total is not None
        shares = units.put_back(total / max(total.sum(), np.finfo(np.float64).tiny))
        measured = self._inputs, self.energy.units, self.energy.shortfall
        return EffectiveField(self.layer, shares, units.middle, units.grid, *measured)


def _follow_back(model: nn.Module, batch: Tensor, wanted: Sequence[Spot], found: dict[str, Tensor]) -> None:
    """Adds the energy of one batch to each wanted layer's."""
    image = batch.detach().to(device_of(model, batch.device)).clone(memory_format=torch.channels_last).requires_grad_()
    found.clear()
    result = model(image)
    if isinstance(result, Mapping):
        found.update(result)
    known: list[tuple[Tensor, Floats]] = []
    for spot in wanted:
        if spot.layer not in found:
            names = ", ".join(sorted(found)) or "none"
            raise ValueError(f"there is no layer {spot.layer!r} with a map; there are {names}")
        values = spot.chosen(found[spot.layer], image)
        total = spot.signed(values)  # drawn for copies too, which may be followed by themselves in the next pass
        energy = next((own for theirs, own in known if theirs.equal(values) and theirs.any()), None)
        if energy is None:
            (gradient,) = torch.autograd.grad(total, image, retain_graph=True)
            energy = gradient.cpu().double().square().sum(dim=1).numpy()
        known.append((values, energy))
        spot.add(energy)
    found.clear()


@contextmanager
def _number_format(quick: bool) -> Iterator[None]:
    """bfloat16 inside the block where that is quick: with instructions for it, twice as fast, to 0.2 % of a side."""
    with torch.autocast("cpu", torch.bfloat16, enabled=quick and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        yield


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
            energy, shortfall = kept["energy"].astype(np.float64), float(kept["shortfall"])
        return EffectiveField(
            layer, energy, (places[0], places[1]), (places[2], places[3]), places[4], places[5], shortfall
        )
    except (OSError, ValueError, KeyError, IndexError, EOFError, AttributeError, zipfile.BadZipFile):
        return None


def _write(path: Path, field: EffectiveField) -> None:
    with replacing(path) as scratch:
        places = np.array([*field.unit, *field.grid, field.inputs, field.units])
        np.savez_compressed(scratch, energy=field.energy, places=places, shortfall=field.shortfall)
