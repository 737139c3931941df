"""Detections of other libraries that are code, endless, of two meanings, or no numbers."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.hostile.attacks import Attack, cut
from tests.hostile.coco import document
from tests.hostile.opcodes import Member, call, state, zipped

_TRUTH = {"truth.json": json.dumps(document()).encode()}
_ENTRY = '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}'
_NO_JSON, _NO_ARRAYS = "cannot be read as JSON", "cannot be read as NumPy's arrays"
_DETECTION = "detection 0 "
_ROW = b'[{"image": "../../etc/passwd", "label": "car", "score": 1, "x1": 1, "y1": 1, "x2": 2, "y2": 2}]'


def _entry(**changes: str) -> bytes:
    text = _ENTRY
    for key, value in changes.items():
        before = {"image_id": "1", "category_id": "1", "bbox": "[1, 2, 3, 4]", "score": "0.5"}[key]
        text = text.replace(f'"{key}": {before}', f'"{key}": {value}')
    return f"[{text}]".encode()


_JSON = {
    "nothing": (b"", _NO_JSON),
    "zeros": (bytes(4000), _NO_JSON),
    "100,000 levels": (b"[" * 100_000, "more than 254 levels"),
    "a score twice": (_entry(score='0.1, "score": 0.9'), 'the key "score" twice'),
    "a score twice behind NaN": (_entry(score='NaN, "score": 0.9'), 'the key "score" twice'),
    "a score of NaN": (_entry(score="NaN"), _DETECTION),
    "a score of 1e999": (_entry(score="1e999"), _DETECTION),
    "a score of 10^2000": (_entry(score="1" + "0" * 2000), _DETECTION),
    "a score that is a list": (_entry(score="[0.5]"), _DETECTION),
    "a box of 10^2000": (_entry(bbox=f"[0, 0, 1{'0' * 2000}, 1]"), _DETECTION),
    "a box of three": (_entry(bbox="[1, 2, 3]"), _DETECTION),
    "a box of lists": (_entry(bbox="[[1], [2], [3], [4]]"), _DETECTION),
    "an image of 2^64": (_entry(image_id=str(2**64)), _DETECTION),
    "an image that is a list": (_entry(image_id="[1]"), _DETECTION),
    "an image of 5,000 digits": (_entry(image_id="9" * 5000), "4300 digits"),
    "a class that is an object": (_entry(category_id='{"a": 1}'), _DETECTION),
    "a mask far outside": (_entry(score='0.5, "segmentation": [[0, 0, 1e8, 0, 1e8, 1e8]]'), "far outside"),
    "runs that do not fit": (
        _entry(score='0.5, "segmentation": {"size": [48, 64], "counts": "ooooooooo"}'),
        _DETECTION,
    ),
    "numbers": (b"[1, 2, 3]", _DETECTION),
    "an object of nothing": (b"{}", "COCO results are a list"),
    "an unknown image by its name": (_ROW, "no file of that name"),
    "mmdetection's of other lengths": (b'{"labels": [0], "scores": [], "bboxes": []}', "lists of one length"),
    "a field of code": (
        b'{"samples": [{"filepath": "a.png", "p": {"detections": [{"confidence": 1}]}}]}',
        "bounding_box",
    ),
    "packed noise": (b"\x1f\x8b\x08\x00" + bytes(range(256)), _NO_JSON),
    "zeros that swell a thousandfold": (gzip.compress(b"[" + b" " * 70_000_000), "holds more than"),
    "detections that swell": (gzip.compress(b"[" + (_ENTRY.encode() + b",") * 1_000_000 + b"1]"), "holds more than"),
}


def _arrays(**changes: Any) -> bytes:
    columns = {"xyxy": np.zeros((1, 4)), "confidence": np.ones(1), "class_id": np.zeros(1, np.int64)} | changes
    stream = io.BytesIO()
    np.savez(stream, **{name: own for name, own in columns.items() if own is not None})
    return stream.getvalue()


def _head(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


def _with(content: bytes) -> bytes:
    """Arrays whose scores are this."""
    with zipfile.ZipFile(io.BytesIO(_arrays(confidence=None))) as archive:
        others = [Member(name, archive.read(name)) for name in archive.namelist()]
    return zipped([*others, Member("confidence.npy", content)])


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return __import__("os").system, ("touch RAN",)


def _npz() -> Iterator[tuple[str, bytes, str]]:
    code = np.array([_Runs()], dtype=object)
    yield "an array of objects that run", _arrays(confidence=code), "Python objects, which are code"
    yield "a pickle as an array", _with(pickle.dumps(_Runs())), _NO_ARRAYS
    yield "a pickle alone", state(call("os", "system", "touch RAN")), _NO_ARRAYS
    yield "an array that says 8 TB", _with(_head("(1000000000000,)")), "another length"
    yield "an array that says 10^30", _with(_head(f"({10**30},)")), _NO_ARRAYS
    yield "an array of no shape", _with(_head("'x'")), _NO_ARRAYS
    yield "an array below 0", _with(_head("(-1,)")), _NO_ARRAYS
    yield "a head that is code", _with(_head("(1,)", "__import__('os').system('touch RAN')")), _NO_ARRAYS
    yield "a head of 60,000 brackets", _with(_head("(" * 60_000)), _NO_ARRAYS
    yield "an encrypted array", zipped([Member("confidence.npy", b"x" * 40, flags=1)]), _NO_ARRAYS
    yield "an array by an unknown method", zipped([Member("confidence.npy", b"x", method=99)]), _NO_ARRAYS
    yield "an array of noise", zipped([Member("confidence.npy", b"\xff" * 40, method=8)]), _NO_ARRAYS
    yield "an array twice", zipped([Member("confidence.npy", b"x")] * 2), "two arrays of one name"
    yield "a number as an array", _arrays(confidence=np.float64(1)), r"must be \(N, 4\)"
    yield "scores of complex numbers", _arrays(confidence=np.ones(1, complex)), "must be a number"
    yield "scores of texts", _arrays(confidence=np.array(["x"])), "must be a number"
    yield "scores of NaN", _arrays(confidence=np.array([np.nan])), "which must be a finite number"
    yield "scores in fields", _arrays(confidence=np.zeros(1, [("a", "f8")])), "must be a number"
    yield "boxes of three", _arrays(xyxy=np.zeros((1, 3))), r"must be \(N, 4\)"
    yield "a class of 2^63", _arrays(class_id=np.array([2**63], np.uint64)), "has class"
    yield "an image that leads out", _arrays(file_name=np.array(["../../etc/passwd"])), "no file of that name"
    for title, content in cut(".npz", _arrays(), times=10):
        yield title, content, _NO_ARRAYS


_HEADS = b"image,class,score,x1,y1,x2,y2\n"
_CSV = {
    "a column twice": (b"image,class,score,score,x1,y1,x2,y2\na.png,car,0.1,0.9,1,2,3,4\n", "called alike"),
    "a value of a megabyte": (_HEADS + b"a.png,car,0.5,1,2,3," + b"4" * 2**20, "cannot be read as CSV"),
    "too few values": (_HEADS + b"a.png,car\n", "another number of values"),
    "a formula as a score": (_HEADS + b"a.png,car,=1+1,1,2,3,4\n", "which must be a number"),
    "an image that leads out": (_HEADS + b"../../etc/passwd,car,0.5,1,2,3,4\n", "no file of that name"),
    "a zero byte": (_HEADS + b"a\0.png,car,0.5,1,2,3,4\n", "no file of that name"),
    "a class of 5,000 digits": (_HEADS + b"a.png," + b"9" * 5000 + b",0.5,1,2,3,4\n", "4300 digits|has class"),
    "UTF-16": (_HEADS.decode().encode("utf-16"), "not in UTF-8"),
}
_TXT = {
    "noise": (bytes(range(128, 256)), "not in UTF-8"),
    "words": (b"a b c d e f\n", "which must be a number"),
    "NaN": (b"0 nan nan nan nan nan\n", _DETECTION + "|finite"),
    "no score": (b"0 .5 .5 .2 .2\n", "has no score"),
    "a class of 5,000 digits": (b"9" * 5000 + b" .5 .5 .2 .2 .5\n", "4300 digits|has class"),
}


def attacks() -> Iterator[Attack]:
    for kind, texts in {".json": _JSON, ".csv": _CSV, ".txt": _TXT}.items():
        for title, (content, says) in texts.items():
            name = "a" if kind == ".txt" else "x"
            yield Attack(f"{title}, results{kind}", "results", {f"{name}{kind}": content, **_TRUTH}, says)
    for title, content, says in _npz():
        yield Attack(f"{title}, results.npz", "results", {"a.npz": content, **_TRUTH}, says)
    for kind in (".json", ".csv", ".txt", ".npz"):
        for title, target in {"a pipe": None, "a device": "/dev/zero"}.items():
            yield Attack(
                f"{title}, results{kind}",
                "results",
                {f"x{kind}": target, **_TRUTH},
                "Is a device or a pipe|not a|no file",
            )
    for title, content in cut("results", _entry(), times=8):
        yield Attack(title, "results", {"x.json": content, **_TRUTH}, _NO_JSON)
