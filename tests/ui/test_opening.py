"""What the page opens on: recorded once, equal to what the models find, and no model runs for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from explorer.scoring.protocols import protocol_of
from explorer.ui.actions.compare import compare
from explorer.ui.actions.errors import USUAL_IMAGES, annotated_images, examine
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models
from explorer.ui.actions.opening import first_comparison, opening_photo, recorded_comparison, recorded_examination
from explorer.ui.examples import examples, looked_at, opening


def test_the_record_is_what_the_models_find(tmp_path: Path) -> None:
    photo = opening_photo(tmp_path)
    known, found = recorded_comparison(photo), compare(Models(), opening().models, photo, timed=False)
    assert list(known.predictions) == list(found.predictions)
    assert (known.advice, known.unfamiliar) == (found.advice, found.unfamiliar)
    assert known.cautions == []  # both were trained on such photographs
    for name, own in found.predictions.items():
        recorded = known.predictions[name].detections
        sure = [own.detections.scores >= 0.3, recorded.scores >= 0.3]
        one, other = (detections.keep(mask) for detections, mask in zip((own.detections, recorded), sure, strict=True))
        np.testing.assert_allclose(one.scores, other.scores, atol=0.01)
        np.testing.assert_array_equal(one.classes, other.classes)
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1)
        assert one.class_names == other.class_names


def test_the_record_has_the_sizes_of_the_pages_protocol(tmp_path: Path) -> None:
    protocol = protocol_of("soda")
    opened = first_comparison(Models(protocol=protocol), opening().models, opening_photo(tmp_path))
    assert opened is not None
    assert opened.protocol == protocol
    every = Filters(0.05, sizes=tuple(size.name for size in protocol.sizes))
    assert all(row["objects"] > 0 for row in opened.counts(every))


def test_recorded_errors_are_what_the_models_find() -> None:
    known = recorded_examination()
    assert tuple(known.names) == opening().models
    assert [len(analysis.run.truth.image_ids) for analysis in known.analyses] == [USUAL_IMAGES] * 2
    scenes = np.arange(3)
    truth = annotated_images(None, USUAL_IMAGES).of_rows(scenes)
    found = examine(Models(lowest_score=None, warm=False), known.names, truth)
    for own, recorded in zip(found.analyses, known.analyses, strict=True):
        assert own.run.notes == recorded.run.notes
        first = recorded.run.found.images <= scenes[-1]
        np.testing.assert_allclose(own.run.found.scores, recorded.run.found.scores[first], atol=0.01)
        assert own.autopsy is not None
        assert recorded.autopsy is not None
        of_objects = [[one.score or 0 for one in autopsy.findings] for autopsy in (own.autopsy, recorded.autopsy)]
        np.testing.assert_allclose(of_objects[0], of_objects[1][: len(of_objects[0])], atol=0.01)
    assert all(known.misses.values())


def test_a_record_has_no_times_and_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from explorer.ui.actions.opening import *; "
        "from explorer.ui.actions.filters import Filters; "
        f"found = recorded_comparison(opening_photo(Path({str(tmp_path)!r}))); "
        "found.figure(Filters()), found.magnified(Filters()); "
        "print(found.counts(Filters())[0]['time, ms'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "not timed yet False"


def test_models_given_at_start_are_asked_themselves(zoo: Any, photo: Path) -> None:
    found = first_comparison(zoo.models, ["A", "B"], photo)
    assert found is not None
    assert list(found.predictions) == ["A", "B"]
    assert first_comparison(zoo.models, ["unknown"], photo) is None


def test_the_annotations_of_an_example_are_known_again_in_its_file(tmp_path: Path) -> None:
    photo = tmp_path / "airfield.png"
    cv2.imwrite(str(photo), looked_at("airfield")[..., ::-1])
    found = compare(Models(), ["demo/V-19-slim-dw", "demo/MobileNetV2"], photo, timed=False)
    assert found.truth is not None
    assert found.truth.class_names[:4] == ("car", "truck", "bus", "plane")
    assert [row["found"] for row in found.counts(Filters(0.5))] == ["11 of 11", "9 of 11"]
    assert found.cautions == []  # it is a generated scene


def test_a_model_of_generated_scenes_is_not_to_be_trusted_with_a_photograph(tmp_path: Path) -> None:
    found = compare(Models(), ["demo/MobileNetV2"], opening_photo(tmp_path), timed=False)
    drawn, large = found.cautions
    assert drawn.startswith(
        "demo/MobileNetV2 was trained on generated aerial scenes only; do not rely on its detections"
    )
    assert large == found.advice


def test_the_photograph_is_of_a_place_that_no_model_was_trained_on(shared: Path, tmp_path: Path) -> None:
    photo = cv2.imread(str(opening_photo(tmp_path)))
    folder = shared / "data/aerial-real"
    known = json.loads((folder / "annotations/instances_test.json").read_text())["images"]
    same_size = [one["file_name"] for one in known if (one["height"], one["width"]) == photo.shape[:2]]
    assert any(np.array_equal(photo, cv2.imread(str(folder / "test" / name))) for name in same_size)


@pytest.mark.parametrize("caption", ["airfield", "crossing", "apron", "blood cells"])
def test_annotated_boxes_lie_in_their_photo(caption: str) -> None:
    photo, truth = next(one for one in examples() if one.caption == caption).look()
    assert truth is not None
    assert truth.image_size == photo.shape[:2]
    assert (truth.boxes_xyxy[:, :2] >= 0).all()
    assert (truth.boxes_xyxy[:, 2:] <= np.array(photo.shape[1::-1]) + 1).all()
    assert (truth.boxes_xyxy[:, 2:] > truth.boxes_xyxy[:, :2]).all()
