"""Parity: timm's random models and ours with their weights give equal features."""

import json

import pytest
import torch
from safetensors.torch import save_file

from explorer.backbones.mobilenet import MobileNetV2
from explorer.backbones.timm_backbone import TimmBackbone
from explorer.backbones.vovnet import VoVNet
from explorer.zoo import registry
from explorer.zoo.checkpoints import CheckpointError, load_weights
from explorer.zoo.checkpoints.names import align, from_timm
from tests.fixtures.wild import shaken

timm = pytest.importorskip("timm")

VOVNETS = {
    "ese_vovnet19b_slim_dw": "V-19-slim-dw-eSE",
    "ese_vovnet19b_dw": "V-19-dw-eSE",
    "ese_vovnet19b_slim": "V-19-slim-eSE",
    "ese_vovnet39b": "V-39-eSE",
    "ese_vovnet57b": "V-57-eSE",
    "ese_vovnet99b": "V-99-eSE",
    "vovnet39a": "V-39",
    "vovnet57a": "V-57",
}
NOT_OURS = {
    "eca_vovnet39b": "attends to channels by ECA, a 1-D convolution over neighbouring channels, in place of eSE",
    "ese_vovnet39b_evos": "normalises by EvoNorm S0, which has no batch statistics and an activation of its own",
}


def random_timm(name):
    """A timm model whose every tensor matters."""
    torch.manual_seed(0)
    return shaken(timm.create_model(name, pretrained=False).eval())


def backbone(name, **options):
    return MobileNetV2(**options) if name == "MobileNetV2" else VoVNet(name, **options)


def indices_of(model):
    """Which of a timm model's intermediate maps have stride 4, 8, 16 and 32."""
    strides = [info["reduction"] for info in model.feature_info]
    return [strides.index(stride) for stride in (4, 8, 16, 32)]


def assert_same_features(theirs, ours, indices):
    image = torch.linspace(-2, 2, 3 * 64 * 96).sin().view(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.forward_intermediates(image, indices=indices, intermediates_only=True)
        features = ours.eval()(image)
    assert len(features) == len(expected) == 4
    for feature, reference in zip(features.values(), expected, strict=True):
        assert feature.shape == reference.shape
        assert (feature - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_every_vovnet_of_timm_is_tested_or_excluded_for_a_reason():
    assert set(timm.list_models("*vovnet*")) == VOVNETS.keys() | NOT_OURS.keys()
    assert not VOVNETS.keys() & NOT_OURS.keys()


@pytest.mark.parametrize("name", NOT_OURS)
def test_excluded_vovnets_do_not_load_by_halves(name):
    with pytest.raises(CheckpointError, match="nothing was loaded"):
        load_weights(backbone("V-39-eSE", ese="last"), timm.create_model(name).state_dict())


@pytest.mark.parametrize(("name", "ours"), VOVNETS.items())
def test_timm_vovnets_fill_ours_exactly(name, ours):
    theirs = random_timm(name)
    model = backbone(ours, ese="last" if ours.endswith("eSE") else None)
    report = load_weights(model, theirs.state_dict())
    assert report.complete
    assert set(report.loaded) == set(model.state_dict())
    assert_same_features(theirs, model, [1, 2, 3, 4])


def test_timm_mobilenet_fills_ours_exactly():
    theirs = random_timm("mobilenetv2_100")
    model = backbone("MobileNetV2")
    assert load_weights(model, theirs.state_dict()).complete
    assert_same_features(theirs, model, [1, 2, 3, 4])


def test_trained_norms_take_the_batch_counters_too():
    theirs = random_timm("ese_vovnet19b_slim_dw").train()
    theirs(torch.zeros(2, 3, 32, 32))
    model = backbone("V-19-slim-dw-eSE", norm="BN")
    load_weights(model, theirs.state_dict())
    counters = [v for name, v in model.state_dict().items() if name.endswith("num_batches_tracked")]
    assert counters
    assert all(counter == 1 for counter in counters)


def test_ese_on_every_block_is_not_timms_and_the_report_says_so():
    with pytest.raises(CheckpointError, match=r"(?s)stage4.*OSA4_1\.ese.*Set MODEL\.VOVNET\.ESE last"):
        load_weights(backbone("V-39-eSE"), random_timm("ese_vovnet39b").state_dict())


@pytest.mark.parametrize("entry", [e for e in registry.entries() if e.name.startswith("timm/")], ids=lambda e: e.name)
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_hub_file_fills_a_detectors_backbone_with_its_entrys_overrides(entry, tmp_path):
    """From a file as the hub has it, through the config the entry makes, to the detector's own preprocessing."""
    from detectron2.modeling import build_model

    import explorer.backbones.build  # noqa: F401 - registers the builders
    from explorer.config import load_config

    theirs = random_timm(entry.name.removeprefix("timm/").split(".")[0])
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    mobile = entry.backbone == "MobileNetV2"
    cfg = load_config("faster_rcnn_Mv2_FPNLite_3x" if mobile else "faster_rcnn_V_39_FPN_3x", entry.overrides)
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *(() if mobile else ("MODEL.VOVNET.CONV_BODY", entry.backbone))])
    model = build_model(cfg).eval()
    report = load_weights(model, tmp_path / "model.safetensors", allow_partial=True)
    assert not report.unexpected
    assert not report.mismatched
    assert not [name for name in report.missing if "bottom_up" in name]
    assert_same_features(theirs, model.backbone.bottom_up, [1, 2, 3, 4])

    rgb = torch.arange(3 * 64 * 64).view(3, 64, 64) % 256
    mean, std = timm.get_pretrained_cfg(entry.name.removeprefix("timm/")).mean, theirs.pretrained_cfg["std"]
    expected = (rgb / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert cfg.INPUT.FORMAT == "RGB"
    torch.testing.assert_close(model.preprocess_image([{"image": rgb}]).tensor[0], expected, atol=1e-5, rtol=1e-5)


def test_released_names_are_never_renamed(shared):
    upstream = json.loads((shared / "golden/upstream_state_dict.json").read_text())
    for names in upstream.values():
        tensors = dict.fromkeys(names, torch.zeros(1))
        assert list(align(tensors, names)) == list(names)


def test_a_checkpoint_that_fits_as_it_is_keeps_its_other_names():
    tensors = dict.fromkeys(["fc.weight", "backbone.old", "bottom_up.old"], torch.zeros(1))
    assert list(align(tensors, ["fc.weight"])) == list(tensors)


def test_a_backbone_finds_its_place_in_a_detector_and_back():
    alone = backbone("V-19-slim-dw-eSE").state_dict()
    inside = {f"backbone.bottom_up.{name}": tensor for name, tensor in alone.items()}
    assert list(align(alone, inside)) == list(inside)
    assert list(align(inside, alone)) == list(alone)
    assert list(align({**inside, "roi_heads.x": torch.zeros(1)}, alone))[-1] == "roi_heads.x"


@pytest.mark.parametrize("prefix", ["model.", "module.", "lightning_module.net.detector.", "_orig_mod.module."])
def test_a_whole_detector_is_found_under_any_prefix(prefix, shared):
    names = json.loads((shared / "golden/upstream_state_dict.json").read_text())["mask_rcnn_V_39_FPN_3x.yaml"]
    stored = {prefix + name: torch.zeros(1) for name in names} | {"loss.weight": torch.zeros(1)}
    assert list(align(stored, names)) == [*names, "loss.weight"]


@pytest.mark.parametrize("prefix", ["img_backbone.", "encoder.backbone.", "model.backbone.bottom_up.", "module.a.b.c."])
@pytest.mark.parametrize("place", ["", "backbone.bottom_up.", "backbone."])
def test_a_backbone_under_any_prefix_finds_its_place(prefix, place):
    alone = backbone("V-19-slim-dw-eSE").state_dict()
    stored = {prefix + name: tensor for name, tensor in alone.items()}
    wanted = [place + name for name in alone] + ["roi_heads.box_predictor.cls_score.weight"]
    assert list(align(stored, wanted)) == [place + name for name in alone]


def test_timms_mobilenet_is_found_under_a_prefix():
    theirs = {f"net.{name}": tensor for name, tensor in timm.create_model("mobilenetv2_100").state_dict().items()}
    assert load_weights(backbone("MobileNetV2"), theirs).complete


def test_a_name_of_a_million_dots_takes_no_time():
    align({"." * 1_000_000: torch.zeros(1), "a.b": torch.zeros(1)}, ["c.b"])


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "efficientnet_b0",
        "efficientnet_lite0",
        "hgnetv2_b0",
        "lcnet_050",
        "mnasnet_small",
        "mobilenetv2_110d",
        "mobilenetv3_large_100",
        "mobilenetv3_small_100",
        "mobilenetv4_conv_small",
    ],
)
def test_other_timm_models_are_left_alone(name):
    tensors = timm.create_model(name).state_dict()
    assert from_timm(tensors) == {}
    assert list(align(tensors, backbone("MobileNetV2").state_dict())) == list(tensors)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("convnext_atto", "backbone.bottom_up."),  # flattened by timm
        ("efficientnet_b0", "backbone.bottom_up."),
        ("ese_vovnet19b_slim_dw", "backbone.bottom_up."),  # ours too, but not here
        ("mobilenetv2_100", "backbone.bottom_up."),  # likewise
        ("mobilenetv3_large_100", "backbone.bottom_up."),
        ("mobilenetv4_conv_small", "backbone.bottom_up."),
        ("mobilenetv4_conv_small", "bottom_up."),
        ("mobilenetv4_conv_small", ""),
        ("regnety_004", "backbone.bottom_up."),
        ("twins_pcpvt_small", "backbone.bottom_up."),  # wrapped by timm
    ],
)
def test_a_hub_file_fills_a_timm_backbone(name, place):
    theirs = random_timm(name)
    module = TimmBackbone(name)
    for part in reversed(place.split(".")[:-1]):
        module = torch.nn.ModuleDict({part: module})
    report = load_weights(module, theirs.state_dict(), allow_partial=True)
    assert not report.missing
    assert not report.mismatched
    assert all(name.startswith(f"{place}model.") for name in report.loaded)
    assert set(report.loaded) == {k for k in module.state_dict() if not k.endswith("num_batches_tracked")}
    assert_same_features(theirs, module.get_submodule(place.rstrip(".")), indices_of(theirs))


def test_caffe2_resnets_fill_detectron2s():
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.backbone import build_resnet_backbone

    from explorer.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.RESNETS.OUT_FEATURES", ["res5"]])
    ours = build_resnet_backbone(cfg, ShapeSpec(channels=3))

    def caffe2(name):
        name = name.removeprefix("stem.").replace(
            "conv1.norm", "res_conv1_bn" if name.startswith("stem") else "conv1.norm"
        )
        for theirs, here in (
            ("branch1", "shortcut"),
            ("branch2a", "conv1"),
            ("branch2b", "conv2"),
            ("branch2c", "conv3"),
        ):
            if name.startswith("res") and not name.startswith("res_conv1"):
                name = name.replace(here, theirs)
        name = name.replace(".norm", "_bn").replace(".", "_")
        ending = {"_bn_weight": "_bn_s", "_bn_bias": "_bn_b", "_weight": "_w"}
        for long, short in ending.items():
            if name.endswith(long):
                return name.removesuffix(long) + short
        return name

    torch.manual_seed(1)
    wanted = {name: torch.randn_like(tensor) for name, tensor in ours.state_dict().items() if "running" not in name}
    report = load_weights(ours, {caffe2(name): tensor for name, tensor in wanted.items()})
    assert report.complete
    loaded = ours.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())
    assert torch.equal(loaded["res2.0.conv1.norm.running_var"], torch.ones(64))


@pytest.mark.parametrize(
    "odd",
    [
        {"cls_score_w": torch.zeros(())},
        dict.fromkeys(["fpn_inner_res2_0_sum_w", "fpn_inner_res2_0_sum_w_w"], torch.zeros(1)),
    ],
)
def test_tensors_that_only_begin_like_caffe2s_do_not_fit(odd):
    """detectron2's table asserts and slices; a file from outside is refused by what it lacks instead."""
    tensors = {"res2_0_branch2a_w": torch.zeros(1), **odd}
    assert align(tensors, {"weight"}) == tensors
