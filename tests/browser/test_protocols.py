"""A data set goes by one protocol: its sizes, its figures, its views; what it leaves out stays to be corrected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from explorer.scoring.metrics import metrics_of
from explorer.scoring.protocols import COCO, PRESETS, protocol_of
from explorer.scoring.runs import load_run

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]
NAMES = np.array(["very tiny", "tiny", "small", "medium"])


@pytest.fixture
def name(fiftyone: ModuleType, request: pytest.FixtureRequest) -> Iterator[str]:
    own = request.node.name.replace("_", "-")
    yield own
    if fiftyone.dataset_exists(own):
        fiftyone.delete_dataset(own)


def test_sizes_figures_and_views_are_the_protocols(name: str, scene: Any) -> None:
    from explorer.browser.build import build
    from explorer.browser.diff import diff_of
    from explorer.browser.state import read_state
    from explorer.browser.views import save_views

    protocol = protocol_of("ai-tod")
    built = build(scene.data, scene.runs, name=name, protocol=protocol)
    dataset = built.dataset
    objects = "ground_truth.detections"
    areas, sizes, found = dataset.values(
        [f"{objects}.{own}" for own in ("area_px", "size_bin", "better_found")], unwind=True
    )
    expected = NAMES[np.searchsorted([8**2, 16**2, 32**2], areas, side="right")]
    assert list(expected) == sizes
    own = dataset.values("better.detections.size_bin", unwind=True)
    assert set(own) <= set(NAMES.tolist())
    state = read_state(dataset)
    assert state is not None
    assert state.rules == PRESETS["ai-tod"]
    for field, run in zip(("better", "worse"), scene.runs, strict=True):
        figures = metrics_of(load_run(run, protocol=protocol)).values["bbox"]
        assert {"APvt", "APt", "APs", "APm"} <= state.runs[field].figures.keys()
        for figure, value in state.runs[field].figures.items():
            assert np.isnan(figures[figure]) if value is None else value == pytest.approx(figures[figure], abs=1e-9)
    views = save_views(dataset)
    assert "better: very tiny misses" in views
    assert not [view for view in views if "small" in view]
    for size in NAMES:
        missed = sum(one == size and there is False for one, there in zip(sizes, found, strict=True))
        counted = dataset.sum(f"better_{size.replace(' ', '_')}_misses")
        assert counted == missed
    diff = diff_of(dataset, "better", "worse")
    assert set(diff["sizes"]) <= set(NAMES.tolist())
    assert build(scene.data, scene.runs, name=name).written == ()
    with pytest.raises(ValueError, match=r"uses another protocol \(sizes ai-tod, IoU 0\.5 to 0\.95, 1,500"):
        build(scene.data, scene.runs, name=name, protocol=COCO)


def test_runs_of_one_protocol_bring_it(name: str, scene: Any, tmp_path: Path) -> None:
    from explorer.browser.build import build, kept_protocol
    from explorer.browser.state import read_state

    runs = [Path(shutil.copytree(run, tmp_path / run.name)) for run in scene.runs]
    for run in runs:
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**facts, "protocol": protocol_of("8,32").as_facts()}))
    dataset = build(scene.data, runs, name=name).dataset
    state = read_state(dataset)
    assert state is not None
    assert state.rules.name == "8,32"
    assert kept_protocol(scene.data, name) == state.rules, "by which browse runs a model that is added later"
    assert kept_protocol(scene.data, f"no {name}") is None
    assert set(dataset.distinct("ground_truth.detections.size_bin")) <= {"under 8²", "8²–32²", "32² and over"}
    assert dataset.has_field("better_8_32_misses")
    assert dataset.has_field("better_AP_0_8")


def test_what_a_protocol_leaves_out_can_be_corrected(name: str, scene: Any, tmp_path: Path) -> None:
    """VisDrone drops its ignored regions and what lies in them: they stand in the App and in what is exported."""
    from explorer.browser.build import build
    from explorer.browser.export import Changes, write_corrected
    from explorer.browser.views import save_views

    folder = Path(shutil.copytree(Path(scene.data.rpartition(":")[0]), tmp_path / "scene"))
    file = folder / "annotations/instances_val.json"
    content = json.loads(file.read_text())
    for category in content["categories"]:
        category["name"] = {"ship": "ignored regions"}.get(category["name"], category["name"])
    file.write_text(json.dumps(content))
    data, protocol = f"{folder}:val", protocol_of("visdrone")
    run = folder / "better"
    (run / "run.json").write_text(json.dumps({"model": "better", "data": data, "images": len(content["images"])}))
    dataset = build(data, [run], name=name, protocol=protocol).dataset
    assert dataset.count("ground_truth.detections") == len(content["annotations"])
    scored = load_run(run, data, protocol=protocol)
    judged = dataset.values("ground_truth.detections.better_error", unwind=True)
    assert sum(one is not None for one in judged) == len(scored.truth) < len(content["annotations"])
    assert dataset.count("better.detections") == len(scored.found)
    assert not [view for view in save_views(dataset) if "misses" in view]
    assert write_corrected(dataset, data, tmp_path / "corrected.json") == Changes(0, 0, 0, 0, 0)


def test_likely_label_errors_come_first_as_fiftyones_mistakenness_has_them(
    name: str, tmp_path: Path, make: Any
) -> None:
    """Planted errors: FiftyOne's brain, which knows nothing of ours, finds what ours ranks first."""
    brain = pytest.importorskip("fiftyone.brain")
    from explorer.browser.build import build
    from explorer.browser.views import save_views

    scene = make(tmp_path / "scene", images=12, masks=False, crowds=False, seed=4)
    folder = Path(scene.data.rpartition(":")[0])
    file = folder / "annotations/instances_val.json"
    content = json.loads(file.read_text())
    rng = np.random.default_rng(8)
    results = [
        {**{key: own[key] for key in ("image_id", "category_id", "bbox")}, "score": float(rng.uniform(0.6, 0.94))}
        for own in content["annotations"]
    ]
    lost, wrong = content["annotations"][3], content["annotations"][11]
    results[3]["score"] = results[11]["score"] = 0.99
    content["annotations"].remove(lost)
    wrong["category_id"] = 1 if wrong["category_id"] != 1 else 3
    file.write_text(json.dumps(content))
    run = scene.runs[0]
    (run / "coco_instances_results.json").write_text(json.dumps(results))
    dataset = build(scene.data, [run], name=name).dataset
    assert "better: likely label errors" in save_views(dataset)
    view = dataset.load_saved_view("better: likely label errors")
    ranked = sorted((own for sample in view for own in sample["better"].detections), key=lambda own: -own["likelihood"])
    assert [own["label_error"] for own in ranked[:2]] in (
        ["missing box", "wrong class"],
        ["wrong class", "missing box"],
    )
    likeliest = view.values("better_label_error")
    assert likeliest == sorted(likeliest, reverse=True)
    brain.compute_mistakenness(dataset, "better", label_field="ground_truth")
    missing = [
        own for sample in dataset for own in sample["better"].detections if getattr(own, "possible_missing", False)
    ]
    assert [own.id for own in missing] == [own.id for own in ranked[:2] if own["label_error"] == "missing box"]
    doubted = [own for sample in dataset for own in sample["ground_truth"].detections]
    doubted.sort(key=lambda own: -(getattr(own, "mistakenness", None) or 0))
    assert doubted[0]["coco_id"] == wrong["id"]
