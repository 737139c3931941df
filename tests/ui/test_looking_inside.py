"""Maps, fields and times of the demo models on one scene: what the tabs draw, and what is said when they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from explorer.ui.actions.compare import compare
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.features import object_at, show_layers, what_speaks_for
from explorer.ui.actions.fields import Fields, fields_and_objects, fields_at, layers_of
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models
from explorer.ui.actions.speed import TIMES, as_rows, inputs_of, measure, pareto

VOVNET, MOBILENET = "demo/V-19-slim-dw", "demo/MobileNetV2"


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from explorer.data.aerial import render_scene

    path = tmp_path_factory.mktemp("scene") / "scene.png"
    cv2.imwrite(str(path), render_scene(7, layout="airfield").image)
    return path


@pytest.fixture(scope="module")
def compared(models: Models, scene: Path) -> PhotoComparison:
    return compare(models, [VOVNET, MOBILENET], scene)


@pytest.mark.parametrize("kind", ["energy", "principal components", "EigenCAM", "one channel"])
def test_every_kind_of_map_of_every_model_that_has_the_layer(
    kind: Any, models: Models, compared: PhotoComparison
) -> None:
    figure = show_layers(models, [VOVNET, MOBILENET], compared.image_bgr, ["p3", "stage3", "res3"], kind, channel=1)
    titles = {title.text for title in figure.layout.annotations[:4]}
    assert titles == {f"{VOVNET} · stage3", f"{VOVNET} · p3", f"{MOBILENET} · res3", f"{MOBILENET} · p3"}
    assert len(figure.data) == 4


def test_maps_that_cannot_be_shown_are_explained(models: Models, compared: PhotoComparison) -> None:
    photo = compared.image_bgr
    with pytest.raises(ValueError, match="at least one layer"):
        show_layers(models, [VOVNET], photo, [], "energy")
    with pytest.raises(ValueError, match="None of the models has res2"):
        show_layers(models, [VOVNET], photo, ["res2"], "energy")
    with pytest.raises(ValueError, match="at most 8"):
        show_layers(models, [VOVNET, MOBILENET], photo, ["p2", "p3", "p4", "p5", "p6"], "energy")
    with pytest.raises(ValueError, match="64"):
        show_layers(models, [VOVNET], photo, ["p3"], "one channel", channel=64)


def test_what_speaks_for_an_object_names_the_level(models: Models, compared: PhotoComparison) -> None:
    shown = Filters(0.5)
    number = next(place for place, one in enumerate(compared.sightings(shown)) if len(one.scores) == 2)
    figure, said = what_speaks_for(models, compared, shown, number)
    one = compared.sightings(shown)[number]
    level = said.partition("from **")[2][:2]
    assert figure.layout.annotations[0].text.endswith(level)
    assert said.count("classifies this box") == 2
    probability = float(said.split(f"{one.class_name} ")[1][:4])
    assert probability == pytest.approx(max(one.scores.values()), abs=0.2)  # the box is the surer model's
    with pytest.raises(ValueError, match="Choose an object first"):
        what_speaks_for(models, compared, shown, 999)


def test_the_smallest_box_at_a_point_is_meant(compared: PhotoComparison) -> None:
    shown = Filters(0.3)
    known = compared.sightings(shown)
    for number, one in enumerate(known):
        x1, y1, x2, y2 = one.box_xyxy
        chosen = known[object_at(compared, shown, ((x1 + x2) / 2, (y1 + y2) / 2))]
        assert chosen.area_px <= known[number].area_px
    with pytest.raises(ValueError, match="There is no object at this point"):
        object_at(compared, Filters(1.0), (10, 10))


def test_fields_at_a_point_are_those_of_the_library(models: Models, compared: PhotoComparison) -> None:
    from explorer.receptive_field.theoretical import theoretical_fields

    detector, known = models.get(VOVNET), Fields()
    figure = fields_at(known, detector, compared.image_bgr, (320, 240), ["p2", "stage3"], effective=False)
    names = [trace.name for trace in figure.data if trace.name]
    fields = theoretical_fields(detector.model.backbone, (480, 640), ignore_global=True)  # type: ignore[arg-type]
    modules = layers_of(detector)
    assert names == [f"{layer}, theoretical {max(fields[modules[layer]].size_px)} px" for layer in ("stage3", "p2")]
    assert known.of(detector, (480, 640)) is known.of(detector, (480, 640))  # found once
    with pytest.raises(ValueError, match="has none of the layers"):
        fields_at(known, detector, compared.image_bgr, (320, 240), ["res2"], effective=False)
    with pytest.raises(ValueError, match="Choose at least one layer"):
        fields_at(known, detector, compared.image_bgr, (320, 240), [], effective=False)
    with pytest.raises(ValueError, match="outside the photo"):
        fields_at(known, detector, compared.image_bgr, (9000, 240), ["p2"], effective=False)


def test_without_its_gates_a_model_sees_less(
    models: Models, compared: PhotoComparison, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    monkeypatch.setattr("explorer.ui.actions.fields.INPUTS", 1)
    monkeypatch.setattr("explorer.ui.actions.fields.SIZE", (192, 192))
    detector = models.get(VOVNET)
    sides = []
    for gates in (True, False):
        objects = compared.predictions[VOVNET].detections
        figure = fields_and_objects(Fields(), detector, objects, gates=gates)
        (effective,) = [trace for trace in figure.data if trace.name == "effective field"]
        sides.append(np.array(effective.y, float))
        assert {"objects", "anchors", "theoretical field"} <= {trace.name for trace in figure.data}
    assert (sides[0] != sides[1]).any()
    assert (sides[1] > 0).all()


def test_times_are_of_the_same_rounds(models: Models, compared: PhotoComparison) -> None:
    told: list[str] = []
    seconds = measure(
        models, [VOVNET, MOBILENET], compared.image_bgr, rounds=2, progress=lambda share, words: told.append(words)
    )
    assert {name: len(own) for name, own in seconds.items()} == {VOVNET: 2, MOBILENET: 2}
    assert told[-1] == "measuring: 6 of 6"  # with a round to warm up
    assert inputs_of(models, [VOVNET], compared.image_bgr) == {VOVNET: "640 × 480"}
    assert as_rows({"A": np.array([0.1, 0.2]), "B": np.array([0.2, 0.2])}, {"A": "640 × 480", "B": "800 × 600"}) == [
        ["A", "640 × 480", "150", "100", "200", "1.00 (1.00 to 1.00)"],
        ["B", "800 × 600", "200", "200", "200", "1.50 (1.00 to 2.00)"],
    ]


@pytest.mark.parametrize(("task", "models_of_it"), [("Faster R-CNN", 12), ("Mask R-CNN", 8), ("Panoptic FPN", 4)])
def test_every_released_row_is_in_the_plot(task: Any, models_of_it: int) -> None:
    for times, mode in TIMES.items():
        figure, _ = pareto(task, times)
        if mode and not figure.data:
            assert f"No {task} has been measured in {mode}" in figure.layout.annotations[0].text
        else:
            assert sum(len(trace.x) for trace in figure.data[1:]) == models_of_it
