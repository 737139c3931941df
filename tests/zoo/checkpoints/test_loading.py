import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from explorer.zoo import checkpoints
from explorer.zoo.checkpoints import CheckpointError, load_weights, read_checkpoint, save_safetensors
from explorer.zoo.downloads import sha256_of
from explorer.zoo.registry import safetensors_shapes


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 2))


def copy_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_untouched(module, before):
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_fitting_checkpoint_is_copied(tmp_path):
    source, target = network(1), network(2)
    torch.save({"model": source.state_dict()}, tmp_path / "x.pth")
    report = load_weights(target, tmp_path / "x.pth")
    assert report.complete
    assert str(report) == "x.pth: 7 of the model's 7 tensors fit."
    assert_untouched(target, copy_of(source))


def test_half_precision_takes_the_models_type():
    source, target = network(1).half(), network(2)
    load_weights(target, source.state_dict())
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.float())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("0.weight"), r"Missing from the checkpoint \(1\):\n  0: 1 tensor \(weight\)"),
        (lambda state: state.update(extra=torch.ones(1)), r"Left over in the checkpoint \(1\):"),
        (
            lambda state: state.update({"2.weight": torch.ones(4, 2)}),
            "2.weight: 4×2 in the checkpoint, 2×4 in the model",
        ),
        (lambda state: state.update({"2.bias": torch.ones(2, dtype=torch.int64)}), r"2\.bias: fractions on one side"),
        (lambda state: (state.clear(), state.update(other=torch.ones(2))), "0 of the model's 7 tensors fit"),
    ],
)
def test_what_does_not_fit_leaves_the_model_as_it_was(change, says):
    state, target = copy_of(network(1)), network(2)
    change(state)
    before = copy_of(target)
    with pytest.raises(CheckpointError, match=says):
        load_weights(target, state)
    assert_untouched(target, before)


class Touch:
    def __reduce__(self):
        return os.system, ("touch RAN",)


@pytest.mark.parametrize("kind", ["code", "truncated", "bomb", "head"])
def test_a_hostile_file_leaves_the_model_as_it_was(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target, path = network(2), tmp_path / "x.pth"
    before = copy_of(target)
    torch.save(network(1).state_dict(), path)
    content = {
        "code": pickle.dumps({"model": Touch()}),
        "truncated": path.read_bytes()[:-200],
        "bomb": b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
        "head": b"\xff" * 7 + b"\x7f{",
    }[kind]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="Nothing was loaded"):
        load_weights(target, path, allow_partial=True)
    assert_untouched(target, before)
    assert not Path("RAN").exists()


def test_partial_loading_copies_what_fits_and_reports_the_rest():
    state, target = copy_of(network(1)), network(2)
    kept = target[2].weight.clone()
    state["2.weight"] = torch.ones(81, 4)
    del state["2.bias"]
    state["old.head"] = torch.ones(1)
    report = load_weights(target, state, allow_partial=True)
    assert not report.complete
    assert (report.missing, report.unexpected) == (("2.bias",), ("old.head",))
    assert report.mismatched == {"2.weight": ((81, 4), (2, 4))}
    assert torch.equal(target[0].weight, state["0.weight"])
    assert torch.equal(target[2].weight, kept)


def test_partial_loading_wants_at_least_one_tensor():
    with pytest.raises(CheckpointError, match="0 of the model's"):
        load_weights(network(), {"x": torch.ones(1)}, allow_partial=True)


def test_partial_loading_does_not_reset_frozen_norms():
    from detectron2.layers import FrozenBatchNorm2d

    target = nn.Sequential(FrozenBatchNorm2d(2), nn.Linear(2, 1))
    target[0].running_var.fill_(7)
    load_weights(target, {"1.bias": torch.ones(1)}, allow_partial=True)
    assert target[0].running_var.tolist() == [7, 7]


def test_pixel_means_anchors_and_counters_are_neither_missed_nor_in_the_way():
    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 1)
            self.register_buffer("pixel_mean", torch.zeros(3, 1, 1))

    state = {"fc.weight": torch.ones(1, 2), "fc.bias": torch.ones(1)}
    state |= {
        "proposal_generator.anchor_generator.cell_anchors.0": torch.ones(3, 4),
        "x.num_batches_tracked": torch.ones(1),
    }
    assert load_weights(Detector(), state).complete


def test_the_report_groups_by_prefix_and_keeps_short():
    names = [f"backbone.bottom_up.stage5.OSA5_1.layers.{i}/conv.weight" for i in range(12)]
    names += [f"roi_heads.box_head.fc{i}.weight" for i in (1, 2)]
    mismatched = {f"roi_heads.box_predictor.{i}.weight": ((81, 4), ()) for i in range(8)}
    text = str(checkpoints.LoadReport("x.pth", ("a",), tuple(names), (), mismatched))
    assert text == (
        "x.pth: 1 of the model's 23 tensors fit.\n"
        "Missing from the checkpoint (14):\n"
        "  backbone.bottom_up.stage5: 12 tensors (OSA5_1.layers.0/conv.weight, OSA5_1.layers.1/conv.weight, "
        "OSA5_1.layers.2/conv.weight, …)\n"
        "  roi_heads.box_head.fc1: 1 tensor (weight)\n"
        "  roi_heads.box_head.fc2: 1 tensor (weight)\n"
        "Of another shape (8):\n"
        + "".join(
            f"  roi_heads.box_predictor.{i}.weight: 81×4 in the checkpoint, a single number in the model\n"
            for i in range(6)
        )
        + "  … and 2 more\n"
        "The predictors differ: the checkpoint was trained for another number of classes."
    )


def test_safetensors_are_written_and_read_back(tmp_path):
    state = copy_of(network(1))
    state["1.running_var"].fill_(1e-7)
    path = save_safetensors(state, tmp_path / "new/x.safetensors", {"licence": "Apache-2.0"})
    back = read_checkpoint(path)
    assert back["0.weight"].dtype == torch.float16
    assert torch.equal(back["0.weight"], state["0.weight"].half())
    assert torch.equal(back["1.running_var"], state["1.running_var"])
    assert list(path.parent.iterdir()) == [path]
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"licence": "Apache-2.0"}
    full = read_checkpoint(save_safetensors(state, path, half=False))
    assert torch.equal(full["0.weight"], state["0.weight"])


def test_large_weights_can_be_written_as_bytes(tmp_path):
    torch.manual_seed(0)
    state = {"large.weight": torch.randn(8, 4, 3, 3), "small.weight": torch.randn(2, 2), "large.bias": torch.randn(8)}
    state["large.weight"][3] = 0
    path = save_safetensors(state, tmp_path / "x.safetensors", bytes_from=100)
    with safe_open(path, "pt") as file:
        assert file.get_tensor("large.weight").dtype == torch.int8
        assert file.get_tensor("small.weight").dtype == torch.float16
    back = read_checkpoint(path)
    assert back.keys() == state.keys()
    step = state["large.weight"].flatten(1).abs().amax(1) / 127
    assert ((back["large.weight"] - state["large.weight"]).flatten(1).abs().amax(1) <= 0.51 * step).all()
    assert torch.equal(back["large.bias"], state["large.bias"])
    assert safetensors_shapes(path) == {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("odd", [{}, {"a": torch.zeros(3, 2)}, {"a": torch.zeros(2, 2, dtype=torch.int8)}])
def test_scales_without_their_bytes_are_refused(tmp_path, odd):
    path = save_safetensors(odd | {"a.byte_scale": torch.ones(3)}, tmp_path / "x.safetensors", half=False)
    with pytest.raises(CheckpointError, match="scales of a that do not belong to bytes"):
        read_checkpoint(path)


def test_a_file_goes_on_in_one_beside_it(tmp_path):
    save_safetensors({"b": torch.ones(2)}, tmp_path / "x-2.safetensors", half=False)
    state, path = {"a": torch.zeros(3)}, tmp_path / "x.safetensors"
    save_safetensors(state, path, {"continued_in": "../../x-2.safetensors"})
    assert {name: tuple(tensor.shape) for name, tensor in read_checkpoint(path).items()} == {"a": (3,), "b": (2,)}
    for rest in ("missing.safetensors", "x.safetensors"):
        save_safetensors(state, path, {"continued_in": rest})
        with pytest.raises(CheckpointError, match=f"goes on in {rest}, which is not beside it"):
            read_checkpoint(path)
    beside = tmp_path / "x-2.safetensors"
    save_safetensors(state, path, {"continued_in": beside.name, "continued_sha256": sha256_of(beside)})
    assert "b" in read_checkpoint(path)
    save_safetensors({"b": torch.zeros(2)}, beside, half=False)
    with pytest.raises(CheckpointError, match=r"goes on in x-2\.safetensors, but the file of that name is another one"):
        read_checkpoint(path)


def test_shared_and_strided_tensors_are_written(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    path = save_safetensors({"a": weight, "b": weight, "c": weight.T}, tmp_path / "x.safetensors", half=False)
    assert torch.equal(read_checkpoint(path)["c"], weight.T)


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = save_safetensors({"a": torch.ones(1)}, tmp_path / "x.safetensors")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"a does not fit float16. Save it with half=False"):
        save_safetensors({"a": torch.full((1, 1), 1e6)}, path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_safetensors({"a": torch.zeros(1)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("config", ["faster_rcnn_V_19_slim_dw_FPNLite_3x", "panoptic_fpn_V_39_FPN_3x"])
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_release_shaped_file_fills_the_detector(config, shared, tmp_path):
    """The release's names and shapes, in PyTorch's file format of that time, with nothing missing or left over."""
    import json

    from detectron2.modeling import build_model

    import explorer.backbones  # noqa: F401 - registers the builders
    from explorer.config import load_config

    shapes = json.loads((shared / "golden/upstream_state_dict.json").read_text())[f"{config}.yaml"]
    state = {name: torch.full(shape, 0.5).half() for name, shape in shapes.items()}
    torch.save({"model": state, "iteration": 1}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    model = build_model(load_config(config, ["MODEL.DEVICE", "cpu"]))
    report = load_weights(model, tmp_path / "x.pth")
    assert len(report.loaded) == len(shapes)
    assert all((tensor == 0.5).all() for name, tensor in model.state_dict().items() if name in shapes)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30])
def test_weights_that_are_not_finite_are_refused(number):
    module = torch.nn.Linear(2, 2).half()  # 1e30 is infinite there
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = {"weight": torch.tensor([[0.0, number], [0, 0]]), "bias": torch.zeros(2)}
    for partial in (False, True):
        with pytest.raises(CheckpointError, match=r"infinite or NaN, in 1 of 2 tensors, such as weight; nothing was"):
            load_weights(module, state, allow_partial=partial)
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
