"""Detection on image files: every format, broken files, names that meet, and a results file that COCO tools read."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from explorer.data.panoptic import read_labels
from explorer.engine.detector import Detector
from explorer.engine.predict import RESULTS_FILE, predict
from explorer.scoring.convert import coco_annotations, run_from_detections
from explorer.scoring.runs import load_run
from explorer.types import Detections

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8))


def save_all_formats(folder: Path) -> list[Path]:
    """Files that people have: 64 × 48 pixels, the last two turned to 48 × 64 by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    PHOTO.save(folder / "photo.jpg")
    PHOTO.save(folder / "photo.png")
    PHOTO.save(folder / "photo.webp")
    PHOTO.save(folder / "photo.bmp")
    PHOTO.save(folder / "photo.jfif", "JPEG")
    PHOTO.save(folder / "pages.TIF", save_all=True, append_images=[PHOTO])
    PHOTO.convert("L").save(folder / "grey.JPEG")
    PHOTO.quantize(16).save(folder / "palette.png")
    PHOTO.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(RNG.integers(0, 65536, (48, 64)).astype(np.uint16)).save(folder / "deep.png")
    PHOTO.save(folder / "turned.jpg", exif=exif)
    PHOTO.save(folder / "turned.webp", exif=exif)
    return sorted(folder.iterdir())


def test_every_format_is_read(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    files = save_all_formats(tmp_path / "in")
    report = predict(tiny_mask_rcnn, files, tmp_path / "out", threshold=0)
    assert not report.failures
    assert list(report.objects) == files
    assert {path.name: note for path, note in report.notes.items()} == {
        "deep.png": "16 bits scaled to 8",
        "pages.TIF": "the first of several pages",
    }
    sizes = {Path(i["file_name"]).name: (i["height"], i["width"]) for i in report.document["images"]}
    assert {sizes.pop("turned.jpg"), sizes.pop("turned.webp")} == {(64, 48)}
    assert set(sizes.values()) == {(48, 64)}
    with Image.open(report.pictures[files[-2]]) as picture:
        assert picture.size == (48, 64)
        assert picture.format == "JPEG"


def test_results_are_a_coco_file(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "a.png")
    report = predict(tiny_mask_rcnn, [tmp_path / "a.png"], tmp_path / "out", threshold=0, pictures=False)
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(str(report.results))
        assert read.imgs[1]["file_name"] == str(tmp_path / "a.png")
        assert read.cats[90]["name"] == "toothbrush"
        # the list is COCO's results format, too
        as_results = read.loadRes(copy.deepcopy(read.dataset["annotations"]))
    assert len(as_results.anns) == report.objects[tmp_path / "a.png"] > 0
    annotation = read.anns[1]
    assert read.annToMask(annotation).shape == (48, 64)
    found = tiny_mask_rcnn.detect(np.asarray(PHOTO)[:, :, ::-1].copy()).detections
    x1, y1, x2, y2 = found.boxes_xyxy[0].tolist()
    assert annotation["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1])
    assert annotation["score"] == pytest.approx(float(found.scores[0]))
    assert not (tmp_path / "out/pictures").exists()


def test_results_are_a_run_on_data_with_other_ids(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        PHOTO.save(tmp_path / name)
    report = predict(
        tiny_mask_rcnn, [tmp_path / "c.png", tmp_path / "a.png"], tmp_path / "out", threshold=0, pictures=False
    )
    content = {
        "images": [{"id": f"#{name}", "file_name": f"{name}.png", "height": 48, "width": 64} for name in "abc"],
        "categories": [{"id": -own["id"], "name": own["name"]} for own in report.document["categories"]],
        "annotations": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    run = load_run(report.results, f"{tmp_path}/truth.json:{tmp_path}")
    found = tiny_mask_rcnn.detect(np.asarray(PHOTO)[:, :, ::-1].copy()).detections
    expected = run_from_detections(run.truth, [found, found], "the same").found
    assert run.truth.image_ids.tolist() == ["#a", "#c"]
    for column in ("images", "classes", "boxes_xywh", "scores"):
        np.testing.assert_allclose(getattr(run.found, column), getattr(expected, column), rtol=1e-6)
    assert run.found.masks is not None
    assert [dict(mask or {}) for mask in run.found.masks] == [dict(mask or {}) for mask in expected.masks or ()]


def test_an_object_in_cocos_words() -> None:
    mask = np.zeros((48, 64), np.uint8, order="F")
    mask[10:20, 5:8] = 1
    found = Detections(
        np.array([[5, 10, 9, 20]], np.float32),
        np.array([0.75], np.float32),
        np.array([1]),
        ("car", "bus"),
        (48, 64),
        (mask_api.encode(mask),),
    )
    (annotation,) = coco_annotations(found, 3, {0: 7, 1: 9})
    rle = annotation.pop("segmentation")
    assert annotation == {
        "image_id": 3,
        "category_id": 9,
        "bbox": [5, 10, 4, 10],
        "area": 30,
        "iscrowd": 0,
        "score": 0.75,
    }
    np.testing.assert_array_equal(mask_api.decode(rle), mask)


def test_the_threshold_leaves_weak_objects_out(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "a.png")
    files = [tmp_path / "a.png"]
    scores = [a["score"] for a in predict(tiny_mask_rcnn, files, tmp_path, threshold=0).document["annotations"]]
    middle = float(np.median(scores))
    kept = predict(tiny_mask_rcnn, files, tmp_path, threshold=middle).document["annotations"]
    assert [a["score"] for a in kept] == [score for score in scores if score >= middle]
    with pytest.raises(ValueError, match="threshold is 50"):
        predict(tiny_mask_rcnn, files, tmp_path, threshold=50)


def test_broken_files_are_reported_and_the_rest_goes_on(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:500])
    (tmp_path / "c.jpg").write_text("no picture")
    PHOTO.save(tmp_path / "e.jpg")
    files = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")]
    seen = []
    report = predict(tiny_mask_rcnn, files, tmp_path / "out", progress=lambda *done: seen.append(done))
    assert seen == [(index, 5) for index in range(1, 6)]
    assert [path.name for path in report.objects] == ["a.jpg", "e.jpg"]
    assert [path.name for path in report.failures] == ["b.jpg", "c.jpg", "d.jpg"]
    written = json.loads(report.results.read_text())
    assert [Path(image["file_name"]).name for image in written["images"]] == ["a.jpg", "e.jpg"]
    assert [Path(failed["file_name"]).name for failed in written["failed"]] == ["b.jpg", "c.jpg", "d.jpg"]
    assert all(failed["error"] for failed in written["failed"])


def test_images_of_one_name_get_a_picture_each(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one/x.jpg", "two/x.jpg", "two/x.png", "two/x-2.png", "two/X.webp")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        PHOTO.save(file)
    report = predict(tiny_mask_rcnn, files, tmp_path / "out")
    names = [report.pictures[file].name for file in files]
    assert names == ["x.jpg", "x-2.jpg", "x-3.jpg", "x-2-2.jpg", "X-4.jpg"]
    assert len(list((tmp_path / "out/pictures").iterdir())) == 5


def test_an_image_that_is_read_is_never_overwritten(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    source = tmp_path / "pictures/x.jpg"
    source.parent.mkdir()
    PHOTO.save(source)
    before = source.read_bytes()
    report = predict(tiny_mask_rcnn, [source], tmp_path)
    assert source.read_bytes() == before
    assert report.pictures[source].name == "x-2.jpg"


def test_panoptic_models_write_segments(tiny_panoptic_fpn: Detector, tmp_path: Path) -> None:
    PHOTO.resize((160, 120)).save(tmp_path / "a.png")
    report = predict(tiny_panoptic_fpn, [tmp_path / "a.png"], tmp_path / "out")
    (entry,) = report.document["panoptic"]
    ids = read_labels(tmp_path / "out" / entry["file_name"])
    assert ids.shape == (120, 160)
    assert {segment["id"] for segment in entry["segments_info"]} == set(np.unique(ids).tolist()) - {0}
    assert {"id", "category", "is_thing"} <= set(entry["segments_info"][0])
    assert report.pictures[tmp_path / "a.png"].is_file()


def test_the_results_file_is_named_in_the_report(tiny_mask_rcnn: Detector, tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "a.png")
    report = predict(tiny_mask_rcnn, [tmp_path / "a.png"], tmp_path / "out", pictures=False)
    assert report.results == tmp_path / "out" / RESULTS_FILE
    info = json.loads(report.results.read_text())["info"]
    assert (info["model"], info["threshold"], info["weights"]) == ("mask_rcnn_V_39_FPN_3x", 0.5, None)
