"""Costs by stage: against a count by hand, fvcore and timm; time by a clock that ticks when it is looked at."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import timm
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from explorer.backbones.blocks import ESE
from explorer.backbones.deformable import DeformableConvNormReLU, Deformation
from explorer.backbones.mobilenet import MobileNetV2
from explorer.backbones.vovnet import VoVNet
from explorer.engine.speed.backbone_stages import REST, stage_costs, stage_seconds, stages_of, total_cost
from explorer.engine.speed.multiplications import FlopCounterMode


class Two(nn.Module):
    """Two stages with slashes in their names, and an addition outside of both."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("a/conv", nn.Conv2d(3, 8, 3, padding=1, bias=False))
        self.add_module("b/dw", nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(inplace=True)))

    def forward(self, x: Tensor) -> Tensor:
        first = self.get_submodule("a/conv")(x)
        return first + self.get_submodule("b/dw")(first)


def test_a_count_by_hand() -> None:
    pixels = 10 * 20
    first, second, rest = stage_costs(Two(), (10, 20))
    assert (first.name, first.params, first.macs) == ("a/conv", 216, 216 * pixels)
    assert (first.read_bytes, first.written_bytes) == (4 * (3 * pixels + 216), 4 * 8 * pixels)
    assert (second.params, second.macs) == (80, 72 * pixels)
    # the convolution reads a map, weights and bias; the ReLU in place reads and writes the map once more
    assert (second.read_bytes, second.written_bytes) == (4 * (2 * 8 * pixels + 80), 4 * 2 * 8 * pixels)
    assert (rest.name, rest.params, rest.macs, rest.read_bytes) == (REST, 0, 0, 4 * 2 * 8 * pixels)
    everything = total_cost([first, second, rest])
    assert everything.macs == 288 * pixels
    assert everything.macs_per_byte == pytest.approx(everything.macs / (1e6 * everything.traffic_mb))


def test_views_move_nothing_and_a_gate_reads_its_map_twice() -> None:
    (flat,) = stage_costs(nn.Sequential(nn.Flatten(2)), (8, 8))
    assert (flat.read_bytes, flat.written_bytes) == (0, 0)
    gate = ESE(16)
    (cost,) = stage_costs(nn.Sequential(gate), (8, 8), channels=16)
    map_bytes, vector = 4 * 16 * 64, 4 * 16
    assert cost.macs == 16 * 16
    assert cost.written_bytes == map_bytes + 3 * vector  # mean, its convolution, hard sigmoid; then the product
    assert cost.read_bytes == 2 * map_bytes + 3 * vector + 4 * (16 * 16 + 16)


@pytest.mark.parametrize("make", [MobileNetV2, lambda: timm.create_model("ese_vovnet19b_dw", features_only=True)])
def test_the_sum_is_fvcores(make: Callable[[], nn.Module]) -> None:
    # fvcore itself cannot follow a VoVNet of this package, whose modules have slashes in their names
    backbone = make().eval()
    analysis = FlopCountAnalysis(backbone, torch.zeros(1, 3, 64, 96))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    assert total_cost(stage_costs(backbone, (64, 96))).macs == analysis.by_operator()["conv"]


def test_a_deformable_convolution_costs_what_its_parts_do() -> None:
    """torch's own counter does not know torchvision's operation, and took V-39 with it for a smaller network."""
    part = DeformableConvNormReLU("one", 16, 24, "BN", Deformation()).eval()
    by_hand = 8 * 8 * 9 * 16 * (24 + 27)  # its kernel, and the one that says where 9 samples lie and what they count
    assert total_cost(stage_costs(nn.Sequential(part), (8, 8), channels=16)).macs == by_hand
    with FlopCounterMode(display=False) as counter:
        part(torch.zeros(1, 16, 8, 8))
    assert counter.get_total_flops() == 2 * by_hand


def test_a_timm_network_of_the_same_shape_costs_the_same() -> None:
    theirs = timm.create_model("ese_vovnet39b", pretrained=False, features_only=True)
    ours = stage_costs(VoVNet("V-39-eSE", ese="last", norm="BN"), (64, 64))
    assert [cost.name for cost in ours] == ["stem", "stage2", "stage3", "stage4", "stage5"]
    assert total_cost(stage_costs(theirs, (64, 64))).macs == total_cost(ours).macs


def test_mobilenet_is_cut_behind_its_maps() -> None:
    network = MobileNetV2()
    stages = stages_of(network)
    assert list(stages) == ["res2", "res3", "res4", "res5"]
    assert [module for own in stages.values() for module in own] == list(network.features)
    assert [cost.name for cost in stage_costs(network, (64, 64))] == list(stages)
    assert list(stages_of(MobileNetV2(out_features=["res3"]))) == ["res2", "res3"]


def test_time_goes_to_the_stage_that_takes_it_and_the_model_is_left_as_it_was() -> None:
    model = Two().train()
    ticks = itertools.count()
    seconds = stage_seconds({"two": model}, torch.zeros(1, 3, 8, 8), rounds=3, clock=lambda: float(next(ticks)))
    # one tick between every two looks at the clock: start, in, out, in, out, end
    assert {name: own.tolist() for name, own in seconds["two"].items()} == {
        "a/conv": [1, 1, 1],
        "b/dw": [1, 1, 1],
        REST: [3, 3, 3],
    }
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    with pytest.raises(ValueError, match="at least one call and one round"):
        stage_seconds({"two": model}, torch.zeros(1, 3, 8, 8), rounds=0)
