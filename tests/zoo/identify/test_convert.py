"""Networks taken out of files as they circulate: no number changes, and the way back gives the same file."""

import pytest
import torch
from safetensors.torch import save_file

from explorer.backbones import VoVNet
from explorer.backbones.deformable import Deformation
from explorer.zoo.checkpoints.reading import read_checkpoint, read_parts
from explorer.zoo.identify import SAID, identify
from explorer.zoo.identify.convert import TIMM_MODELS, convert
from explorer.zoo.identify.known import UNKNOWN
from tests.fixtures.wild import WILD, network, planner_with_timm, under

STEM = "stem.stem_1/conv.weight"


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("kind", WILD)
def test_a_wild_file_becomes_a_clean_one_and_the_round_trip_is_bit_exact(kind, tmp_path):
    net = WILD[kind](tmp_path / kind)
    clean, other, back = (tmp_path / f"{name}.safetensors" for name in ("clean", "other", "back"))
    done = convert(tmp_path / kind, clean)
    assert_same(read_checkpoint(clean), net.state_dict())
    assert done.tensors == len(net.state_dict())
    before, after = identify(tmp_path / kind), identify(clean)
    assert (after.naming, after.prefix, after.beside) == ("release", "", ())
    assert (after.variant, after.overrides, after.ese) == (before.variant, before.overrides, before.ese)

    convert(clean, other, to="img_backbone")
    assert all(name.startswith("img_backbone.") for name in read_checkpoint(other))
    convert(other, back)
    assert back.read_bytes() == clean.read_bytes()


@pytest.mark.parametrize("order", ["rgb", "BGR"])
def test_another_channel_order_flips_the_stem_and_nothing_else(order, tmp_path):
    net = WILD["dd3d.pth"](tmp_path / "f.pth")
    out, back = tmp_path / "out.safetensors", tmp_path / "back.safetensors"
    source = {"rgb": "bgr", "BGR": "rgb"}[order]
    done = convert(tmp_path / "f.pth", out, channel_order=order, source_order=source)
    assert (done.channel_order, done.flipped) == (order.upper(), True)
    written, given = read_checkpoint(out), net.state_dict()
    assert torch.equal(written[STEM], given[STEM].flip(1))
    assert_same({**written, STEM: given[STEM]}, given)
    assert identify(out).channel_order == order.upper()
    image = torch.rand(1, 3, 64, 64)
    flipped = VoVNet(net.spec, norm="BN").eval()
    flipped.load_state_dict(written)
    with torch.no_grad():
        for ours, theirs in zip(flipped(image.flip(1)).values(), net(image).values(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)

    again = convert(out, back, channel_order=source)
    assert again.flipped
    assert_same(read_checkpoint(back), given)


def test_an_order_that_is_not_known_is_asked_for(tmp_path):
    WILD["dd3d.pth"](tmp_path / "f.pth")
    out = tmp_path / "out.safetensors"
    with pytest.raises(ValueError, match=r"RGB or BGR is not known.*--source-order"):
        convert(tmp_path / "f.pth", out, channel_order="rgb")
    assert not out.exists()
    assert convert(tmp_path / "f.pth", out).channel_order == UNKNOWN
    convert(tmp_path / "f.pth", out, source_order="bgr")
    with pytest.raises(ValueError, match="known to take BGR, not RGB"):
        convert(out, out, source_order="rgb")


@pytest.mark.parametrize("variant", [name for name in TIMM_MODELS if "99" not in name and "57" not in name])
def test_timm_takes_what_is_written_for_it_and_gives_the_same_features(variant, tmp_path):
    timm = pytest.importorskip("timm")
    net = network(variant, ese="last" if variant.endswith("eSE") else None)
    torch.save(under("model.", net), tmp_path / "f.pth")
    out, back = tmp_path / "timm.safetensors", tmp_path / "back.safetensors"
    done = convert(tmp_path / "f.pth", out, to="timm")
    theirs = timm.create_model(done.timm_model, num_classes=0).eval()
    theirs.load_state_dict(read_checkpoint(out), strict=True)
    image = torch.linspace(-2, 2, 3 * 64 * 96).sin().view(1, 3, 64, 96)
    with torch.no_grad():
        features = theirs.forward_intermediates(image, indices=[1, 2, 3, 4], intermediates_only=True)
        for reference, ours in zip(features, net(image).values(), strict=True):
            assert (reference - ours).abs().max() <= 1e-5 * reference.abs().max()
    convert(out, back)
    assert_same(read_checkpoint(back), net.state_dict())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"variant": "V-39-eSE"}, "eSE on every block"),
        ({"variant": "V-27-slim"}, "no such VoVNet"),
        ({"variant": "V-39", "deformation": Deformation((False, False, False, True))}, "no such VoVNet"),
        ({"ese": "none"}, "no such VoVNet"),
    ],
    ids=["eSE everywhere", "V-27", "deformable", "without eSE"],
)
def test_what_timm_has_not_is_not_written_for_it(options, why, tmp_path):
    torch.save(under("", network(**options)), tmp_path / "f.pth")
    with pytest.raises(ValueError, match=why):
        convert(tmp_path / "f.pth", tmp_path / "out.safetensors", to="timm")


def test_what_cannot_be_converted_is_said(tmp_path):
    out = tmp_path / "out.safetensors"
    planner_with_timm(tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match="no target 'mmdet': choose one of release, timm, img_backbone"):
        convert(tmp_path / "f.safetensors", out, to="mmdet")
    with pytest.raises(ValueError, match=r"does not end in \.safetensors"):
        convert(tmp_path / "f.safetensors", tmp_path / "out.pth")
    with pytest.raises(ValueError, match="--channel-order is 'grey': give rgb or bgr"):
        convert(tmp_path / "f.safetensors", out, channel_order="grey")
    state = under("", network())
    del state["stage3.OSA3_1.ese.fc.bias"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"no whole VoVNet.*it lacks stage3\.OSA3_1\.ese\.fc\.bias"):
        convert(tmp_path / "part.pth", out)
    assert not out.exists()


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[1]",
        "[" * 9000,
        '{"overrides": [[1]]}',
        '{"overrides": ["MODEL.WEIGHTS", "x"]}',
        '{"overrides": ["MODEL.VOVNET.ESE"]}',
        '{"overrides": 7, "pixels": {"order": 1}}',
    ],
)
def test_what_a_files_head_says_is_data(text, tmp_path):
    save_file(under("", network()), tmp_path / "f.safetensors", {SAID: text})
    assert SAID in read_parts(tmp_path / "f.safetensors").metadata
    found = identify(tmp_path / "f.safetensors")
    assert (found.overrides, found.channel_order) == ((), UNKNOWN)
