"""What a backbone declares is what it gives: every variant, option and odd size."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import FPN, build_backbone
from torch import nn

from explorer.backbones import VARIANTS, MobileNetV2, TimmBackbone, VoVNet, pixel_statistics
from explorer.backbones.blocks import ESE, OSABlock
from explorer.backbones.deformable import Deformation
from explorer.backbones.norms import NORMS, make_norm
from explorer.config import load_config

TINY = "V-19-slim-dw-eSE"
TIMM_PEERS = {
    "convnext_tiny": (96, 192, 384, 768),
    "efficientnet_b0": (24, 40, 112, 320),
    "mobilenetv3_large_100": (24, 40, 112, 960),
    "hgnetv2_b0": (64, 256, 512, 1024),
    "mobilenetv4_conv_small": (32, 64, 96, 960),
    "regnety_004": (48, 104, 208, 440),
    "repvgg_a0": (48, 96, 192, 1280),
    "starnet_s1": (24, 48, 96, 192),
}


def assert_outputs_as_declared(backbone, height, width):
    divisor = backbone.size_divisibility
    padded = [-(-side // divisor) * divisor for side in (height, width)]
    with torch.no_grad():
        outputs = backbone.eval()(torch.rand(1, 3, *padded))
    shapes = backbone.output_shape()
    assert list(outputs) == list(shapes)
    for name, shape in shapes.items():
        assert outputs[name].shape == (1, shape.channels, *(side // shape.stride for side in padded)), name


@pytest.mark.parametrize("name", VARIANTS)
def test_vovnet_gives_what_it_declares(name):
    assert_outputs_as_declared(VoVNet(name), 33, 95)


@pytest.mark.parametrize("modulated", [True, False])
def test_a_fresh_deformable_vovnet_moves_nothing(modulated):
    """Without offsets it is the plain network; modulated, each sample counts half."""
    plain = VoVNet("V-27-slim", norm="BN").eval()
    net = VoVNet("V-27-slim", norm="BN", deformation=Deformation((False, True, True, True), modulated, groups=2)).eval()
    weights = plain.state_dict()
    missing, unexpected = net.load_state_dict(weights, strict=False)
    assert unexpected == []
    assert all("conv_offset" in name for name in missing)
    assert {net.state_dict()[name].shape[0] for name in missing} == {2 * 27 if modulated else 2 * 18}
    halved = {name.replace("conv_offset", "conv") for name in missing if "weight" in name and modulated}
    plain.load_state_dict({name: value / 2 if name in halved else value for name, value in weights.items()})
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(net(image), plain(image))


def test_separable_convolutions_are_not_deformable():
    with pytest.raises(ValueError, match="cannot be deformable"):
        VoVNet(TINY, deformation=Deformation((True, False, False, False)))
    with pytest.raises(ValueError, match=r"STAGE_WITH_DCN is \[True\]; give True or False for each"):
        Deformation((True,))


@pytest.mark.parametrize("size", [(1, 1), (31, 65), (64, 100), (127, 33)])
def test_any_input_size_after_padding(size):
    assert_outputs_as_declared(VoVNet(TINY), *size)
    assert_outputs_as_declared(MobileNetV2(), *size)


@pytest.mark.parametrize("features", [["stem"], ["stage3"], ["stem", "stage2", "stage4"], ["stage5", "stage3"]])
def test_vovnet_builds_only_what_out_features_need(features):
    net = VoVNet(TINY, out_features=features)
    assert_outputs_as_declared(net, 64, 64)
    parts = ["stem", "stage2", "stage3", "stage4", "stage5"]
    assert [name for name, _ in net.named_children()] == parts[: max(map(parts.index, features)) + 1]


def test_mobilenet_builds_only_what_out_features_need():
    net = MobileNetV2(out_features=["res2", "res3"])
    assert_outputs_as_declared(net, 64, 64)
    assert len(net.features) == 7
    assert net.size_divisibility == 8


@pytest.mark.parametrize("name", TIMM_PEERS)
def test_timm_peers_give_what_they_declare(name):
    backbone = TimmBackbone(name, norm="FrozenBN")
    assert tuple(shape.channels for shape in backbone.output_shape().values()) == TIMM_PEERS[name]
    assert_outputs_as_declared(backbone, 64, 64)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def shake_norms(model):
    """Moves every batch normalisation far from the identity, that a lost one or its lost activation shows."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.weight.data, 0.6, 1.4),
                (module.running_var, 0.6, 1.4),
                (module.bias.data, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
            ):
                values.uniform_(low, high, generator=generator)


@pytest.mark.parametrize("options", [{}, {"norm": "FrozenBN"}, {"freeze_at": 5}], ids=["as is", "FrozenBN", "frozen"])
@pytest.mark.parametrize("name", TIMM_PEERS)
def test_timm_features_are_timms_own_frozen_or_not(name, options):
    import timm

    ours = TimmBackbone(name, out_features=["res3", "res5"], **options).eval()
    index = {stride: i for i, stride in enumerate(timm.create_model(name, features_only=True).feature_info.reduction())}
    theirs = timm.create_model(name, features_only=True, out_indices=[index[8], index[32]]).eval()
    shake_norms(theirs)
    result = ours.model.load_state_dict(theirs.state_dict(), strict=False)
    assert not result.missing_keys
    assert all(key.endswith("num_batches_tracked") for key in result.unexpected_keys)
    assert not options.get("freeze_at") or not any(p.requires_grad for p in ours.parameters())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(ours(image).values(), theirs(image), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "mambaout_femto"])
def test_timm_networks_with_channels_last_and_a_pretraining_size_take_any_image(name):
    import timm

    ours = TimmBackbone(name)
    assert_outputs_as_declared(ours, 64, 96)
    theirs = timm.create_model(name, features_only=True, out_indices=(0, 1, 2, 3)).eval()
    theirs.load_state_dict(ours.model.state_dict())
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        for a, b in zip(ours(image).values(), theirs(image), strict=True):
            torch.testing.assert_close(a, b.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


def test_timm_pixel_statistics_are_on_detectron2s_scale():
    mean, std = pixel_statistics("convnext_tiny")
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("make", [lambda norm: VoVNet(TINY, norm=norm), lambda norm: MobileNetV2(norm=norm)])
def test_every_norm_on_every_width(make, norm):
    net = make(norm)
    kinds = {
        "FrozenBN": FrozenBatchNorm2d,
        "BN": nn.BatchNorm2d,
        "SyncBN": nn.modules.batchnorm._BatchNorm,
        "GN": nn.GroupNorm,
    }
    norms = [
        m for m in net.modules() if isinstance(m, (FrozenBatchNorm2d, nn.GroupNorm, nn.modules.batchnorm._BatchNorm))
    ]
    assert norms
    assert all(isinstance(m, kinds[norm]) for m in norms)
    if norm != "SyncBN":  # which works on GPUs alone
        assert_outputs_as_declared(net, 64, 64)


def test_group_norm_takes_the_largest_number_of_groups_that_fits():
    assert [make_norm("GN", channels).num_groups for channels in (256, 112, 80, 24, 1)] == [32, 16, 16, 8, 1]


@pytest.mark.parametrize(("ese", "expected"), [("all", 6), ("last", 4), ("none", 0)])
def test_ese_placement(ese, expected):
    assert sum(isinstance(m, ESE) for m in VoVNet("V-39-eSE", ese=ese).modules()) == expected


def test_identity_is_on_later_blocks_only_and_changes_the_output():
    def identities(**options):
        return [m.identity for m in VoVNet("V-39-eSE", **options).modules() if isinstance(m, OSABlock)]

    assert identities() == [False, False, False, True, False, True]
    assert not any(identities(identity=False))
    assert not any(m.identity for m in VoVNet("V-57").modules() if isinstance(m, OSABlock))


def test_identity_adds_the_input():
    block = OSABlock("OSA", 16, 8, 16, 2, norm="FrozenBN", identity=True).eval()
    x = torch.rand(1, 16, 8, 8)
    with torch.no_grad():
        with_identity = block(x)
        block.identity = False
        torch.testing.assert_close(with_identity, block(x) + x)


@pytest.mark.parametrize("depthwise", [True, False])
def test_depthwise_can_be_switched(depthwise):
    body = "V-19-eSE" if depthwise else "V-19-dw-eSE"
    groups = [m.groups for m in VoVNet(body, depthwise=depthwise).stage3.modules() if isinstance(m, nn.Conv2d)]
    assert (160 in groups) == depthwise


@pytest.mark.parametrize("freeze_at", range(6))
def test_freezing_stops_the_stages_asked_for_and_no_other(freeze_at):
    net = VoVNet(TINY, norm="BN", freeze_at=freeze_at).train()
    names = ["stem", "stage2", "stage3", "stage4", "stage5"]
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=0.1) if freeze_at < 5 else None
    out = net(torch.rand(2, 3, 64, 64))["stage5"].sum()
    if optimizer:
        out.backward()
        optimizer.step()
    changed = {name.split(".")[0] for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == set(names[freeze_at:])


@pytest.mark.parametrize(("freeze_at", "first_trained"), [(0, 0), (1, 2), (2, 4), (3, 7), (4, 14), (5, 18)])
def test_mobilenet_freezing(freeze_at, first_trained):
    net = MobileNetV2(norm="BN", freeze_at=freeze_at)
    for index, layer in enumerate(net.features):
        assert all(p.requires_grad == (index >= first_trained) for p in layer.parameters())
        assert any(isinstance(m, FrozenBatchNorm2d) for m in layer.modules()) == (index < first_trained)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VoVNet("V-40-eSE"), "Did you mean"),
        (lambda: VoVNet(TINY, norm="bn"), "FrozenBN, BN, SyncBN, GN"),
        (lambda: VoVNet(TINY, ese="first"), "all, last, none"),
        (lambda: VoVNet(TINY, out_features=["res2"]), "stage2"),
        (lambda: VoVNet(TINY, out_features=[]), "at least one"),
        (lambda: VoVNet(TINY, freeze_at=6), "FREEZE_AT is 6"),
        (lambda: OSABlock("OSA2_1", 8, 8, 16, 1, norm="BN", identity=True), "8 and 16"),
        (lambda: MobileNetV2(out_features=["stage2"]), "res2"),
        (lambda: MobileNetV2(freeze_at=-1), "FREEZE_AT is -1"),
        (lambda: TimmBackbone("convnext_tine"), "convnext_tiny"),
        (lambda: TimmBackbone("vit_tiny_patch16_224"), "strides are 16"),
        (lambda: TimmBackbone("vit_tiny_patch16_224", out_features=["res4"]), "images of a fixed size"),
        (lambda: TimmBackbone("hiera_tiny_224"), "images of a fixed size"),
        (lambda: TimmBackbone("inception_v3"), "does not pad its input: its map of stride 4 has 20×36 cells"),
        (lambda: TimmBackbone("resnet18", norm="GN"), "FrozenBN"),
        (lambda: TimmBackbone("resnet18", freeze_at=2), "0 (train all) or 5"),
        (lambda: TimmBackbone("resnet18", out_features=["p2"]), "res2"),
    ],
)
def test_wrong_arguments_are_explained(make, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        make()


def fpn(name, *overrides):
    return build_backbone(load_config(name, ["MODEL.DEVICE", "cpu", *overrides]))


def test_p6p7_builder_for_retinanet_and_fcos():
    backbone = fpn("retinanet_V_39_FPN_3x", "MODEL.VOVNET.CONV_BODY", TINY)
    assert isinstance(backbone, FPN)
    assert list(backbone.output_shape()) == ["p3", "p4", "p5", "p6", "p7"]
    assert backbone.top_block.p6.in_channels == 512
    assert_outputs_as_declared(backbone, 128, 256)
    from_p5 = fpn("retinanet_V_39_FPN_3x", "MODEL.VOVNET.CONV_BODY", TINY, "MODEL.FPN.TOP_BLOCK_IN_FEATURE", "p5")
    assert from_p5.top_block.p6.in_channels == 256


@pytest.mark.parametrize("name", TIMM_PEERS)
def test_timm_fpn_builder(name):
    backbone = fpn("timm/faster_rcnn_convnext_tiny_FPN_3x", "MODEL.TIMM.NAME", name)
    assert list(backbone.output_shape()) == ["p2", "p3", "p4", "p5", "p6"]
    assert tuple(shape.channels for shape in backbone.bottom_up.output_shape().values()) == TIMM_PEERS[name]
    assert_outputs_as_declared(backbone, 64, 64)
    assert_outputs_as_declared(backbone.bottom_up, 65, 97)


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        ("hgnetv2_b1", (64, 256, 512, 1024)),
        ("convnext_tiny", (96, 192, 384, 768)),
        ("convnext_tiny_dinov3", (96, 192, 384, 768)),
    ],
)
def test_configs_of_timm_peers(config, channels):
    backbone = fpn(f"timm/faster_rcnn_{config}_FPN_3x")
    assert tuple(shape.channels for shape in backbone.bottom_up.output_shape().values()) == channels
    assert_outputs_as_declared(backbone, 33, 64)


@pytest.mark.parametrize(("size", "widest"), [("b2", 1536), ("b3", 2048), ("b4", 2048)])
def test_larger_hgnets(size, widest):
    backbone = TimmBackbone(f"hgnetv2_{size}", out_features=["res5"])
    assert backbone.output_shape()["res5"].channels == widest
    assert_outputs_as_declared(backbone, 33, 64)


def test_timm_fpn_builder_with_p6_and_p7():
    name = ["MODEL.TIMM.NAME", "mobilenetv3_large_100"]
    p6p7 = fpn("timm/faster_rcnn_convnext_tiny_FPN_3x", *name, "MODEL.BACKBONE.NAME", "build_timm_fpn_p6p7_backbone")
    assert list(p6p7.output_shape()) == ["p2", "p3", "p4", "p5", "p6", "p7"]


@pytest.mark.parametrize("name", ["build_vovnet_backbone", "build_mobilenetv2_backbone", "build_timm_backbone"])
def test_backbones_without_fpn(name):
    overrides = ["MODEL.BACKBONE.NAME", name, "MODEL.BACKBONE.FREEZE_AT", "0", "MODEL.TIMM.NAME", "resnet18"]
    backbone = fpn("faster_rcnn_V_19_slim_FPNLite_3x", *overrides)
    assert_outputs_as_declared(backbone, 32, 64)


def test_fpn_on_features_the_backbone_does_not_give():
    with pytest.raises(ValueError, match="stage2"):
        fpn("faster_rcnn_V_19_slim_FPNLite_3x", "MODEL.VOVNET.OUT_FEATURES", "['stage3','stage4','stage5']")


def test_lazy_config_instantiates():
    from detectron2.config import LazyConfig, instantiate

    from explorer.config import config_path

    cfg = LazyConfig.load(str(config_path("fcos_V_39_FPN_3x")))
    cfg.model.backbone.bottom_up.spec = TINY
    backbone = instantiate(cfg.model.backbone)
    assert list(backbone.output_shape()) == ["p3", "p4", "p5", "p6", "p7"]


@pytest.mark.parametrize(
    ("kind", "options"), [(MobileNetV2, {"norm": "FrozenBN"}), (TimmBackbone, {"name": "mobilenetv4_conv_small"})]
)
def test_other_bottom_up_networks_in_a_lazy_config(kind, options):
    from detectron2.config import LazyCall as L
    from detectron2.config import LazyConfig, instantiate

    from explorer.config import config_path

    cfg = LazyConfig.load(str(config_path("fcos_V_39_FPN_3x")))
    features = ["res3", "res4", "res5"]
    cfg.model.backbone.bottom_up = L(kind)(**options, freeze_at=0, out_features=features)
    cfg.model.backbone.in_features = features
    backbone = instantiate(cfg.model.backbone)
    assert isinstance(backbone.bottom_up, kind)
    assert list(backbone.output_shape()) == ["p3", "p4", "p5", "p6", "p7"]
    assert_outputs_as_declared(backbone, 128, 256)


@pytest.mark.parametrize(
    ("options", "strides"),
    [
        (
            {"stem_strides": (2, 1, 1), "stage2_pool": True, "pool_padding": 1, "identity": "matching"},
            (2, 4, 8, 16, 32),
        ),
        ({"stem_strides": (2, 1, 1)}, (2, 2, 4, 8, 16)),
        ({"stage_out_channels": (128, 256, 348, 512)}, (4, 4, 8, 16, 32)),
    ],
    ids=["the paper's pooling", "finer", "other widths"],
)
def test_a_vovnet_of_another_structure_gives_what_it_declares(options, strides):
    net = VoVNet("V-27-slim", out_features=["stem", "stage2", "stage3", "stage4", "stage5"], **options)
    assert tuple(shape.stride for shape in net.output_shape().values()) == strides
    assert_outputs_as_declared(net, 64, 96)
    assert net.stage2.OSA2_1.identity == (options.get("identity") == "matching")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identity": "first"}, r"IDENTITY is 'first'; choose one of True, False, matching"),
        ({"pool_padding": 2}, r"POOL_PADDING is 2; choose one of 0, 1"),
        ({"stem_strides": (2, 1)}, r"STEM_STRIDES is \[2, 1\]; give 3 whole numbers"),
        ({"stage_out_channels": (128, 0, 1, 1)}, r"STAGE_OUT_CHANNELS is \[128, 0, 1, 1\]; give 4 whole numbers"),
    ],
)
def test_structures_that_do_not_exist_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        VoVNet("V-27-slim", **options)
