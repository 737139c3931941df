"""Files that nobody thought of: sound ones changed at random, and random ones; minutes long.

Where the makers' own libraries read a file too, they must find the same tensors in it. Safetensors' must accept what is
accepted here.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import strategies as st
from torch import Tensor

from explorer.config import CONFIGS, config_names, load_config
from explorer.zoo.checkpoints.reading import CheckpointError, read_checkpoint
from tests.hostile.fuzzing import changes, fuzz
from tests.hostile.opcodes import saved, tensor, torch_legacy, torch_zip, value

pytestmark = pytest.mark.slow
Record = Callable[[str, object], None]
OF_NINE = 1 / 9  # fuzzers of checkpoints

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.0, 2.0]).half(), "n": torch.tensor(3)}
with zipfile.ZipFile(io.BytesIO(saved(STATE))) as _archive:
    _PICKLED = _archive.read("archive/data.pkl")
    _STORAGES = {key: _archive.read(f"archive/data/{key}") for key in "012"}
SOUND: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "x.pth": (saved(STATE), bytes),
    "x-legacy.pth": (saved(STATE, legacy=True), bytes),
    "x.pkl": (pickle.dumps({name: tensor.numpy() for name, tensor in STATE.items()}), bytes),
    "x.safetensors": (safetensors.torch.save(STATE), bytes),
    "x-pickle.pth": (_PICKLED, lambda pickled: torch_zip(pickled, _STORAGES)),
}
"""What is changed, and what is made of it then."""


def read_or_refuse(path: Path) -> dict[str, Tensor] | None:
    try:
        tensors = read_checkpoint(path)
    except CheckpointError:
        return None
    assert all(isinstance(tensor, Tensor) for tensor in tensors.values())
    return tensors


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    for name, found in ours.items():
        other = theirs[name].detach()
        assert (found.dtype, found.shape) == (other.dtype, other.shape)
        assert found.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()


def torch_load(content: bytes) -> dict[str, Tensor] | None:
    """PyTorch's own reading, None where it refuses: it knows fewer of pickle's instructions."""
    try:
        with warnings.catch_warnings(action="ignore"):
            loaded: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # it means a damaged file by all sorts of them
        return None
    return loaded


_LIBRARIES = {".safetensors": safetensors.torch.load, ".pth": torch_load}


@pytest.mark.parametrize("name", SOUND)
def test_changed_checkpoints_are_refused_or_read_as_their_makers_read_them(
    name: str, tmp_path: Path, record_property: Record
) -> None:
    path = tmp_path / name
    whole, made = SOUND[name]

    def check(changed: bytes) -> None:
        content = made(changed)
        path.write_bytes(content)
        ours = read_or_refuse(path)
        theirs = _LIBRARIES.get(path.suffix, lambda _: None)(content) if ours else None
        if ours and theirs is not None:
            same(ours, theirs)

    record_property("made up", fuzz(check, OF_NINE, changed=changes(whole)))


_ARGUMENTS = st.one_of(
    st.sampled_from(
        [b"", b"\0", b"\x01", b"0\n", b"collections\nOrderedDict\n", b"torch\nFloatStorage\n", b"os\nsystem\n"]
    ),
    st.binary(max_size=9),
)
_WORDS = st.sampled_from(
    [
        tensor(),
        tensor(size=(1,)),
        value(("storage", 1)),
        value({"a": 1}),
        value(2**70),
        value("latin1"),
        value(b"x" * 24),
    ]
)


@pytest.mark.parametrize("container", ["pkl", "pth", "legacy.pth"])
def test_random_programs_are_read_or_refused(container: str, tmp_path: Path, record_property: Record) -> None:
    path = tmp_path / f"x.{container}"
    codes = st.sampled_from([code.code.encode("latin-1") for code in pickletools.opcodes])
    step = st.one_of(st.tuples(codes, _ARGUMENTS).map(b"".join), _WORDS)

    def check(program: bytes) -> None:
        pickled = b"\x80\x02" + program + b"."
        whole = {"pkl": bytes, "pth": torch_zip, "legacy.pth": torch_legacy}[container](pickled)
        path.write_bytes(whole)
        read_or_refuse(path)

    record_property("made up", fuzz(check, OF_NINE, program=st.lists(step, max_size=25).map(b"".join)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4) | st.just("F32"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "w", "__metadata__"]), inner, max_size=4)
    ),
    max_leaves=12,
)
_TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "I8", "BOOL", "C64", ""]),
        "shape": st.lists(st.integers(-1, 9), max_size=3),
        "data_offsets": st.lists(st.integers(-1, 40), min_size=1, max_size=3),
    }
)


def test_random_heads_of_safetensors_are_refused_or_read_as_the_library_reads_them(
    tmp_path: Path, record_property: Record
) -> None:
    from tests.hostile.safetensors import built

    path = tmp_path / "x.safetensors"

    def check(head: dict[str, object], data: bytes) -> None:
        path.write_bytes(built(head, data))
        ours = read_or_refuse(path)
        if ours is not None and not any(name.endswith("byte_scale") for name in head):
            same(ours, safetensors.torch.load(path.read_bytes()))

    heads = st.dictionaries(st.text(max_size=3), _TENSOR | _JSON, max_size=3)
    record_property("made up", fuzz(check, OF_NINE, head=heads, data=st.binary(max_size=40)))


_SHIPPED = [(CONFIGS / name).read_bytes() for name in config_names() if name.endswith(".yaml")]
_WORDS_OF_YAML = (
    "MODEL: SEED _BASE_ x.yaml &a *a !!int !!python/name:os.x %YAML --- ... 1e9 2001-01-01 0x1 [ ] { } ' # ~ é"
)
_SNIPPETS = st.sampled_from(
    [*_WORDS_OF_YAML.split(), "\n", "\n  ", ": ", "- ", "? ", "<<: *a", '"', "|", ">", "\t", " "]
)


@pytest.mark.parametrize("kind", ["changed", "random"])
def test_configs_are_read_or_refused(kind: str, tmp_path: Path, record_property: Record) -> None:
    path = tmp_path / "x.yaml"
    texts = {
        "changed": st.sampled_from(_SHIPPED).flatmap(changes),
        "random": st.lists(_SNIPPETS, max_size=30).map(lambda parts: "".join(parts).encode()),
    }[kind]

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(ValueError):
            load_config(path)

    record_property("made up", fuzz(check, 1 / 2, content=texts))
