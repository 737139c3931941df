"""Theoretical fields are the pixels that change a unit: every pixel of every net is tried, one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import FPN, build_backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from explorer.backbones.mobilenet import MobileNetV2
from explorer.backbones.specs import STAGES, VARIANTS
from explorer.backbones.timm_backbone import TimmBackbone
from explorer.backbones.vovnet import VoVNet
from explorer.receptive_field.theoretical import ReceptiveField, theoretical_fields

THIN = {"stem_channels": (2, 2, 2), "stage_conv_channels": (2, 2, 2, 2), "stage_out_channels": (3, 3, 3, 3)}


@contextmanager
def passing(net: nn.Module) -> Iterator[None]:
    """Makes a net say which inputs reach a unit: weights of one, norms that change nothing, values cut off at one.

    What is not zero stays not zero, and nothing cancels: a unit answers if and only if one of its pixels is lit.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    handles = [
        module.register_forward_hook(lambda module, inputs, output: output.clamp(max=1))
        for module in net.modules()
        if isinstance(module, nn.Conv2d)
    ]
    net.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def lit_lines(net: nn.Module, size: tuple[int, int], axis: int, pick: Callable[[object], Tensor]) -> np.ndarray:
    """Which lines of pixels reach which lines of units, `(units, pixels)`, by lighting one line after the other."""
    answers = []
    with passing(net):
        for lines in torch.arange(size[axis]).split(48):
            images = torch.zeros(len(lines), 3, *size)
            for place, line in enumerate(lines.tolist()):
                images[place].select(1 + axis, line).fill_(1)
            output = pick(net(images))
            answers.append((output > 0).any(dim=1).any(dim=2 if axis == 0 else 1))
    return torch.cat(answers).T.numpy()


def assert_true(net: nn.Module, layers: list[str], size: tuple[int, int]) -> None:
    fields = theoretical_fields(net, size)
    for layer in layers:
        field = fields[layer]
        assert field.partial is None
        (product,) = field.trail.products
        for axis, seen in enumerate((product.rows, product.columns)):
            lit = lit_lines(net, size, axis, output(layer))
            np.testing.assert_array_equal(seen, lit, err_msg=f"{layer}, axis {axis}")


def output(name: str) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda outputs: outputs[name]


@pytest.mark.parametrize("name", VARIANTS)
def test_vovnet(name: str) -> None:
    spec = replace(VARIANTS[name], ese="none", identity=VARIANTS[name].identity, **THIN)
    net = VoVNet(spec, out_features=["stage2", "stage3", "stage4"], norm="BN", freeze_at=0)
    assert_true(net, ["stage2", "stage3", "stage4"], (150, 20))


def test_resnet_50() -> None:
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_resnet_backbone"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    node = cfg.MODEL.RESNETS
    node.DEPTH, node.STEM_OUT_CHANNELS, node.RES2_OUT_CHANNELS, node.WIDTH_PER_GROUP = 50, 2, 4, 2
    node.NORM, node.OUT_FEATURES = "BN", ["res2", "res3", "res4", "res5"]
    assert_true(build_backbone(cfg, ShapeSpec(channels=3)), ["res2", "res4", "res5"], (190, 20))


def test_mobilenet() -> None:
    net = MobileNetV2(out_features=["res3", "res5"], norm="BN", freeze_at=0)
    assert_true(net, ["res3", "res5"], (131, 20))


def test_a_feature_pyramid_with_its_top_down_path() -> None:
    spec = replace(VARIANTS["V-19-eSE"], ese="none", **THIN)
    bottom_up = VoVNet(spec, out_features=["stage2", "stage3", "stage4", "stage5"], norm="BN", freeze_at=0)
    net = FPN(bottom_up, ["stage2", "stage3", "stage4", "stage5"], 2, top_block=LastLevelMaxPool())
    assert_true(net, ["p2", "p3", "p5", "p6"], (192, 32))
    phases = theoretical_fields(net)["p2"].phases[0]
    assert len(phases) == 8  # p5 is seen through three doublings
    assert len(set(phases)) > 1


class Graph(nn.Module):
    """A small net of branches with kernels, strides, dilation, padding and pooling of all kinds, joined in two ways."""

    def __init__(self, layers: list[tuple[int, ...]], join: str) -> None:
        super().__init__()
        first, *rest = layers
        self.stem = self._layer(*first, channels=3)
        self.branches = nn.ModuleList(nn.Sequential(self._layer(*rest[0]), self._layer(*layer)) for layer in rest[1:])
        self.join = join

    @staticmethod
    def _layer(
        kind: int, height: int, width: int, stride: int, dilation: int, padding: int, channels: int = 2
    ) -> nn.Module:
        kernel = (height, width)
        if kind == 0:
            return nn.MaxPool2d(kernel, stride, padding=min(padding, height // 2, width // 2), ceil_mode=True)
        if kind == 1:
            return nn.Conv2d(channels, 2, kernel, stride, padding, dilation)
        return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels)

    def forward(self, image: Tensor) -> Tensor:
        maps = [branch(self.stem(image)) for branch in self.branches]
        rows, columns = (min(m.shape[axis] for m in maps) for axis in (2, 3))
        maps = [m[:, :, :rows, :columns] for m in maps]
        if self.join == "cat":
            return torch.cat(maps, dim=1)
        return nn.functional.interpolate(maps[0] + maps[1], scale_factor=2)


layer = st.tuples(
    st.integers(0, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2)
)


@given(layers=st.lists(layer, min_size=4, max_size=4), join=st.sampled_from(["cat", "add"]))
@settings(max_examples=25, deadline=None)
def test_small_graphs_pixel_by_pixel(layers: list[tuple[int, ...]], join: str) -> None:
    net, size = Graph([(1, *layers[0][1:]), *layers[1:]], join), (26, 23)
    try:
        net(torch.zeros(1, 3, *size))
    except RuntimeError:
        assume(False)
    field = theoretical_fields(net, size)[""]
    assert field.partial is None
    with passing(net), torch.no_grad():
        images = torch.eye(size[0] * size[1]).reshape(-1, 1, *size).expand(-1, 3, -1, -1)
        lit = (net(images) > 0).any(dim=1).numpy()  # (pixels, rows, columns)
    assert lit.shape[1:] == field.grid
    seen = np.zeros((field.grid[0], field.grid[1], *size), dtype=bool)
    for product in field.trail.products:
        seen |= product.rows[:, None, :, None] & product.columns[None, :, None, :]
    np.testing.assert_array_equal(seen.reshape(*field.grid, -1).transpose(2, 0, 1), lit)
    row, column = field.grid[0] // 2, field.grid[1] // 2
    np.testing.assert_array_equal(field.mask(row, column), seen[row, column])


SIDES: dict[str, tuple[nn.Module, int, int, int]] = {
    # after so many units of 16 px without padding, 25 of 32 px are not 800 px
    "without padding": (nn.Sequential(*[nn.Conv2d(1, 1, 3, 2) for _ in range(5)], nn.Conv2d(1, 1, 3)), 416, 32, 127),
    "strides that leave a rest": (nn.Sequential(*[nn.Conv2d(1, 1, 3, 2, 1) for _ in range(4)]), 210, 16, 31),
    "gaps at the border": (nn.Conv2d(1, 1, 3, 2, 1, dilation=2), 32, 2, 5),
    "pooling with gaps": (nn.MaxPool2d(3, 2, 1, dilation=2), 32, 2, 5),
    "an even kernel that is dilated": (nn.Conv2d(1, 1, 4, padding="same", dilation=3), 40, 1, 10),
    "nearest by a fraction": (nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.Upsample(scale_factor=2.3)), 37, 1, 3),
    "bilinear by a fraction": (
        nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.Upsample(scale_factor=2.3, mode="bilinear")),
        37,
        1,
        5,
    ),
}


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_strides_and_sides_of_uneven_nets(name: str) -> None:
    net, side, stride, extent = SIDES[name]
    field = theoretical_fields(net, (side, side), channels=1)[""]
    assert (field.stride_px, field.size_px, field.is_clipped) == ((stride, stride), (extent, extent), False)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 1.0)
    image = torch.rand(1, 1, side, side, requires_grad=True)
    values = net(image)
    for row in {0, values.shape[2] // 2, values.shape[2] - 1}:
        (gradient,) = torch.autograd.grad(values[0, 0, row, row], image, retain_graph=True)
        seen = gradient[0, 0].numpy() != 0
        mask = field.mask(row, row)
        if isinstance(net, nn.MaxPool2d):
            assert mask[seen].all()
        else:
            np.testing.assert_array_equal(mask, seen)


class Shifted(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        moved = image.clone()
        moved[:, :, :, 1:] = image[:, :, :, :-1]
        return moved


def test_a_part_that_is_written_to_makes_the_result_partial() -> None:
    fields = theoretical_fields(nn.Sequential(Shifted(), nn.Conv2d(3, 2, 3)), (12, 12))
    assert fields["1"].partial == "partial: copy_ into a part in 0"


def test_the_unit_at_a_point_goes_by_the_stride() -> None:
    net = nn.Sequential(nn.Conv2d(3, 1, 3, 32, 1), nn.MaxPool2d(1, 2))  # as p6 follows p5
    field = theoretical_fields(net, (800, 1088))[""]
    assert field.grid == (13, 17)
    assert [field.unit_at(0, y) for y in (380, 400, 799)] == [(5, 0), (6, 0), (12, 0)]
    assert field.unit_at(1087, 0) == (0, 16)


@pytest.mark.parametrize(("name", "sizes"), [("V-19-eSE", (35, 91, 203, 427)), ("V-39-eSE", (51, 139, 475, 1147))])
def test_known_sizes_strides_and_branches(name: str, sizes: tuple[int, ...]) -> None:
    net = VoVNet(VARIANTS[name], out_features=["stage5"], norm="FrozenBN", freeze_at=0)
    fields = theoretical_fields(net, ignore_global=True)
    found = [fields[f"stage{stage}"] for stage in (2, 3, 4, 5)]
    assert [field.size_px for field in found] == [(size, size) for size in sizes]
    assert [field.stride_px for field in found] == [(4, 4), (8, 8), (16, 16), (32, 32)]
    inside = [fields[f"stage3.OSA3_1.layers.{layer}"].size_px[0] for layer in range(VARIANTS[name].layers_per_block)]
    assert inside == sorted(set(inside))
    assert inside[-1] == sizes[1]


def test_global_operations_are_named_and_can_be_left_out() -> None:
    net = VoVNet(VARIANTS["V-19-eSE"], out_features=["stage3"], norm="FrozenBN", freeze_at=0)
    field = theoretical_fields(net, (160, 160))["stage2"]
    assert field.is_global
    assert field.whole == ("stage2.OSA2_1.ese",)
    assert field.size_px == (160, 160)
    assert field.mask(3, 3).all()
    local = theoretical_fields(net, (160, 160), ignore_global=True)["stage2"]
    assert not local.is_global
    assert local.whole == field.whole
    assert local.size_px == (35, 35)


@pytest.mark.parametrize(
    ("layer", "whole"),
    [(nn.GroupNorm(1, 3), True), (nn.AdaptiveAvgPool2d(1), True), (nn.BatchNorm2d(3), False), (nn.Dropout(), False)],
)
def test_what_looks_at_the_whole_map(layer: nn.Module, whole: bool) -> None:
    field = theoretical_fields(nn.Sequential(layer), (12, 10))["0"]
    assert bool(field.whole) is whole
    assert field.partial is None
    assert field.mask(0, 0).sum() == (120 if whole else 1)


class Rolled(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.roll(image, 1, dims=2)


def test_what_is_not_understood_makes_the_result_partial() -> None:
    fields = theoretical_fields(nn.Sequential(Rolled(), nn.Conv2d(3, 2, 3)), (12, 12))
    assert fields["0"].partial == "partial: roll in 0"
    assert fields["1"].partial == "partial: roll in 0"
    shuffled = theoretical_fields(nn.Sequential(nn.Conv2d(3, 16, 2, 8), nn.PixelShuffle(4)), (80, 80))["1"]
    assert (shuffled.partial, shuffled.stride_px) == ("partial: pixel_shuffle in 1", (2, 2))
    assert shuffled.unit_at(79, 41) == (20, 39)


def test_timm_models_are_followed() -> None:
    timm = pytest.importorskip("timm")
    fields = theoretical_fields(timm.create_model("resnet18", features_only=True), (256, 256))
    assert fields["layer1.1"].size_px == (43, 43)
    assert all(field.partial is None for field in fields.values())
    gates = theoretical_fields(timm.create_model("ese_vovnet19b_dw", features_only=True), (256, 256))
    assert any(field.whole for field in gates.values())
    assert all(field.partial is None for field in gates.values())


def test_hgnetv2_sees_what_it_is_shown() -> None:
    assert_true(TimmBackbone("hgnetv2_b0", out_features=["res2", "res3"]), ["res2", "res3"], (64, 96))


def test_fully_connected_layers_of_a_map_are_followed() -> None:
    fields = theoretical_fields(TimmBackbone("convnext_atto", out_features=["res2", "res3"]), (512, 512))
    # a patch of 4, then kernels of 7: two of stride 4, and after a patch of 2, two of stride 8
    assert fields["res2"].size_px == (4 + 2 * 6 * 4,) * 2
    assert fields["res3"].size_px == (4 + 2 * 6 * 4 + 4 + 2 * 6 * 8,) * 2
    assert all(field.partial is None for field in fields.values())


class Places(nn.Module):
    """Treats the places of a map as a sequence of vectors, and mixes them or not."""

    def __init__(self, mixes: bool) -> None:
        super().__init__()
        self.mixes, self.layer = mixes, nn.Linear(30 if mixes else 3, 30 if mixes else 3)

    def forward(self, image: Tensor) -> Tensor:
        places = image.flatten(2)
        return (self.layer(places) if self.mixes else self.layer(places.mT).mT).reshape(image.shape)


def test_a_map_as_a_sequence_is_followed_only_where_it_is_understood() -> None:
    assert theoretical_fields(Places(mixes=False), (5, 6))[""].mask(2, 3).sum() == 1
    assert "" not in theoretical_fields(Places(mixes=True), (5, 6))


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(3, 2, 3))  # the last one fails
    net[0].eval()
    with pytest.raises(RuntimeError):
        theoretical_fields(net, (9, 9))
    assert [module.training for module in net.modules()] == [True, False, True, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_boxes_at_the_border_are_cut_off() -> None:
    field: ReceptiveField = theoretical_fields(nn.Conv2d(3, 1, 5, padding=2, stride=2), (10, 12))[""]
    assert field.box(0, 0) == (0, 0, 3, 3)
    assert field.box(2, 3) == (4, 2, 9, 7)
    (phase,) = field.phases[0]
    assert (phase.size_px, phase.offset_px, phase.gaps) == (5, -0.5, False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VARIANTS])
def test_five_seconds_suffice(name: str) -> None:
    net = FPN(VoVNet(VARIANTS[name]), list(STAGES), 256, top_block=LastLevelMaxPool())
    start = time.process_time()
    theoretical_fields(net, ignore_global=True)
    assert time.process_time() - start < 5
