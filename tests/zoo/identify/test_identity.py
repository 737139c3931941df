"""Files as they circulate are identified, and their tensors give their makers' features."""

import json

import pytest
import torch

from explorer.backbones import VARIANTS, VoVNet
from explorer.zoo.checkpoints import load_weights
from explorer.zoo.checkpoints.reading import CheckpointError, read_checkpoint
from explorer.zoo.checkpoints.vovnet_names import sightings
from explorer.zoo.identify import find, identify
from explorer.zoo.identify.known import UNKNOWN
from explorer.zoo.identify.shapes import fit
from tests.fixtures.wild import SMALL, WILD, belenko_maps, network, toolbox_maps, under, zeros

EXPECTED = {
    "streampetr.pth": (SMALL, "img_backbone.", "release", "all"),
    "dd3d.pth": (SMALL, "backbone.bottom_up.", "release", "all"),
    "planner.ckpt": ("V-27-slim", "model.backbone.bottom_up.", "release", "none"),
    "mmdet.pth": ("V-27-slim", "module.backbone.", "release", "none"),
    "planner.safetensors": (SMALL, "encoder.backbone.", "timm", "all"),
    "vovnet27_slim_ese.pth": ("V-27-slim", "", "vision-toolbox", "all"),
    "vovnet27-slim.pt": ("V-27-slim", "", "1e100", "all"),
    "backbone.pkl": (SMALL, "backbone.bottom_up.", "release", "all"),
}
IMAGE = torch.linspace(-2, 2, 3 * 96 * 128).sin().view(1, 3, 96, 128)


@pytest.mark.parametrize("kind", WILD)
def test_a_wild_file_is_identified_and_loads_into_a_detectors_backbone(kind, tmp_path):
    path = tmp_path / kind
    net = WILD[kind](path)
    found = identify(path)
    assert (found.variant, found.prefix, found.naming, found.ese) == EXPECTED[kind]
    assert found.tensors_matched == len(net.state_dict())
    assert found.tensors_total == found.tensors_matched + sum(group.tensors for group in found.beside)
    assert not found.missing
    assert found.channel_order == UNKNOWN
    assert found.command == f"explorer features backbone:{path} PHOTO"
    json.dumps(found.as_dict())

    place = torch.nn.ModuleDict({"backbone": torch.nn.ModuleDict({"bottom_up": network_like(net)})})
    report = load_weights(place, path, allow_partial=True)
    assert not report.missing
    assert not report.mismatched
    loaded = place["backbone"]["bottom_up"].state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in net.state_dict().items())


def network_like(net):
    """The same network with other weights."""
    torch.manual_seed(1)
    return VoVNet(net.spec, norm="BN", deformation=deformation_of(net))


def deformation_of(net):
    from explorer.backbones.deformable import Deformation

    stages = [any("conv_offset" in name for name in getattr(net, f"stage{i}").state_dict()) for i in range(2, 6)]
    return Deformation(tuple(stages))


def test_what_stands_beside_is_said(tmp_path):
    WILD["dd3d.pth"](tmp_path / "f.pth")
    found = identify(tmp_path / "f.pth")
    assert found.containers == ("model",)
    assert found.optimiser
    assert found.stored_beside == ("optimizer", "iteration")
    assert [(group.name, group.kind, group.tensors) for group in found.beside] == [
        ("backbone.fpn_lateral2", "neck", 1),
        ("fcos2d_head", "head", 1),
    ]
    WILD["mmdet.pth"](tmp_path / "g.pth")
    found = identify(tmp_path / "g.pth")
    assert found.deformable_stages == (3, 4, 5)
    assert ("MODEL.VOVNET.WITH_MODULATED_DCN", "True") in zip(found.overrides[::2], found.overrides[1::2], strict=True)
    assert [(group.name, group.kind) for group in found.beside] == [
        ("module.bbox_head", "head"),
        ("module.neck", "neck"),
    ]
    WILD["planner.ckpt"](tmp_path / "h.ckpt")
    found = identify(tmp_path / "h.ckpt")
    assert (found.format, found.generation, found.optimiser) == ("PyTorch, before 1.6", "V1", True)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_told_by_its_tensors(name):
    with torch.device("meta"):
        stored = under("any.thing.", VoVNet(name, norm="BN"))
    (seen,) = sightings(stored)
    own = fit({name: tuple(tensor.shape) for name, tensor in seen.tensors(stored).items()})
    assert (seen.prefix, own.variant, own.overrides) == ("any.thing.", name, ())
    assert len(own.matched) == len(stored) == {"V-99-eSE": 626}.get(name, len(stored))


def test_a_backbone_that_ends_at_stage_4_says_so(tmp_path):
    torch.save(under("backbone.", network(out_features=["stage4"])), tmp_path / "f.pth")
    found = identify(tmp_path / "f.pth")
    assert (found.variant, found.missing) == (SMALL, ())
    assert found.overrides == ("MODEL.VOVNET.OUT_FEATURES", "['stage2', 'stage3', 'stage4']")


def test_a_missing_tensor_is_named(tmp_path):
    state = under("", network())
    del state["stage3.OSA3_1.ese.fc.bias"]
    torch.save(state, tmp_path / "f.pth")
    assert identify(tmp_path / "f.pth").missing == ("stage3.OSA3_1.ese.fc.bias",)


@pytest.mark.parametrize(
    ("kind", "maps"), [("vovnet27_slim_ese.pth", toolbox_maps), ("vovnet27-slim.pt", belenko_maps)]
)
def test_other_makers_networks_give_their_makers_features(kind, maps, tmp_path):
    """Strides of the stem, the pooling in stage 2, centred windows, and where identity is added."""
    from explorer.config import get_cfg

    WILD[kind](tmp_path / kind)
    found = identify(tmp_path / kind)
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.VOVNET.CONV_BODY", found.variant, *found.overrides])
    ours = VoVNet(cfg, None).eval()
    load_weights(ours, tmp_path / kind, allow_partial=True)
    with torch.no_grad():
        expected = maps(read_checkpoint(tmp_path / kind), IMAGE)
        features = list(ours(IMAGE).values())
    for feature, reference in zip(features, expected, strict=True):
        assert feature.shape == reference.shape
        assert (feature - reference).abs().max() <= 1e-5 * reference.abs().max()


def test_of_a_teacher_and_a_student_the_first_is_taken_and_the_other_said(tmp_path):
    net = network()
    torch.save({**under("teacher.backbone.", net), **under("student.backbone.", net)}, tmp_path / "f.pth")
    found = identify(tmp_path / "f.pth")
    assert found.prefix == "teacher.backbone."
    assert [(group.name, group.kind) for group in found.beside] == [("student", "VoVNet")]


def test_a_file_without_a_vovnet_and_one_of_unknown_widths(tmp_path):
    torch.save(zeros("layer1.0.conv1.weight", "fc.weight"), tmp_path / "f.pth")
    found = identify(tmp_path / "f.pth")
    assert (found.naming, found.variant, found.command, found.tensors_total) == (None, None, "", 2)
    torch.save(zeros("stem.stem_1/conv.weight", "stage2.OSA2_1.ese.fc.bias"), tmp_path / "g.pth")
    found = identify(tmp_path / "g.pth")
    assert (found.naming, found.variant, found.tensors_matched) == ("release", None, 0)
    assert find(tmp_path / "g.pth").fit is None


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path):
    (tmp_path / "f.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="is neither safetensors, nor"):
        identify(tmp_path / "f.pth")


@pytest.mark.parametrize("number", ["9" * 5000, "999"])
@pytest.mark.parametrize("name", ["stages.0.blocks.{}.conv_mid.0.conv.weight", "body.osa{}.ese.conv.bias"])
def test_blocks_of_absurd_numbers_are_no_vovnets(name, number):
    stored = zeros("stages.0.blocks.0.conv_concat.conv.weight", "body.osa0.exit_conv.0.weight", name.format(number))
    assert all(fit({n: tuple(t.shape) for n, t in seen.tensors(stored).items()}) is None for seen in sightings(stored))
