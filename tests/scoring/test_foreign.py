"""A detector's boxes on BCCD have, in other libraries' formats, the figures that pycocotools gives to COCO results."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.data.convert import convert
from explorer.scoring.metrics import metrics_of
from explorer.scoring.runs import load_run, read_truth
from tests.fixtures.cells import Cells


@pytest.fixture(scope="module")
def data(cells: Cells) -> str:
    return cells.data


@pytest.fixture(scope="module")
def results(cells: Cells) -> list[dict[str, Any]]:
    """The demo's detections, as every format is made of them."""
    names = {own["id"]: own["name"] for own in cells.content["categories"]}
    images = {own["id"]: own for own in cells.content["images"]}
    made = []
    for own in cells.results:
        image, (x, y, w, h) = images[own["image_id"]], own["bbox"]
        made.append(
            {"file": image["file_name"], "name": names[own["category_id"]], "score": own["score"]}
            | {"box": [x, y, x + w, y + h], "size": [image["height"], image["width"]]}
        )
    return made


def by_file(results: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    files: dict[str, list[dict[str, Any]]] = {}
    for own in results:
        files.setdefault(own["file"], []).append(own)
    return files


def place(own: dict[str, Any], names: tuple[str, ...]) -> int:
    return names.index(own["name"])


def ultralytics_json(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    entries = [
        {
            "image_id": Path(own["file"]).stem,
            "file_name": own["file"],
            "category_id": ids[place(own, names)],
            "bbox": [own["box"][0], own["box"][1], own["box"][2] - own["box"][0], own["box"][3] - own["box"][1]],
            "score": own["score"],
        }
        for ids in [range(1, len(names) + 1)]
        for own in results
    ]
    return write(path / "predictions.json", entries)


def ultralytics_labels(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    (path / "labels").mkdir()
    for file, own in by_file(results).items():
        lines = []
        for one in own:
            (height, width), (x1, y1, x2, y2) = one["size"], one["box"]
            box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            lines.append(" ".join(map(str, (place(one, names), *box, one["score"]))))
        (path / "labels" / f"{Path(file).stem}.txt").write_text("\n".join(lines))
    return path


def mmdetection(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    (path / "preds").mkdir()
    for file, own in by_file(results).items():
        content = {
            "labels": [place(one, names) for one in own],
            "scores": [one["score"] for one in own],
            "bboxes": [one["box"] for one in own],
        }
        write(path / "preds" / f"{Path(file).stem}.json", content)
    return path


def hugging_face(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    content = {
        file: [
            {
                "score": one["score"],
                "label": one["name"],
                "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), one["box"], strict=True)),
            }
            for one in own
        ]
        for file, own in by_file(results).items()
    }
    return write(path / "pipeline.json", content)


def hugging_face_folder(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    whole = json.loads(hugging_face(results, names, path).read_text())
    (path / "pipeline.json").unlink()
    for file, own in whole.items():
        write(path / f"{Path(file).stem}.json", own)
    return path


def rows(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As supervision's sinks write them."""
    return [
        dict(zip(("x_min", "y_min", "x_max", "y_max"), own["box"], strict=True))
        | {"class_id": 0, "confidence": own["score"], "tracker_id": "", "class_name": own["name"]}
        | {"file_name": own["file"]}
        for own in results
    ]


def supervision_csv(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows(results)[0]))
    writer.writeheader()
    writer.writerows(rows(results))
    (path / "detections.csv").write_text(text.getvalue())
    return path / "detections.csv"


def plain_csv(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    lines = ["Image,Class,Score,x,y,width,height"]
    for own in results:
        x1, y1, x2, y2 = own["box"]
        lines.append(f"images/{own['file']},{place(own, names)},{own['score']},{x1},{y1},{x2 - x1},{y2 - y1}")
    (path / "boxes.csv").write_text("\n".join(lines))
    return path / "boxes.csv"


def supervision_json(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    return write(path / "sink.json", rows(results))


def supervision_arrays(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    for file, own in by_file(results).items():
        np.savez(
            path / f"{Path(file).stem}.npz",
            xyxy=np.array([one["box"] for one in own], np.float64),
            confidence=np.array([one["score"] for one in own]),
            class_id=np.array([place(one, names) for one in own]),
        )
    return path


def one_array_file(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    np.savez(
        path / "all.npz",
        xyxy=np.array([own["box"] for own in results], np.float64),
        confidence=np.array([own["score"] for own in results]),
        class_name=np.array([own["name"] for own in results]),
        file_name=np.array([own["file"] for own in results]),
    )
    return path / "all.npz"


def relative(own: dict[str, Any]) -> dict[str, Any]:
    (height, width), (x1, y1, x2, y2) = own["size"], own["box"]
    box = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
    return {"label": own["name"], "bounding_box": box, "confidence": own["score"]}


def fiftyone_samples(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    samples = [
        {
            "filepath": f"data/{file}",
            "ground_truth": {"_cls": "Detections", "detections": [{"label": "x", "bounding_box": [0, 0, 1, 1]}]},
            "predictions": {"_cls": "Detections", "detections": [relative(one) for one in own]},
        }
        for file, own in by_file(results).items()
    ]
    return write(path / "samples.json", {"samples": samples})


def fiftyone_labels(results: list[dict[str, Any]], names: tuple[str, ...], path: Path) -> Path:
    labels = {
        Path(file).stem: [relative(one) | {"label": place(one, names)} for one in own]
        for file, own in by_file(results).items()
    }
    return write(path / "labels.json", {"classes": list(names), "labels": labels})


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


FORMATS = [
    ultralytics_json,
    ultralytics_labels,
    mmdetection,
    hugging_face,
    hugging_face_folder,
    supervision_csv,
    plain_csv,
    supervision_json,
    supervision_arrays,
    one_array_file,
    fiftyone_samples,
    fiftyone_labels,
]


@pytest.mark.parametrize("match_by", [None, "file_name"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
def test_every_format_has_the_figures_of_pycocotools(
    form: Callable[..., Path],
    match_by: str | None,
    data: str,
    results: list[dict[str, Any]],
    cells: Cells,
    tmp_path: Path,
) -> None:
    names = read_truth(data).class_names
    run = load_run(form(results, names, tmp_path), data, match_by=match_by)
    assert len(run.found) == len(results)
    assert metrics_of(run).values["bbox"] == pytest.approx(cells.figures, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "image,class,score\nx,1,2", "it needs a column for the file"),
        ("a.csv", "image,class,score,x1,y1,x2,y2\nnowhere.jpg,RBC,0.5,1,2,3,4", "line 2 is on image 'nowhere.jpg'"),
        ("a.csv", "image,class,score,x1,y1,x2,y2\n{f},RBC,much,1,2,3,4", "has score 'much', which must be a number"),
        ("a.csv", "image,class,score,x1,y1,x2,y2\n{f},RBC,0.5,9,2,3,4", "of negative size"),
        ("a.csv", "image,class,score,x1,y1,x2,y2\n{f},7,0.5,1,2,3,4", r"has class 7; the data has 3 classes, 0 \("),
        ("a.csv", "image,class,score,x1,y1,x2,y2\n{f},RBC,0.5,1", "another number of values"),
        ("a.csv", "image,class,score,x1,y1,x2,y2\n{f},RBC,nan,1,2,3,4", "score nan, which must be a finite number"),
        ("a.csv", "image,class,score,x1,y1,x2,y2\n{f},car,0.5,1,2,3,4", "none of its 1 detections is of a class"),
        ("a.csv", b"\xff\xfe\x00image", "is not in UTF-8"),
        ("{s}.txt", "0 0.5 0.5 0.1 0.1", "has no score: let Ultralytics save it"),
        ("{s}.txt", "0 0.5 0.5 0.1 0.1 0.1 0.1 0.1 0.1", "has 9 values"),
        ("{s}.txt", "0 0.5 0.5 0.1 0.1 17", "confidence 17, which is above 1: if it is a track's id"),
        (
            "a.csv",
            "image,class,score,x1,y1,x2,y2\n{f},RBC,0.5,0.1,0.2,0.3,0.4",
            "all of its 1 boxes lie between 0 and 1",
        ),
        ("{s}.txt", "0 0.5 half 0.1 0.1 0.1", "has 'half', which must be a number"),
        ("{s}.npz", b"no archive", "cannot be read as NumPy's arrays"),
        ("a.json", {"predictions": [{}, {}]}, "not the names of their images"),
        ("a.json", {"samples": [{"filepath": "x"}]}, "none of its fields has detections with a confidence"),
        ("a.json", {"{f}": [{"label": "RBC", "score": 1}]}, "has no box"),
        ("a.json", {"{f}": [{"label": "RBC", "score": 1, "box": {"xmin": 1}}]}, "has coordinate None"),
        ("a.json", {"labels": [1], "bboxes": [], "scores": []}, "lists of one length"),
        ("a.json", {"labels": {"{s}": [{"label": 0, "bounding_box": [0, 0]}]}}, "must be .x, y, width, height."),
        ("a.json", {"spam": 3}, "COCO results are a list"),
    ],
)
def test_a_broken_file_is_one_clear_error(name: str, content: Any, words: str, data: str, tmp_path: Path) -> None:
    file = Path(read_truth(data).file_names[0])

    def filled(text: str) -> str:
        return text.replace("{f}", file.name).replace("{s}", file.stem)

    path = tmp_path / filled(name)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(filled(content if isinstance(content, str) else json.dumps(content)))
    with pytest.raises(ValueError, match=words) as refused:
        load_run(path, data)
    assert path.name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_objects_in_arrays_are_not_unpickled(data: str, tmp_path: Path) -> None:
    stem = Path(read_truth(data).file_names[0]).stem
    np.savez(tmp_path / f"{stem}.npz", xyxy=np.array([object()]), confidence=np.zeros(1), class_id=np.zeros(1))
    with pytest.raises(ValueError, match="cannot be read as NumPy's arrays"):
        load_run(tmp_path / f"{stem}.npz", data)
    with (
        zipfile.ZipFile(tmp_path / "large.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xyxy.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(1100):
            file.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"would take 1\.1 GiB"):
        load_run(tmp_path / "large.npz", data)


def test_a_field_of_several_has_to_be_named(data: str, results: list[dict[str, Any]], tmp_path: Path) -> None:
    path = fiftyone_samples(results, (), tmp_path)
    content = json.loads(path.read_text())
    for sample in content["samples"]:
        sample["rival"] = {"detections": sample["predictions"]["detections"][:1]}
    write(path, content)
    with pytest.raises(ValueError, match="several fields of detections, predictions, rival: name one"):
        load_run(path, data)
    assert len(load_run(path, data, name="rival").found) == len(content["samples"])


def test_ultralytics_results_on_its_own_data_count_classes_from_one(
    data: str, results: list[dict[str, Any]], cells: Cells, tmp_path: Path
) -> None:
    """As `model.val(save_json=True)` of Ultralytics 8.4 writes them; the classes of a YOLO data set begin at 0."""
    names = ("RBC", "WBC", "Platelets")
    written = convert(data, tmp_path / "cells", "yolo", link=True)
    found = [
        {
            "image_id": Path(own["file"]).stem,
            "file_name": own["file"],
            "category_id": place(own, names) + 1,
            "bbox": [*own["box"][:2], own["box"][2] - own["box"][0], own["box"][3] - own["box"][1]],
            "score": own["score"],
        }
        for own in results
    ]
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(found))
    for own_data in (data, f"{written.out}:test"):
        assert metrics_of(load_run(path, own_data)).values["bbox"] == pytest.approx(cells.figures, abs=1e-9)
    with pytest.raises(ValueError, match="category_id 3, which the data set does not have; its ids are 0, 1, 2"):
        load_run(path, f"{written.out}:test", match_by="id")


def test_a_table_is_understood_by_what_its_columns_are_called(tmp_path: Path) -> None:
    """A `category_id` is COCO's and no place, digits may be a class's name, and an `image_id` the data's own."""
    content = {
        "images": [{"id": 2 - n, "file_name": f"{name}.jpg", "width": 90, "height": 90} for n, name in enumerate("ab")],
        "categories": [{"id": 1, "name": "5"}, {"id": 5, "name": "1"}, {"id": 7, "name": "0"}],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 5, "bbox": [10, 10, 20, 20]}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    file, data = tmp_path / "found.csv", f"{tmp_path}/annotations.json:{tmp_path}"

    def read(columns: str, *values: object) -> tuple[str, str]:
        file.write_text(f"{columns},score,x1,y1,x2,y2\n{','.join(map(str, values))},0.9,10,10,30,30\n")
        run = load_run(file, data)
        ((image,), (row,)) = run.found.images, run.found.classes
        return Path(run.truth.file_names[image]).name, run.truth.class_names[row]

    assert read("image,category_id", "a.jpg", 5) == ("a.jpg", "1")
    assert read("image,category_id", "a.jpg", "5.0") == ("a.jpg", "1"), "as pandas writes a column with gaps"
    assert read("image,category_id,category_name", "a.jpg", 0, "1") == ("a.jpg", "1"), "a name before any number"
    assert read("image,class", "a.jpg", 1) == ("a.jpg", "1"), "a class of that name before the class at that place"
    assert read("image,class", "a.jpg", 2) == ("a.jpg", "0"), "the place where no class is called so"
    assert read("image,class_id", "a.jpg", 1) == ("a.jpg", "1")
    assert read("image_id,class_id", 2, 1) == ("a.jpg", "1")
    with pytest.raises(ValueError, match=r"has category_id '0', which is no id of the data; its ids are 1, 5, 7"):
        read("image,category_id", "a.jpg", 0)
    content["images"][1]["file_name"] = "2.jpg"
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"image_id 2, which is the id of \S+a\.jpg and the name of \S+2\.jpg"):
        read("image_id,class_id", 2, 1)
