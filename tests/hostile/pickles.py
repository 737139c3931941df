"""Pickles that confuse their reader, and those that swell; also the tensors that PyTorch's describe."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator

import numpy as np

from tests.hostile.attacks import Attack, cut
from tests.hostile.opcodes import NUMBERS, call, name, state, tensor, torch_legacy, torch_zip, value

_SYSTEM = name("os", "system")
_ORDERED = name("collections", "OrderedDict")
_TRUE = value("true")
_BYTES = call("numpy", "dtype", "u1")
_ARRAYS = pickle.dumps({"model": {"w": np.arange(6.0), "b": np.zeros((2, 3), np.float32)}}, protocol=2)

_TRICKS = {
    "a name from the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", r"asks for os\.system"),
    "a name that is a number": (b"\x80\x04K\x01K\x02\x93.", "asks for"),
    "INST": (b"(S'true'\nios\nsystem\n.", "INST"),
    "OBJ": (b"\x80\x02(" + _SYSTEM + _TRUE + b"o.", r"asks for os\.system"),
    "OBJ of what is allowed": (b"\x80\x02(" + _ORDERED + b"o.", "OBJ"),
    "NEWOBJ": (b"\x80\x02" + name("subprocess", "Popen") + _TRUE + b"\x85\x81.", r"asks for subprocess\.Popen"),
    "NEWOBJ of what is allowed": (b"\x80\x02" + _ORDERED + b")\x81.", "NEWOBJ"),
    "NEWOBJ_EX": (b"\x80\x04" + _ORDERED + b")}\x92.", "NEWOBJ_EX"),
    "BUILD of a function": (b"\x80\x02" + _ORDERED + b"}" + value("__code__") + b"K\x01sb.", "sets attributes"),
    "BUILD of a class": (
        b"\x80\x02" + name("numpy", "ndarray") + b"}" + value("build") + b"K\x01sb.",
        "sets attributes",
    ),
    "BUILD of a number": (b"\x80\x02K\x01}b.", "sets attributes of a int"),
    "EXT1": (b"\x80\x02\x82\x01.", "EXT1"),
    "EXT2": (b"\x80\x02\x83\x01\x00.", "EXT2"),
    "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    "PERSID": (b"Ptouch RAN\n.", "PERSID"),
    "BINPERSID of a text": (b"\x80\x02" + _TRUE + b"Q.", "outside of itself"),
    "BINPERSID of a module": (b"\x80\x02" + value(("module", "os", "x", "y")) + b"Q.", "outside of itself"),
    "NEXT_BUFFER": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "READONLY_BUFFER": (b"\x80\x05N\x98.", "READONLY_BUFFER"),
    "a name with a space": (b"cos system\nx\n.", "asks for"),
    "terminal codes in a name": (b"cos\x1b]0;owned\x07\nsystem\n.", "asks for os�]0;owned�"),
    "markup in a name": (b"c[/bold]\n[link=x]\n.", r"asks for \[/bold\]\.\[link=x\]"),
    "a name of a megabyte": (b"c" + b"o" * 1_000_000 + b"\nx\n.", "asks for ooo"),
    "a memo overwritten": (b"\x80\x02" + _ORDERED + b"q\x000" + _SYSTEM + b"q\x000h\x00)R.", r"asks for os\.system"),
    "a call that is thrown away": (b"\x80\x02}" + _SYSTEM + _TRUE + b"\x85R0.", r"asks for os\.system"),
    "a call as a key": (b"\x80\x02}" + _SYSTEM + _TRUE + b"\x85RK\x01s.", r"asks for os\.system"),
    "a call of a text": (b"\x80\x02" + _TRUE + b")R.", "not a constructor"),
    "a call without a tuple": (b"\x80\x02" + _ORDERED + b"]R.", "not a constructor"),
    "a set": (b"\x80\x04\x8f.", "EMPTY_SET"),
    "a list as a key": (b"\x80\x02}]K\x01s.", "key that is a list"),
    "an array of objects": (state(call("numpy", "dtype", "O8", 0, 1)), "type 'O8'"),
    "an array of structures": (state(call("numpy", "dtype", "V8", 0, 1)), "type 'V8'"),
    "an array by another class": (
        state(call("numpy.core.multiarray", "_reconstruct", name("numpy", "dtype"), (0,), "b")),
        "unknown class",
    ),
    "another codec": (state(call("_codecs", "encode", "x", "rot13")), "encodes bytes as 'rot13'"),
    "an empty stack": (b"\x80\x02.", "damaged"),
    "an unpaired key": (b"\x80\x02}(K\x01u.", "damaged"),
    "a memo that is not there": (b"\x80\x02h\x07.", "damaged"),
    "nothing behind the protocol": (b"\x80\x02", "damaged"),
    "an unknown opcode": (b"\x80\x02\xff.", "damaged"),
    "a list instead of tensors": (pickle.dumps([1, 2]), "holds a list"),
    "no tensors": (pickle.dumps({"model": {"a": 1}}), "holds no tensors"),
    "data behind the end": (_ARRAYS + _SYSTEM + _TRUE + b"\x85R.", "has data after its end"),
    "terminal codes in a tensor's name": (
        b"\x80\x02}"
        + value("w\x1b[2J")
        + call("numpy.core.numeric", "_frombuffer", b"U\x01\0", _BYTES, (1,), "C")
        + b"s.",
        "cannot be printed",
    ),
}


def _again(made: bytes, one: bytes, times: int) -> bytes:
    """What is made once and kept, and a list of what is made of it again and again."""
    return b"\x80\x02" + made + b"q\x640](" + one * times + b"e."


_KEPT = b"h\x64"
_MANY_KEYS = b"}(" + b"".join(value(number) + b"N" for number in range(20_000)) + b"u"
_ONE_HASH = b"".join(b"\x8a\x0b" + (n * (2**61 - 1)).to_bytes(11, "little") + b"N" for n in range(1, 60_000))
_BOMBS = {
    "tuples nested as a key": (b"\x80\x02})" + b"\x85" * 600_000 + b"K\x01s.", "nests tuples"),
    "tuples nested by memo": (b"\x80\x02)" + b"q\x00h\x00\x86" * 400_000 + b".", "nests tuples"),
    "bytes of an exabyte": (b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"x.", "damaged"),
    "a text of an exabyte": (b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.", "damaged"),
    "a number of 2 GB": (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.", "damaged"),
    "a number of 100,000 digits": (b"I" + b"9" * 100_000 + b"\n.", "damaged"),
    "one text, made bytes again and again": (
        _again(value("x" * 1_000_000), call("_codecs", "encode", _KEPT, "latin1"), 9_000),
        "it may be a bomb",
    ),
    "one text, made arrays again and again": (
        _again(
            b"B" + struct.pack("<I", 1_000_000) + bytes(1_000_000),
            call("numpy.core.numeric", "_frombuffer", _KEPT, _BYTES, (1_000_000,), "C"),
            9_000,
        ),
        "it may be a bomb",
    ),
    "one dictionary, copied again and again": (
        _again(_MANY_KEYS, call("collections", "OrderedDict", _KEPT), 9_000),
        "it may be a bomb",
    ),
    "keys of one hash": (b"\x80\x02}(" + _ONE_HASH + b"u.", "too large a number"),
    "an array of 4 TB": (
        state(
            call("numpy.core.numeric", "_frombuffer", b"U\x04\0\0\0\0", call("numpy", "dtype", "f4"), (10**12,), "C")
        ),
        r"declares an array of shape \(1000000000000,\)",
    ),
}

_BEYOND = "beyond its storage of 6 numbers"
_PLACES = {
    "an offset outside": (tensor(offset=1), _BEYOND),
    "an offset of 2^62": (tensor(offset=2**62), _BEYOND),
    "a negative offset": (tensor(offset=-1), "not in whole numbers"),
    "an offset that is no number": (tensor(offset="0"), "not in whole numbers"),
    "a stride outside": (tensor(stride=(4, 1)), _BEYOND),
    "a stride of 2^62": (tensor(stride=(2**62, 2**62)), _BEYOND),
    "a negative stride": (tensor(offset=5, stride=(-3, -1)), "not in whole numbers"),
    "a stride that wraps around 2^64": (tensor(stride=(2**64 - 1, 1)), "not in whole numbers"),
    "a shape outside": (tensor(size=(16384, 16384)), _BEYOND),
    "a shape of 10^12 by a stride of 0": (tensor(size=(10**6, 10**6), stride=(0, 0)), _BEYOND),
    "a negative shape": (tensor(size=(-2, 3)), "shape that tensors cannot have"),
    "a shape of fractions": (tensor(size=(2.0, 3.0)), "shape that tensors cannot have"),
    "a shape of 100 dimensions": (tensor(size=(1,) * 100, stride=(0,) * 100), "shape that tensors cannot have"),
    "an empty shape of 2^90": (tensor(size=(0, 2**45, 2**45), stride=(1, 1, 1)), "shape that tensors cannot have"),
    "more strides than sizes": (tensor(stride=(6, 3, 1)), "shape that tensors cannot have"),
    "a tensor to be negated": (tensor(rest=(False, {}, {"neg": True})), "not plain numbers"),
    "a tensor of a text": (
        call("torch._utils", "_rebuild_tensor_v2", "x", 0, (1,), (1,), False, {}),
        "without a storage",
    ),
    "a parameter of a text": (call("torch._utils", "_rebuild_parameter", "x", True, {}), "not a tensor"),
    "BUILD of a tensor": (tensor() + value((1,)) + b"b", "sets attributes of a Tensor"),
    "a storage of 4 TB": (tensor(count=10**12), "storage of 1000000000000 numbers"),
    "a storage of -1": (tensor(count=-1), "storage of -1 numbers"),
    "a storage of two types": (b"](" + tensor() + tensor(kind="IntStorage") + b"e", "one storage under two types"),
}


def attacks() -> Iterator[Attack]:
    for title, (pickled, says) in (_TRICKS | _BOMBS).items():
        yield Attack(f"{title} in .pkl", "checkpoint", {"x.pkl": pickled}, says)
    for title, (pickled, says) in (_TRICKS | _BOMBS).items():
        yield Attack(f"{title} in .pth", "checkpoint", {"x.pth": torch_zip(pickled)}, says)
    for title, (opcodes, says) in _PLACES.items():
        pickled = state(opcodes)
        yield Attack(f"{title} in .pth", "checkpoint", {"x.pth": torch_zip(pickled)}, says)
        yield Attack(f"{title} in old .pth", "checkpoint", {"x.pth": torch_legacy(pickled, {"0": NUMBERS})}, says)
    yield from _legacy()
    for title, content in cut(".pkl", _ARRAYS):
        yield Attack(title, "checkpoint", {"x.pkl": content}, "is empty|is damaged")


def _legacy() -> Iterator[Attack]:
    sound, numbers = state(tensor()), {"0": NUMBERS}
    hostile = b"\x80\x02" + _SYSTEM + _TRUE + b"\x85R."
    whole = torch_legacy(sound, numbers)
    changed = {
        "a call among the storages' names": (torch_legacy(sound, numbers, names=hostile), r"asks for os\.system"),
        "a call in the head": (whole.replace(b"M\xe9\x03", _SYSTEM + b"]\x86R"), r"asks for os\.system"),
        "a storage that is not listed": (torch_legacy(sound), "does not hold the storages"),
        "a storage listed twice": (torch_legacy(sound, numbers, names=pickle.dumps(["0", "0"], 2)), "the storages"),
        "storages that are no list": (torch_legacy(sound, numbers, names=pickle.dumps("0", 2)), "the storages"),
        "a storage of two lengths": (whole[: -len(NUMBERS) - 8] + struct.pack("<q", 2) + NUMBERS, "two lengths"),
        "data behind the last storage": (whole + b"PK\x03\x04", "has data after its end"),
        "a view of a storage": (
            torch_legacy(state(tensor()).replace(value(6) + b"tQ", value(6) + value(("1", 0, 3)) + b"tQ"), numbers),
            "outside of itself",
        ),
    }
    for title, (content, says) in changed.items():
        yield Attack(f"{title} of an old .pth", "checkpoint", {"x.pth": content}, says)
    for title, content in cut("old .pth", whole):
        yield Attack(
            title, "checkpoint", {"x.pth": content}, "is empty|is damaged|more than it holds|is neither|two lengths"
        )
