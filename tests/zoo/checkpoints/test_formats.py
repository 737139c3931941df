"""Our readers of the three formats against those of their makers, on sound files."""

import io
import mmap
import zipfile

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.zoo.checkpoints.archives import torch_members
from explorer.zoo.checkpoints.reading import read_checkpoint, read_content
from explorer.zoo.checkpoints.tensors import numbers_at
from tests.hostile.opcodes import Member, saved, state, tensor, zipped
from tests.hostile.opcodes import torch_members as members_of

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
DTYPES += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


@st.composite
def tensors(draw):
    """Tensors of any plain type: slices, transposed, empty, single numbers, and several over one storage."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    whole = torch.randint(0, 2, [*shape, 3]).to(draw(st.sampled_from(DTYPES)))
    view = draw(st.sampled_from(["whole", "slice", "transposed", "shared", "parameter"]))
    if view == "slice":
        return {"a": whole[..., 1]}
    if view == "transposed":
        return {"a": whole.transpose(0, -1)}
    if view == "shared":
        return {"a": whole[..., :2], "b": whole}
    if view == "parameter" and whole.is_floating_point():
        return {"a": torch.nn.Parameter(whole)}
    return {"a": whole}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, found in ours.items():
        assert found.dtype == theirs[name].dtype
        assert torch.equal(found, theirs[name])


@given(content=tensors(), legacy=st.booleans(), mapped=st.booleans())
@settings(max_examples=150, deadline=None)
def test_torch_files_are_read_as_torch_reads_them(tmp_path_factory, content, legacy, mapped):
    path = tmp_path_factory.getbasetemp() / "parity.pth"
    path.write_bytes(saved(content, legacy=legacy))
    ours = read_content(path, mapped=mapped)
    theirs = torch.load(path, weights_only=True)
    same(ours, theirs)
    assert all(ours[name].stride() == theirs[name].stride() for name in ours if ours[name].numel())


@given(content=tensors())
@settings(max_examples=60, deadline=None)
def test_safetensors_are_read_as_their_library_reads_them(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "parity.safetensors"
    path.write_bytes(safetensors.torch.save({name: one.detach().clone().contiguous() for name, one in content.items()}))
    same(read_content(path), safetensors.torch.load_file(path))


def test_a_training_state_comes_back_whole(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    state = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "best": float("nan"), "none": None}
    torch.save(state, tmp_path / "x.pth")
    ours, theirs = read_content(tmp_path / "x.pth", mapped=False), torch.load(tmp_path / "x.pth", weights_only=True)
    same(ours["model"], theirs["model"])
    assert ours["optimizer"]["param_groups"] == theirs["optimizer"]["param_groups"]
    for index, moments in theirs["optimizer"]["state"].items():
        same(ours["optimizer"]["state"][index], moments)
    optimizer.load_state_dict(ours["optimizer"])
    assert ours["none"] is None


def content_of(whole: bytes) -> mmap.mmap:
    content = mmap.mmap(-1, len(whole))
    content[:] = whole
    return content


SOUND = members_of(state(tensor()))


@pytest.mark.parametrize(
    "whole",
    [
        zipped(SOUND),
        zipped(SOUND, count=0xFFFF, start=0xFFFFFFFF, wide=(0, 0, 0)),
        zipped(SOUND, wide=(0, 0, 0)),
        zipped([*SOUND, Member("x/.data/serialization_id", b"1")]),
    ],
    ids=["narrow", "wide", "both", "more members"],
)
def test_sound_archives_are_read(whole, tmp_path):
    """What the hostile ones are made from."""
    (tmp_path / "x.pth").write_bytes(whole)
    ours = read_checkpoint(tmp_path / "x.pth")
    same(ours, torch.load(tmp_path / "x.pth", weights_only=True))
    assert torch.equal(ours["w"], torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("wide", [False, True])
def test_archives_of_other_programs_are_read(wide):
    """Python's zipfile writes wide headers of members where it is told to."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member in SOUND:
            with archive.open(member.name, "w", force_zip64=wide) as out:
                out.write(member.data)
    whole = stream.getvalue()
    members = torch_members(content_of(whole))
    assert {name: whole[place] for name, place in members.items()} == {
        member.name.removeprefix("x/"): member.data for member in SOUND
    }


def test_numbers_that_lie_askew_are_copied():
    content = content_of(b"x" + bytes([0, 0, 128, 63]))
    found = numbers_at(content, torch.float32, 1, 1)
    assert found.tolist() == [1.0]
    assert found.data_ptr() % 4 == 0


def test_what_is_written_to_a_mapped_tensor_does_not_reach_the_file(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(zipped(SOUND))
    read_checkpoint(path)["w"].zero_()
    assert path.read_bytes() == zipped(SOUND)


def test_a_state_that_is_read_does_not_follow_its_file(tmp_path):
    path = tmp_path / "x.pth"
    whole = saved({"w": torch.ones(100_000)})
    path.write_bytes(whole)
    kept = read_content(path, mapped=False)["w"]
    with path.open("r+b") as file:
        file.write(bytes(len(whole)))
    assert (kept == 1).all()
