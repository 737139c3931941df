"""The plugin's work on a real database: AP by size of anybody's labels, who finds what, a model run on a view."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.types import Detections

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def dataset(fiftyone: ModuleType, scene: Any) -> Any:
    from explorer.browser.build import build

    return build(scene.data, scene.runs, name="plugin").dataset


def test_fiftyone_finds_the_metric_and_its_figures_are_cocos(fiftyone: ModuleType, dataset: Any) -> None:
    from explorer.browser.serve import install_plugin

    folder = install_plugin(Path(fiftyone.config.plugins_dir))
    assert {path.name for path in folder.iterdir()} >= {"fiftyone.yml", "__init__.py"}
    metric = "@vovnet/explorer/evaluate_by_size"
    results = dataset.evaluate_detections("better", gt_field="ground_truth", eval_key="custom", custom_metrics=[metric])
    ours = dataset.load_evaluation_results("better_eval").custom_metrics
    assert ours[metric]["value"] > 0
    for uri, entry in ours.items():
        assert results.custom_metrics[uri]["key"] == entry["key"]
        assert results.custom_metrics[uri]["value"] == pytest.approx(entry["value"], abs=1e-6)


def test_counts_are_those_of_the_views(dataset: Any) -> None:
    from explorer.browser.actions import who_finds
    from explorer.browser.views import only_found_by, small_misses

    for size in (None, "small", "large"):
        counts = who_finds(dataset, "better", "worse", size)
        assert counts["only better"] == only_found_by(dataset, "better", "worse", size).count("ground_truth.detections")
        assert counts["only worse"] == only_found_by(dataset, "worse", "better", size).count("ground_truth.detections")
    counts = who_finds(dataset, "better", "worse", "small")
    missed = small_misses(dataset, "better").count("ground_truth.detections")
    assert missed == counts["only worse"] + counts["neither"] > 0


def test_every_view_is_saved_and_opens(dataset: Any) -> None:
    from explorer.browser.views import save_views

    names = save_views(dataset)
    assert dataset.list_saved_views() == list(names)
    assert {len(dataset.load_saved_view(name)) for name in names} != {0}
    assert "better finds, worse misses" in names
    assert save_views(dataset) == names
    assert dataset.has_workspace("errors")


def test_the_diff_counts_what_its_bars_show(dataset: Any) -> None:
    from explorer.browser.diff import diff_of
    from explorer.browser.views import errors_of, only_found_by
    from explorer.errors.taxonomy import ERRORS, ErrorType

    figures = diff_of(dataset, "better", "worse")["figures"]
    for bar in figures["found_by_size"]["data"]:
        a, b = ("better", "worse") if bar["name"] == "only better" else ("worse", "better")
        shown = [only_found_by(dataset, a, b, size).count("ground_truth.detections") for size in bar["x"]]
        assert shown == bar["y"]
    for bar in figures["errors"]["data"]:
        for kind, number in zip(ERRORS, bar["y"], strict=True):
            field = "ground_truth" if kind == ErrorType.MISSED else bar["name"]
            assert errors_of(dataset, bar["name"], kind).count(f"{field}.detections") == number


def test_a_model_runs_on_a_view(dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.browser.actions import detect

    def found(image: np.ndarray) -> Any:
        boxes = np.array([[32, 24, 64, 48]], np.float32)
        detections = Detections(boxes, np.array([0.75], np.float32), np.array([1]), ("car", "plane"), image.shape[:2])
        return SimpleNamespace(detections=detections)

    monkeypatch.setattr("explorer.engine.loading.load_detector", lambda _: SimpleNamespace(detect=found, caveat=""))
    view = dataset.limit(3)
    assert list(detect(view, "demo/a-model")) == [(1, 3), (2, 3), (3, 3)]
    dataset.reload()
    assert dataset.count("demo_a_model.detections") == 3
    label = view.first()["demo_a_model"].detections[0]
    assert (label.label, label.confidence) == ("plane", 0.75)
    assert label.bounding_box == pytest.approx([0.1, 0.1, 0.1, 0.1])
    with pytest.raises(ValueError, match="choose another field"):
        next(detect(view, "demo/a-model", "ground_truth"))
    with pytest.raises(ValueError, match="is Python code"):
        next(detect(view, "somewhere/config.py"))
