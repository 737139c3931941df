import argparse
import collections
import contextlib
import io
import os
import pickle
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from explorer.zoo.checkpoints.pickles import PickleError, read_pickle
from explorer.zoo.checkpoints.reading import read_checkpoint

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(content: bytes):
    return read_pickle(io.BytesIO(content), len(content))


class Calls:
    """Pickles to a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_and_containers_come_back(protocol):
    weights = {
        "float": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
        "half": np.ones((2, 0, 3), np.float16),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">f4"),
        "integers": np.arange(4),
        "flags": np.array([True, False]),
        "number": np.array(3.0),
    }
    other = {"text": "ü", "list": [1, -2.5, None, True, 10**30], "tuple": (1, ("a", b"b")), "scalar": np.float32(2.5)}
    ordered = collections.OrderedDict(a=1)
    back = load(pickle.dumps({"model": weights, "other": other, "ordered": ordered}, protocol=protocol))
    for name, array in weights.items():
        np.testing.assert_array_equal(back["model"][name], array)
        assert back["model"][name].dtype == array.dtype.newbyteorder("=")
    assert back["other"] == other
    assert type(back["other"]["tuple"]) is type(back["other"]["tuple"][1]) is tuple  # what is read can be written again
    assert back["ordered"] == {"a": 1}


@given(
    array=arrays.arrays(st.sampled_from([np.float32, np.float16, np.int64, np.uint8]), arrays.array_shapes(min_side=0)),
    protocol=st.sampled_from(PROTOCOLS),
)
@settings(max_examples=60, deadline=None)
def test_any_array_comes_back(array, protocol):
    back = load(pickle.dumps({"w": array}, protocol=protocol))["w"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


def test_python_2_and_numpy_1_are_understood():
    """The opcodes of the first ImageNet weights: text as bytes, NumPy's old module path."""
    content = (
        b"\x80\x02}U\x05res_wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04" + struct.pack("<f", 1.5) + b"tbs."
    )
    np.testing.assert_array_equal(load(content)["res_w"], [1.5])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "hostile",
    [
        Calls(os.system, "touch RAN"),
        Calls(eval, "open('RAN', 'w')"),
        Calls(getattr, "x", "join"),
        Calls(np.load, "RAN"),
        Calls(np.ndarray, (10**12,)),
        Calls(bytearray, 10**12),
    ],
    ids=lambda hostile: f"{hostile.call[0].__module__}.{hostile.call[0].__name__}",
)
def test_calls_are_refused_by_name_and_nothing_runs(hostile, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PickleError, match=r"asks for|is damaged"):
        load(pickle.dumps({"model": hostile}, protocol=protocol))
    assert not list(tmp_path.iterdir())


def array_of(shape, raw, dtype="f4"):
    """A protocol-2 pickle of an array that declares `shape` and holds `raw`."""
    dumped = pickle.dumps((1, shape, np.dtype(dtype), False, raw), protocol=3)[2:-1]
    return (
        b"\x80\x03}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R" + dumped + b"bs."
    )


def huge_shape():
    """18 kB that declare an array of 4,000 sides of 13 kB each, one number referred to again and again."""
    raw = pickle.dumps(((1 << 100_000),) * 4000, protocol=2)[2:-1]
    side = raw[raw.index(b"\x8b") :][: 5 + 12_501]
    shape = b"(" + side + b"q\x64" + b"h\x64" * 3999 + b"t"
    content = array_of("SHAPE", b"1234")
    text = pickle.dumps("SHAPE", protocol=3)[2:-3]
    assert content.count(text) == 1
    return content.replace(text, shape)


def nested_tuples(depth):
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (array_of((10**12,), b"1234"), r"declares an array of shape \(1000000000000,\)"),
        (array_of((2**40, 2**40), b""), "declares an array"),
        (array_of((1,) * 33, b"1234"), "more dimensions, or longer ones"),
        (array_of((2**63,), b""), "more dimensions, or longer ones"),
        (array_of((0, 10**5000), b""), "more dimensions, or longer ones"),
        (huge_shape(), "more dimensions, or longer ones"),
        (array_of((-1,), b"1234"), "more dimensions, or longer ones"),
        (array_of((1,), [1.0]), "not plain numbers"),
        (array_of((1,), b"x" * 8, "O"), "type 'O8'"),
        (array_of((1,), b"x" * 8, "M8[s]"), "type 'M8'"),
        (b"\x80\x02" + b"r\xff\xff\xff\xff", "is damaged"),
        (b"\x80\x02Nr\xff\xff\xff\xff.", None),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"abc.", "is damaged"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.", "is damaged"),
        (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.", "is damaged"),
        (b"I" + b"9" * 100_000 + b"\n.", "is damaged"),
        (nested_tuples(2_000_000), "nests tuples"),
        (b"\x80\x02}" + b"]" * 100_000 + b".", None),
        (b"\x80\x02}]K\x01s.", "key that is a list"),
        (b"P0\n.", "PERSID"),
        (b"\x80\x02K\x01Q.", "outside of itself"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02cos\nsystem\n.", r"asks for os\.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"asks for os\.system"),
        (b"\x80\x04K\x01K\x02\x93.", "asks for"),
        (b"ios\nsystem\n.", "INST"),
        (b"\x80\x02K\x01)R.", "not a constructor"),
        (b"\x80\x02K\x01}b.", "sets attributes of a int"),
        (b"\x80\x02.", "is damaged"),
        (b"", "is damaged"),
        (b"\x80\x02}", "is damaged"),
        (b"\x80\x02u.", "is damaged"),
        (b"\x80\x02h\x07.", "is damaged"),
    ],
)
def test_hostile_and_damaged_pickles_are_refused_at_once(content, says):
    start_s = time.process_time()
    if says is None:
        load(content)
    else:
        with pytest.raises(PickleError, match=says):
            load(content)
    assert time.process_time() - start_s < 10


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(PickleError):
        load(content)


@pytest.mark.parametrize(
    ("module", "name"), [("argparse", "Namespace"), ("mmengine.logging.history_buffer", "HistoryBuffer")]
)
def test_settings_and_logs_stand_empty(module, name):
    raw = b"\x80\x02}(X\x01\x00\x00\x00ac" + f"{module}\n{name}\n".encode() + b")\x81}b" + b"X\x01\x00\x00\x00bK\x07u."
    found = read_pickle(io.BytesIO(raw), len(raw))
    assert found["b"] == 7
    assert not vars(found["a"])


@pytest.mark.parametrize("module", ["pytorch_lightning.utilities.parsing", "lightning_fabric.utilities.data"])
def test_dictionaries_with_attributes_are_dictionaries(module):
    raw = b"\x80\x02" + b"c" + f"{module}\nAttributeDict\n".encode() + b")\x81(X\x02\x00\x00\x00lrK\x03u."
    assert read_pickle(io.BytesIO(raw), len(raw)) == {"lr": 3}


def test_what_lightning_itself_writes_is_read(tmp_path):
    """Real objects of the standard library, whose classes Lightning's and MMEngine's are pickled alike."""
    content = {"state_dict": {"a": torch.ones(2)}, "hyper_parameters": argparse.Namespace(lr=0.1, path=Path("x"))}
    torch.save(content, tmp_path / "f.ckpt")
    assert torch.equal(read_checkpoint(tmp_path / "f.ckpt")["a"], torch.ones(2))
