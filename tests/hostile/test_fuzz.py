"""Files that nobody thought of: sound ones changed at random, and random ones; minutes long.

Where the makers' own libraries read a file too, they must find the same tensors in it. Safetensors' must accept what is
accepted here.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from explorer.config import CONFIGS, config_names, load_config
from explorer.zoo.checkpoints.reading import CheckpointError, read_checkpoint
from tests.hostile.opcodes import saved, tensor, torch_legacy, torch_zip, value

pytestmark = pytest.mark.slow
LONG = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))

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
WORTHWHILE = [
    b"\0",
    b"\x01",
    b"\xff" * 4,
    b"\xff" * 8,
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"(",
    b".",
    b"R",
    b"Q",
    b"\x85",
    b"[",
]


@st.composite
def changes(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file in which some bytes are overwritten, put in, cut out, or moved."""
    content = whole
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        fresh = draw(
            st.one_of(
                st.binary(min_size=1, max_size=4),
                st.sampled_from(WORTHWHILE),
                st.integers(0, 2**64 - 1).map(lambda n: struct.pack("<Q", n)),
                st.integers(0, max(len(content) - 64, 0)).map(lambda other, now=content: now[other : other + 64]),
            )
        )
        gone = draw(st.sampled_from([len(fresh), len(fresh), len(fresh), 0, 1, 16]))
        content = content[:at] + fresh + content[at + gone :]
    return content


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
def test_changed_checkpoints_are_refused_or_read_as_their_makers_read_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    whole, made = SOUND[name]

    @LONG
    @given(changed=changes(whole))
    def check(changed: bytes) -> None:
        content = made(changed)
        path.write_bytes(content)
        ours = read_or_refuse(path)
        theirs = _LIBRARIES.get(path.suffix, lambda _: None)(content) if ours else None
        if ours and theirs is not None:
            same(ours, theirs)

    check()


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
def test_random_programs_are_read_or_refused(container: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{container}"
    codes = st.sampled_from([code.code.encode("latin-1") for code in pickletools.opcodes])
    step = st.one_of(st.tuples(codes, _ARGUMENTS).map(b"".join), _WORDS)

    @LONG
    @given(program=st.lists(step, max_size=25).map(b"".join))
    def check(program: bytes) -> None:
        pickled = b"\x80\x02" + program + b"."
        whole = {"pkl": bytes, "pth": torch_zip, "legacy.pth": torch_legacy}[container](pickled)
        path.write_bytes(whole)
        read_or_refuse(path)

    check()


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


def test_random_heads_of_safetensors_are_refused_or_read_as_the_library_reads_them(tmp_path: Path) -> None:
    from tests.hostile.safetensors import built

    path = tmp_path / "x.safetensors"

    @LONG
    @given(head=st.dictionaries(st.text(max_size=3), _TENSOR | _JSON, max_size=3), data=st.binary(max_size=40))
    def check(head: dict[str, object], data: bytes) -> None:
        path.write_bytes(built(head, data))
        ours = read_or_refuse(path)
        if ours is not None and not any(name.endswith("byte_scale") for name in head):
            same(ours, safetensors.torch.load(path.read_bytes()))

    check()


_SHIPPED = [(CONFIGS / name).read_bytes() for name in config_names() if name.endswith(".yaml")]
_WORDS_OF_YAML = (
    "MODEL: SEED _BASE_ x.yaml &a *a !!int !!python/name:os.x %YAML --- ... 1e9 2001-01-01 0x1 [ ] { } ' # ~ é"
)
_SNIPPETS = st.sampled_from(
    [*_WORDS_OF_YAML.split(), "\n", "\n  ", ": ", "- ", "? ", "<<: *a", '"', "|", ">", "\t", " "]
)


@pytest.mark.parametrize("kind", ["changed", "random"])
def test_configs_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    texts = {
        "changed": st.sampled_from(_SHIPPED).flatmap(changes),
        "random": st.lists(_SNIPPETS, max_size=30).map(lambda parts: "".join(parts).encode()),
    }[kind]

    @settings(LONG, max_examples=1500)
    @given(content=texts)
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(ValueError):
            load_config(path)

    check()
