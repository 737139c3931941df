"""Annotations, data sets and detections that nobody thought of; minutes long.

JSON must mean what Python's own module says. What the check of annotations lets through must be read by what trains and
scores, whose C code meets it.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from explorer.data.zipped import unpack
from explorer.reading import parse_json
from explorer.scoring.metrics import metrics_of
from explorer.scoring.runs import load_run
from tests.hostile import zips
from tests.hostile.cage import read_data
from tests.hostile.coco import PICTURE, document
from tests.hostile.fuzzing import changes, fuzz

pytestmark = pytest.mark.slow
Record = Callable[[str, object], None]
OF_THE_OTHERS = 1 / 18
"""Of the minutes of a reader: fuzzers of what is not annotations in COCO's format share them."""

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 70)
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["a.png", "../a.png", "car", "1", "\ud800", "\0"])
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner), max_leaves=9
)
_MASKS = st.lists(st.lists(st.floats(-80, 200) | st.integers(-9, 70), max_size=9), max_size=3) | st.fixed_dictionaries(
    {
        "size": st.just([48, 64]) | st.lists(st.integers(-1, 99), max_size=3),
        "counts": st.text("0123456789PQRSTUVWXYZo`abc", max_size=12) | st.lists(st.integers(-9, 4000), max_size=5),
    }
)
_FIELDS = {
    "images": ("id", "file_name", "height", "width"),
    "categories": ("id", "name", "supercategory"),
    "annotations": ("id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "ignore"),
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A sound document some of whose values are others, or gone, or there twice."""
    content = document(annotation_segmentation=[[5, 5, 20, 5, 20, 20]])
    for _ in range(draw(st.integers(1, 4))):
        section = draw(st.sampled_from(list(_FIELDS)))
        records = content.get(section)
        kind = draw(st.sampled_from(["value", "value", "value", "mask", "again", "section", "gone"]))
        if kind == "section" or not isinstance(records, list) or not records or not isinstance(records[-1], dict):
            content[section] = draw(_VALUES)
        elif kind == "again":
            records.append(dict(records[-1]))
        elif kind == "gone":
            records[-1].pop(draw(st.sampled_from(_FIELDS[section])), None)
        else:
            name = "segmentation" if kind == "mask" else draw(st.sampled_from(_FIELDS[section]))
            records[-1][name] = draw(_MASKS if kind == "mask" else _VALUES)
    return content


def laid_out(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


_COCO = {"val/a.png": PICTURE}
_FILE = "annotations/instances_val.json"


@pytest.mark.parametrize("kind", ["changed", "random"])
def test_annotations_are_read_or_refused(kind: str, tmp_path: Path, record_property: Record) -> None:
    laid_out(tmp_path, _COCO | {_FILE: b""})
    sound = json.dumps(document(annotation_segmentation=[[5, 5, 20, 5, 20, 20]])).encode()
    texts = changes(sound) if kind == "changed" else documents().map(json.dumps).map(str.encode)

    def check(content: bytes) -> None:
        (tmp_path / _FILE).write_bytes(content)
        with suppress(ValueError):
            read_data(str(tmp_path))

    record_property("made up", fuzz(check, 1 / 2, content=texts))


@pytest.mark.parametrize("kind", ["changed", "random"])
def test_json_means_what_python_says_or_is_refused(kind: str, record_property: Record) -> None:
    sound = json.dumps(document() | {"x": {"é": [1e5, -0.0, None, True, "\\u003a:"]}}).encode()
    texts = changes(sound) if kind == "changed" else _VALUES.map(json.dumps).map(str.encode)

    def check(content: bytes) -> None:
        try:
            ours = parse_json(content)
        except ValueError:
            return
        assert repr(ours) == repr(json.loads(content))

    record_property("made up", fuzz(check, OF_THE_OTHERS, content=texts))


_XML = (
    b"<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size><object><name>car</name>"
    b"<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)
_CVAT = (
    b"<annotations><meta><task><labels><label><name>car</name></label></labels></task></meta>"
    b'<image id="0" name="a.png" width="64" height="48">'
    b'<box label="car" xtl="1" ytl="1" xbr="9" ybr="9" rotation="3"/><polygon label="car" '
    b'points="1,1;9,1;9,9"/><ellipse label="car" cx="9" cy="9" rx="3" ry="2"/><mask label="car" rle="1,2,1" left="0" '
    b'top="0" width="2" height="2"/></image></annotations>'
)
_TASKS = json.dumps(
    [
        {
            "id": 1,
            "data": {"image": "a.png"},
            "annotations": [
                {
                    "result": [
                        {
                            "original_width": 64,
                            "original_height": 48,
                            "value": {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 3, "rectanglelabels": ["a"]},
                        },
                        {"value": {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["b"]}},
                        {"value": {"x": 9, "y": 9, "radiusX": 2, "radiusY": 1, "ellipselabels": ["c"]}},
                    ]
                }
            ],
        }
    ]
).encode()
_LABELS = b'{"classes": ["a"], "labels": {"a": [{"label": 0, "bounding_box": [0.1, 0.1, 0.2, 0.2]}]}}'
_SETS: dict[str, tuple[str, bytes, dict[str, bytes]]] = {
    "YOLO": (
        "data.yaml",
        b"path: .\ntrain: images\nnames: {0: a, 1: b}\n",
        {"labels/a.txt": b"0 .5 .5 .2 .2\n"},
    ),
    "YOLO's labels": ("labels/a.txt", b"0 .5 .5 .2 .2\n1 .1 .1 .2 .1 .2 .2\n", {"classes.txt": b"a\nb\n"}),
    "VOC": ("Annotations/a.xml", _XML, {}),
    "CVAT": ("annotations.xml", _CVAT, {}),
    "CSV": ("train.csv", b"image,class,xmin,ymin,xmax,ymax,id\na.png,car,1,2,3,4,7\na.png,bus,1,2,3,4,8\n", {}),
    "Open Images": (
        "train-annotations-bbox.csv",
        b"ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/1,0.1,0.2,0.1,0.2,0\n",
        {"classes.csv": b"/m/1,car\n"},
    ),
    "DOTA": ("labelTxt/a.txt", b"gsd:0.1\n1 1 9 1 9 9 1 9 plane 0\n", {}),
    "Label Studio": ("tasks.json", _TASKS, {}),
    "FiftyOne": ("labels.json", _LABELS, {"data/a.png": PICTURE}),
}


@pytest.mark.parametrize("name", _SETS)
def test_data_sets_are_read_or_refused(name: str, tmp_path: Path, record_property: Record) -> None:
    file, sound, others = _SETS[name]
    laid_out(tmp_path, {file: sound, "images/a.png": PICTURE} | others)
    read_data(str(tmp_path))  # the sound one is read

    def check(content: bytes) -> None:
        (tmp_path / file).write_bytes(content)
        with suppress(ValueError):
            read_data(str(tmp_path))

    record_property("made up", fuzz(check, OF_THE_OTHERS, content=changes(sound)))


def _arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, xyxy=np.ones((2, 4)), confidence=np.full(2, 0.5), class_id=np.zeros(2, np.int64))
    return stream.getvalue()


_ENTRY = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "segmentation": [[5, 5, 20, 5, 20, 20]]}
_BOXES = [{"score": 0.5, "label": "car", "box": {"xmin": 1, "ymin": 1, "xmax": 9, "ymax": 9}}]
_RESULTS = {
    "x.json": json.dumps([_ENTRY, _ENTRY | {"mask_score": 0.4, "category_name": "car"}]).encode(),
    "a.json": json.dumps({"labels": [0], "scores": [0.5], "bboxes": [[1, 1, 9, 9]]}).encode(),
    "hf.json": json.dumps({"a.png": _BOXES}).encode(),
    "x.csv": b"image,class,score,x1,y1,x2,y2\na.png,car,0.5,1,2,3,4\n",
    "a.txt": b"0 .5 .5 .2 .2 .5\n0 .5 .5 .2 .1 .4 7\n",
    "a.npz": _arrays(),
}


@pytest.mark.parametrize("name", _RESULTS)
def test_detections_are_scored_or_refused(name: str, tmp_path: Path, record_property: Record) -> None:
    laid_out(tmp_path, {"truth.json": json.dumps(document()).encode(), name: _RESULTS[name]})
    path, data = tmp_path / name, f"{tmp_path / 'truth.json'}:{tmp_path}"
    load_run(path, data)

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(ValueError):
            metrics_of(load_run(path, data))

    record_property("made up", fuzz(check, OF_THE_OTHERS, content=changes(_RESULTS[name])))


def test_archives_are_unpacked_inside_or_refused(tmp_path: Path, record_property: Record) -> None:
    sound = zips.packed({"a.png": PICTURE[:99], "b/c.txt": b"0 .5\n" * 9, "d.json": b"{}"}, zipfile.ZIP_STORED)
    archive, folder = tmp_path / "x.zip", tmp_path / "in/out"

    def check(content: bytes) -> None:
        archive.write_bytes(content)
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        with suppress(ValueError):
            unpack(archive, folder, max_bytes=100_000)
        assert {path.name for path in tmp_path.iterdir()} == {"x.zip", "in"}
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 100_000

    record_property("made up", fuzz(check, OF_THE_OTHERS, content=changes(sound)))
