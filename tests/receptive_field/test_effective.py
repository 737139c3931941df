"""Effective fields: equal to what can be reckoned, inside the theoretical ones, and measured once."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer.backbones.specs import VARIANTS
from explorer.backbones.vovnet import VoVNet
from explorer.receptive_field import effective
from explorer.receptive_field.effective import (
    GATES,
    EffectiveField,
    cached_effective_fields,
    effective_fields,
    fingerprint,
    random_inputs,
)
from explorer.receptive_field.theoretical import theoretical_fields
from explorer.receptive_field.units import apart

THIN = {"stem_channels": (4, 4, 4), "stage_conv_channels": (4, 4, 4, 4), "stage_out_channels": (6, 6, 6, 6)}


def thin(ese: str = "all") -> VoVNet:
    torch.manual_seed(0)
    return VoVNet(replace(VARIANTS["V-19-eSE"], ese=ese, **THIN), out_features=["stage2", "stage3"])


def test_the_energy_of_a_convolution_is_that_of_its_weights() -> None:
    net = nn.Conv2d(3, 1, 3, padding=1)
    field = effective_fields(net, [""], random_inputs(2, (9, 9)))[""]
    expected = np.zeros((9, 9))
    expected[3:6, 3:6] = net.weight.detach().double().square().sum(dim=(0, 1)).numpy()
    np.testing.assert_allclose(field.energy, expected / expected.sum(), rtol=1e-6)
    assert (field.unit, field.grid, field.inputs) == ((4, 4), (9, 9), 2)


def test_channels_count_alike_on_average() -> None:
    torch.manual_seed(0)
    net = nn.Conv2d(3, 16, 3, padding=1)
    field = effective_fields(net, [""], random_inputs(4000, (5, 5), batch=1000))[""]
    expected = net.weight.detach().double().square().sum(dim=(0, 1)).numpy()
    np.testing.assert_allclose(field.energy[1:4, 1:4], expected / expected.sum(), rtol=0.1)


def test_the_effective_field_lies_inside_the_theoretical_one() -> None:
    layers = ["stage2.OSA2_1.layers.0", "stage2", "stage3"]
    measured = effective_fields(thin("none"), layers, random_inputs(2, (128, 96), batch=1))
    fields = theoretical_fields(thin("none"), (128, 96))
    for layer, spot in measured.items():
        inside = fields[layer].mask(*spot.unit)
        assert spot.energy[~inside].sum() == 0
        assert 0 < spot.area_px() <= inside.sum()


def test_without_gates_it_is_the_network_without_them() -> None:
    gated, plain = thin("all"), thin("none")
    plain.load_state_dict(gated.state_dict(), strict=False)
    batches = random_inputs(2, (96, 96))
    without = effective_fields(gated, ["stage3"], batches, gates=False)["stage3"]
    expected = effective_fields(plain, ["stage3"], batches)["stage3"]
    np.testing.assert_allclose(without.energy, expected.energy, atol=1e-12)
    through_gates = effective_fields(gated, ["stage3"], batches)["stage3"]
    assert (through_gates.energy > 0).mean() > 0.99 > (without.energy > 0).mean()


@pytest.mark.parametrize(
    "name", ["hgnet_tiny", "ecaresnet26t", "mobilenetv3_small_050", "seresnet18", "ese_vovnet19b_dw"]
)
def test_what_looks_at_the_whole_map_in_timms_networks_is_a_gate(name: str) -> None:
    timm = pytest.importorskip("timm")
    net = timm.create_model(name, features_only=True)
    fields = theoretical_fields(net, (64, 64)).values()
    layers = {layer for field in fields for layer in field.whole}
    assert layers
    for layer in layers:
        parts = layer.split(".")
        above = (net.get_submodule(".".join(parts[:end])) for end in range(1, len(parts) + 1))
        assert any(type(module).__name__ in GATES for module in above), layer


def test_the_model_is_left_as_it_was() -> None:
    net = thin().train()
    next(net.parameters()).requires_grad_(False)
    modes = [module.training for module in net.modules()]
    learning = [parameter.requires_grad for parameter in net.parameters()]
    effective_fields(net, ["stage2"], random_inputs(1, (64, 64)), gates=False)
    with pytest.raises(ValueError, match="no layer 'stage9' with a map"):
        effective_fields(net, ["stage9"], random_inputs(1, (64, 64)))
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == learning
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_outputs_of_the_model_are_layers_too() -> None:
    measured = effective_fields(thin(), ["stage2", "stage3"], random_inputs(1, (64, 64)))
    assert measured["stage3"].grid == (8, 8)


def test_area_and_radius_of_a_gaussian() -> None:
    y, x = np.mgrid[:201, :201] + 0.5
    energy = np.exp(-((x - 110) ** 2 + (y - 90) ** 2) / (2 * 12**2))
    field = EffectiveField("spot", energy / energy.sum(), (0, 0), (1, 1), 1)
    assert field.center_yx == pytest.approx((90, 110), abs=0.01)
    assert field.gaussian_radius_px == pytest.approx(24, rel=0.02)
    assert field.area_px(0.95) == pytest.approx(-2 * np.pi * 12**2 * np.log(0.05), rel=0.01)
    assert field.area_px(0.5) == pytest.approx(2 * np.pi * 12**2 * np.log(2), rel=0.01)
    assert field.side_px() ** 2 == pytest.approx(field.area_px())
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        field.area_px(95)


def test_without_gradient_there_is_no_area() -> None:
    class Constant(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * 0

    field = effective_fields(Constant(), [""], random_inputs(1, (4, 4)))[""]
    assert field.area_px() == 0
    assert np.isnan(field.gaussian_radius_px)


def test_no_inputs_and_inputs_of_several_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="no inputs"):
        effective_fields(thin(), ["stage2"], [])
    with pytest.raises(ValueError, match="give one size"):
        effective_fields(thin(), ["stage2"], [*random_inputs(1, (64, 64)), *random_inputs(1, (32, 32))])


def test_what_was_measured_is_read_and_what_is_broken_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, int]] = []
    settings = {"inputs": 2, "size": (64, 64), "folder": tmp_path, "narrower_than": 0.2}
    first = cached_effective_fields(thin(), ["stage2"], progress=lambda *step: steps.append(step), **settings)
    assert steps == [(2, 2)]
    (file,) = tmp_path.iterdir()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    with monkeypatch.context() as patch:
        patch.setattr(effective, "effective_fields", refuse)
        again = cached_effective_fields(thin(), ["stage2"], **settings)
        np.testing.assert_array_equal(again["stage2"].energy, first["stage2"].energy)
        kept, made = (vars(one["stage2"]) | {"energy": None} for one in (again, first))
        assert kept == made
        for changed in ({"gates": False}, {"seed": 1}, {"inputs": 3}, {"size": (32, 32)}, {"narrower_than": 0.1}):
            with pytest.raises(AssertionError):
                cached_effective_fields(thin(), ["stage2"], **settings | changed)
    for content in (b"", b"PK\x03\x04", np.array([{"a": 1}], dtype=object).dumps()):
        file.write_bytes(content)
        assert cached_effective_fields(thin(), ["stage2"], **settings)["stage2"].inputs == 2


def test_the_fingerprint_is_of_structure_and_weights() -> None:
    assert fingerprint(thin()) == fingerprint(thin())
    other = thin()
    with torch.no_grad():
        next(other.parameters())[0, 0, 0, 0] += 1
    assert fingerprint(other) != fingerprint(thin())
    assert fingerprint(thin("none")) != fingerprint(thin())


class Pyramid(nn.Module):
    """A map, every second place of it, and another map: of p5, p6 and p4's kind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(6, 6, 5, padding=2))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        first = self.first(image)
        second = self.second(first)
        return {"p4": first, "p5": second, "p6": nn.functional.max_pool2d(second, 1, 2)}


def straightforward(model: nn.Module, layer: str, inputs: list[Tensor], signs: list[Tensor]) -> np.ndarray:
    """The energy of the middle unit: for each input a pass of its own, forwards and all the way back."""
    energy = np.zeros(inputs[0].shape[-2:])
    for batch, own in zip(inputs, signs, strict=True):
        image = batch.clone().requires_grad_()
        given = model(image)[layer]
        (given[:, :, given.shape[2] // 2, given.shape[3] // 2] * own).sum().backward()
        assert image.grad is not None
        energy += image.grad.double().square().sum(dim=(0, 1)).numpy()
    return energy / energy.sum()


def test_a_copy_of_a_unit_is_not_followed_back_again(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[object] = []
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *given, **named: passes.append(given) or grad(*given, **named))
    measured = effective_fields(Pyramid(), ["p4", "p5", "p6"], random_inputs(60, (32, 32)))
    assert len(passes) == 2 * 15
    np.testing.assert_array_equal(measured["p6"].energy, measured["p5"].energy)
    assert (measured["p5"].unit, measured["p6"].unit) == ((8, 8), (4, 4))


def test_a_layer_alone_or_kept_from_before_is_what_it_is_beside_others(tmp_path: Path) -> None:
    settings = {"inputs": 6, "size": (32, 32), "batch": 1, "narrower_than": 0.1}
    layers = ["p4", "p5", "p6"]
    together = cached_effective_fields(Pyramid(), layers, folder=tmp_path / "together", **settings)
    for layer in layers[::-1]:
        cached_effective_fields(Pyramid(), [layer], folder=tmp_path / "alone", **settings)
    for layer, field in cached_effective_fields(Pyramid(), layers, folder=tmp_path / "alone", **settings).items():
        assert field.units == together[layer].units > 1
        np.testing.assert_allclose(field.energy, together[layer].energy, rtol=1e-6, atol=1e-12)


def test_a_model_on_another_device_gets_its_inputs_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of `meta` have shapes and no values, and mix with the CPU's as little as a GPU's do."""
    copied: list[torch.device] = []

    def cpu(tensor: Tensor) -> Tensor:
        copied.append(tensor.device)
        return torch.ones(tensor.shape)

    monkeypatch.setattr(Tensor, "cpu", cpu)
    field = effective_fields(thin().to("meta"), ["stage2"], random_inputs(1, (96, 96)), narrower_than=0.1)["stage2"]
    assert {device.type for device in copied} == {"meta"}
    assert (field.grid, field.units) == ((24, 24), 4)


def signs_of(channels: int, number: int) -> list[Tensor]:
    """The signs of one layer's middle unit, input by input."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 2, (1, channels, 1, 1), generator=generator)[:, :, 0, 0] * 2 - 1 for _ in range(number)]


def test_a_layer_gets_no_more_inputs_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effective, "theoretical_fields", lambda *_, **__: {})  # so that one unit is followed at a time
    monkeypatch.setattr(effective, "_number_format", lambda _: nullcontext())
    layers, steps = ["p4", "p5"], []
    inputs = random_inputs(40, (32, 32), batch=1)
    measured = effective_fields(Pyramid(), layers, inputs, narrower_than=0.1, progress=lambda *step: steps.append(step))
    assert 4 <= min(spot.inputs for spot in measured.values()) < 40
    assert steps[-1] == (max(spot.inputs for spot in measured.values()), 40)
    for layer, spot in measured.items():
        expected = straightforward(Pyramid(), layer, inputs[: spot.inputs], signs_of(6, spot.inputs))
        np.testing.assert_allclose(spot.energy, expected, rtol=1e-4, atol=1e-9)


def test_units_whose_fields_do_not_overlap_are_measured_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each unit's energy is what a pass of its own gives, at the place of the unit in the middle."""
    monkeypatch.setattr(effective, "_number_format", lambda _: nullcontext())
    net, inputs = thin("none"), random_inputs(2, (128, 96), batch=1)
    passes: list[Tensor] = []
    grad = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda total, *given, **named: passes.append(total) or grad(total, *given, **named)
    )
    measured = effective_fields(net, ["stage2"], inputs, narrower_than=1e-9)["stage2"]
    field = theoretical_fields(net, ignore_global=True)["stage2"]
    units = apart(field, measured.grid, (128, 96))
    assert units is not None
    assert units.window == (40, 40)  # fields of 35 px lie a little beside their units, which are 4 px apart
    assert (len(units.rows), len(units.columns)) == (3, 2)
    assert len(passes) == 2
    assert (measured.units, measured.unit) == (12, (16, 12))
    generator = torch.Generator().manual_seed(0)
    expected = np.zeros((128, 96))
    net.eval()
    for batch in inputs:
        signs = torch.randint(0, 2, (1, 6, 3, 2), generator=generator) * 2 - 1
        for row, column in product(range(3), range(2)):
            image = batch.clone().requires_grad_()
            y, x = units.rows[row], units.columns[column]
            (alone,) = grad((net(image)["stage2"][:, :, y, x] * signs[:, :, row, column]).sum(), image)
            energy = alone.double().square().sum(dim=(0, 1)).numpy()
            expected += np.roll(energy, (4 * (16 - y), 4 * (12 - x)), axis=(0, 1))
    np.testing.assert_allclose(measured.energy, expected / expected.sum(), rtol=1e-3, atol=1e-9)


@pytest.mark.slow
def test_the_quick_way_costs_less_than_2_percent_of_the_side() -> None:
    torch.manual_seed(0)
    net = VoVNet("V-19-slim-eSE", out_features=["stage2", "stage3", "stage4"])
    layers = ["stage2", "stage3", "stage4"]
    plain = effective_fields(net, layers, random_inputs(16, (320, 320), batch=1))
    quick = effective_fields(net, layers, random_inputs(16, (320, 320), batch=1), narrower_than=0.03)
    for layer, spot in quick.items():
        assert spot.side_px() == pytest.approx(plain[layer].side_px(), rel=0.02)
        assert spot.inputs <= 16 < spot.units


@pytest.mark.slow
def test_v_39_over_32_inputs_takes_two_minutes_of_one_core() -> None:
    net = VoVNet("V-39-eSE", out_features=["stage5"])
    start = time.process_time()
    effective_fields(net, ["stage4"], random_inputs(32, (512, 512)))
    assert time.process_time() - start < 120  # a minute on two cores


def test_one_of_several_maps_that_a_module_gives_is_a_layer() -> None:
    net = nn.Sequential(nn.Identity(), thin("none"))
    by_key, by_module = (
        effective_fields(net, [layer], random_inputs(2, (64, 64)))[layer] for layer in ("1[stage2]", "1.stage2")
    )
    np.testing.assert_array_equal(by_key.energy, by_module.energy)
