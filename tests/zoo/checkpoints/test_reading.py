import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from explorer.zoo.checkpoints.reading import CheckpointError, read_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.0, 2.0]).half()}


def save_pth(content, path):
    torch.save(content, path)


def save_legacy(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_pkl(content, path):
    path.write_bytes(pickle.dumps({key: value.numpy() for key, value in content.items()}))


WRITERS = {"pth": save_pth, "legacy.pth": save_legacy, "pkl": save_pkl, "safetensors": save_file}


@pytest.fixture(params=WRITERS)
def good(request, tmp_path):
    """A sound file of each kind."""
    path = tmp_path / f"good.{request.param}"
    WRITERS[request.param](STATE, path)
    return path


def same(tensors, expected=STATE):
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected[name])
        assert tensor.dtype == expected[name].dtype


def test_each_kind_is_read(good):
    same(read_checkpoint(good))


def test_kinds_are_told_apart_by_content(good):
    renamed = good.with_name("weights.bin")
    good.rename(renamed)
    same(read_checkpoint(str(renamed)))


@pytest.mark.parametrize("save", [save_pth, save_legacy])
@pytest.mark.parametrize("key", ["model", "state_dict", "model_state"])
def test_containers_are_opened_and_the_rest_stays_behind(save, key, tmp_path):
    weights = collections.OrderedDict((f"module.{name}", tensor) for name, tensor in STATE.items())
    weights._metadata = {"": {"version": 1}}
    milestones = collections.Counter([1, 2])
    rest = {
        "iteration": 3,
        "scheduler": {"milestones": milestones, "last": -1},
        "optimizer": {"state": {0: {"m": torch.ones(2)}}},
    }
    save({key: weights, **rest}, tmp_path / "full.pth")
    same(read_checkpoint(tmp_path / "full.pth"))


def test_parameters_and_compiled_models_are_read(tmp_path):
    module = torch.nn.Linear(3, 2)
    content = {f"_orig_mod.{name}": parameter for name, parameter in module.named_parameters()}
    torch.save(content, tmp_path / "p.pth")
    same(read_checkpoint(tmp_path / "p.pth"), module.state_dict())


def test_detectron2_and_caffe2_pickles_are_opened(tmp_path):
    arrays = {name: tensor.numpy() for name, tensor in STATE.items()}
    zoo = {"model": arrays, "__author__": "detectron2", "matching_heuristics": True}
    caffe2 = {"blobs": {**arrays, "a.weight_momentum": np.zeros(3), "weight_order": "abc"}, "cfg": "text"}
    for content in (zoo, caffe2):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=2))
        same(read_checkpoint(tmp_path / "x.pkl"))


def refuse(path, says):
    with pytest.raises(CheckpointError, match=says) as refusal:
        read_checkpoint(path)
    assert str(refusal.value).count("\n") == 0
    assert path.name in str(refusal.value)


class Touch:
    def __reduce__(self):
        return os.system, ("touch RAN",)


@pytest.mark.parametrize("kind", ["pth", "legacy.pth", "pkl", "safetensors"])
def test_code_on_load_never_runs(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"hostile.{kind}"
    content = {**STATE, "x": Touch()}
    if kind == "pth":
        save_pth(content, path)
    elif kind == "legacy.pth":
        save_legacy(content, path)
    else:
        path.write_bytes(pickle.dumps({"x": Touch()}))
    refuse(path, r"asks for (posix|nt|os)\.system")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 30, 0.5, 0.9, -1])
def test_truncated_files_are_refused(good, kept):
    whole = good.read_bytes()
    good.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    refuse(good, "not a usable checkpoint")


def rezip(path, *, compression=zipfile.ZIP_STORED, change=None):
    """Writes a `.pth` archive anew, with its members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (change or (lambda _: None))(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def pth(tmp_path):
    save_pth(STATE, tmp_path / "x.pth")
    return tmp_path / "x.pth"


def test_a_compressed_bomb_is_refused_unopened(pth):
    rezip(pth, compression=zipfile.ZIP_DEFLATED, change=lambda members: members.update({"x/data/9": bytes(50_000_000)}))
    assert pth.stat().st_size < 100_000
    refuse(pth, "is compressed, as torch.save never does: it may be a zip bomb")


def test_a_bomb_of_overlapping_members_is_refused(pth):
    """Many members of the directory that share one stretch of the file."""
    whole = pth.read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack("<HII", whole[end + 10 : end + 20])
    directory = whole[offset : offset + size]
    at, longest = 0, b""
    while at < size:
        lengths = struct.unpack("<HHH", directory[at + 28 : at + 34])
        record = directory[at : at + 46 + sum(lengths)]
        longest = max(longest, record, key=lambda r: struct.unpack("<I", r[24:28])[0] if r else -1)
        at += len(record)
    many = directory + longest * 1000
    tail = whole[end : end + 8] + struct.pack("<HHII", count + 1000, count + 1000, len(many), offset) + b"\0\0"
    pth.write_bytes(whole[:offset] + many + tail)
    refuse(pth, "zip bomb|is damaged")


def test_a_declared_storage_beyond_the_file_is_refused(pth, tmp_path):
    length = len(STATE["a.weight"].flatten())
    small, huge = b"K" + bytes([length]) + b"t", b"\x8a\x08" + struct.pack("<q", 10**12) + b"t"

    def grow(members):
        (name,) = [name for name in members if name.endswith("data.pkl")]
        assert members[name].count(small) == 1
        members[name] = members[name].replace(small, huge)

    rezip(pth, change=grow)
    refuse(pth, "storage of 1000000000000 numbers")
    save_legacy({"w": torch.zeros(length)}, tmp_path / "l.pth")
    whole = (tmp_path / "l.pth").read_bytes()
    (tmp_path / "l.pth").write_bytes(whole.replace(b"K" + bytes([length]) + b"Nt", huge[:-1] + b"Nt"))
    refuse(tmp_path / "l.pth", "storage of 1000000000000 numbers")


def test_a_tensor_beyond_its_storage_is_refused(pth):
    def grow(members):
        (name,) = [name for name in members if name.endswith("data.pkl")]
        changed = members[name].replace(b"K\x02K\x03\x86", b"M\x00\x40M\x00\x40\x86", 1)
        assert changed != members[name]
        members[name] = changed

    rezip(pth, change=grow)
    refuse(pth, r"shape \(16384, 16384\) that reaches beyond its storage of 6 numbers")


@pytest.mark.parametrize(
    "call", [b"c__builtin__\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R", b")" + b"\x85" * 10**6]
)
def test_what_weights_only_would_let_through_is_refused(pth, call):
    """A bytearray of any length, and keys nested so deep that hashing them overflows the stack."""

    def replace(members):
        (name,) = [name for name in members if name.endswith("data.pkl")]
        members[name] = b"\x80\x02}" + call + b"K\x01s."

    rezip(pth, change=replace)
    refuse(pth, "asks for __builtin__.bytearray|nests tuples")


def test_archives_that_hold_code_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/code/__torch__.py", "def f(): ...")
    refuse(tmp_path / "x.pth", "none that torch.save writes")


@pytest.mark.parametrize("length", [2**63, 10**9, 3])
def test_safetensors_with_an_absurd_head_are_refused(length, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", length) + b'{"a": 1}')
    refuse(tmp_path / "x.safetensors", "is damaged")


def test_safetensors_with_wrong_shapes_or_offsets_are_refused(tmp_path):
    for shape, offsets in (([10**12], [0, 8]), ([2], [0, 10**12]), ([2], [8, 0]), ([-1], [0, 8])):
        head = f'{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": {offsets}}}}}'.encode()
        (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + bytes(8))
        refuse(tmp_path / "x.safetensors", "is damaged")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html><title>Dropbox</title>", "is a web page"),
        (b"\x89PNG\r\n\x1a\n", "neither safetensors"),
        (b"", "is empty"),
    ],
)
def test_other_files_are_named(content, says, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    refuse(tmp_path / "x.pth", says)


@pytest.mark.parametrize(
    ("content", "says"),
    [([1, 2], "holds a list"), ({"model": {}}, "holds no tensors"), ({"iteration": 3}, "holds no tensors")],
)
def test_files_without_tensors_are_named(content, says, tmp_path):
    torch.save(content, tmp_path / "x.pth")
    refuse(tmp_path / "x.pth", says)


def test_complex_tensors_are_refused(tmp_path):
    save_file({"w": torch.zeros(2, dtype=torch.complex64)}, tmp_path / "x.safetensors")
    refuse(tmp_path / "x.safetensors", "something else than a plain tensor")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pth: there is no such file"):
        read_checkpoint(tmp_path / "none.pth")


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_are_read_or_refused(good, data):
    """Whatever a byte is changed to, there are plain tensors or a CheckpointError."""
    whole = bytearray(io.BytesIO(good.read_bytes()).getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = good.with_name(f"damaged{good.suffix}")
    damaged.write_bytes(whole)
    try:
        tensors = read_checkpoint(damaged)
    except CheckpointError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
