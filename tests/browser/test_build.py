"""Building: killed anywhere it can be completed, twice does nothing, a third run touches only its own fields."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.autopsy.verdicts import Verdict
from explorer.engine.colors import PALETTE

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]


LOST = tuple(verdict for verdict in Verdict if verdict < Verdict.NOT_IN_RUN)


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture
def name(fiftyone: ModuleType, request: pytest.FixtureRequest) -> Iterator[str]:
    own = request.node.name.replace("[", "-").replace("]", "").replace("_", "-")
    yield own
    if fiftyone.dataset_exists(own):
        fiftyone.delete_dataset(own)


def documents(dataset: Any) -> list[dict[str, Any]]:
    """All samples but for what says when they were written."""
    from fiftyone.core.odm import get_db_conn

    found = list(get_db_conn()[dataset._sample_collection_name].find().sort("_id"))
    times = ("created_at", "last_modified_at", "_dataset_id")
    return [{key: value for key, value in sample.items() if key not in times} for sample in found]


def known_by_object(run: Any, iou: float) -> tuple[Any, Any]:
    """A stage that lost each object and a level, told apart by its id."""
    return run.truth.ids % len(LOST), tuple(f"p {own}" for own in run.truth.ids.tolist())


def times(dataset: Any) -> list[Any]:
    return dataset.values(["created_at", "last_modified_at"])


def test_a_second_time_does_nothing(name: str, scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.browser import build as module

    first = module.build(scene.data, scene.runs, name=name)
    assert first.written == ("images", "better", "worse")
    before, when = documents(first.dataset), times(first.dataset)
    monkeypatch.setattr("explorer.scoring.parts.RunInParts", lambda *_: pytest.fail("it read a run again"))
    second = module.build(scene.data, scene.runs, name=name)
    assert second.written == ()
    assert second.fields == ("better", "worse")
    assert (documents(second.dataset), times(second.dataset)) == (before, when)


@pytest.mark.parametrize("ids", [lambda own: f"no {own}", lambda own: own + 2**70, lambda own: 3 - own])
def test_ids_of_any_kind_are_kept(name: str, scene: Any, tmp_path: Path, ids: Callable[[int], int | str]) -> None:
    """The same documents as with plain numbers, but for the ids, and corrections with the ids of the file."""
    from explorer.browser.build import build
    from explorer.browser.export import Changes, write_corrected

    shutil.copytree(Path(scene.data.rpartition(":")[0]), tmp_path / "scene")
    file = tmp_path / "scene/annotations/instances_val.json"
    content = json.loads(file.read_text())
    for record in (*content["images"], *content["annotations"]):
        record |= {key: ids(record[key]) for key in ("id", "image_id") if key in record}
    file.write_text(json.dumps(content))
    run = tmp_path / "scene/better"
    for part, rename in (
        ("coco_instances_results.json", lambda own: own | {"image_id": ids(own["image_id"])}),
        ("image_ids.json", ids),
    ):
        (run / part).write_text(json.dumps([rename(own) for own in json.loads((run / part).read_text())]))
    built = build(f"{tmp_path}/scene:val", [run], name=name).dataset
    plain = build(scene.data, scene.runs[:1], name=f"{name}-plain").dataset
    for field in ("better_eval_tp", "better_eval_fp", "better_eval_fn", "better_AP"):
        values, expected = (dict(zip(own.values("filepath"), own.values(field), strict=True)) for own in (built, plain))
        assert {Path(path).name: value for path, value in values.items()} == pytest.approx(
            {Path(path).name: value for path, value in expected.items()}, nan_ok=True
        )
    assert sorted(map(str, built.values("coco_id"))) == sorted(str(image["id"]) for image in content["images"])
    assert write_corrected(built, f"{tmp_path}/scene:val", tmp_path / "same.json") == Changes(0, 0, 0, 0, 0)
    same = json.loads((tmp_path / "same.json").read_text())
    assert same["images"] == content["images"]
    assert sorted(same["annotations"], key=repr) == sorted(content["annotations"], key=repr)


def test_in_parts_it_is_the_same(name: str, scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.browser.build import build

    # as an autopsy and a model's levels would be, one for each object
    monkeypatch.setattr("explorer.browser.judging._known", known_by_object)
    whole = build(scene.data, scene.runs, name=name).dataset
    expected, info = documents(whole), dict(whole.info["vovnet_explorer"])
    matches = whole.load_evaluation_results("worse_eval", cache=False).serialize()
    monkeypatch.setattr("explorer.scoring.parts.IMAGES_AT_A_TIME", 3)
    parts = build(scene.data, scene.runs, name=name, rebuild=True).dataset
    for sample in (*(written := documents(parts)), *expected):
        for field in sample.keys() & {"better_AP", "better_APs", "worse_AP", "worse_APs"}:
            sample[field] = round(sample[field], 9)  # sums over another number of images
    assert written == expected
    assert parts.load_evaluation_results("worse_eval", cache=False).serialize() == matches
    assert str(parts.info["vovnet_explorer"]) == str(info)
    labels = [label for sample in expected for label in sample["ground_truth"]["detections"]]
    lost = [label for label in labels if label["better_verdict"] not in ("found", "scored below the threshold")]
    assert all(label["better_verdict"] == Verdict(label["coco_id"] % len(LOST)).label for label in lost)
    assert len({label["better_verdict"] for label in labels}) > 3
    assert all(label["worse_level"] == f"p {label['coco_id']}" for label in labels)


@pytest.mark.parametrize(
    "at", ["images", "results", "worse", *(pytest.param(at, marks=pytest.mark.slow) for at in ("schema", "better"))]
)
def test_after_a_kill_the_rest_is_written(
    at: str, name: str, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.browser import build as module

    scene = make(tmp_path / "scene")
    whole = documents(module.build(scene.data, scene.runs, name=name).dataset)
    with monkeypatch.context() as patch:
        patch.setattr(module, "SAMPLES_AT_A_TIME", 3)
        patch.setattr(module, "UPDATES_AT_A_TIME", 3)

        counts: list[int] = []

        def die(*_: Any) -> None:
            raise KilledError

        def stop(done: int, total: int) -> None:  # each part counts from its first images on
            counts.append(done)
            begun = sum(own <= before for before, own in itertools.pairwise(counts))
            if ["images", "better", "worse"][begun] == at:
                die()

        if at == "schema":
            patch.setattr(module, "declare_evaluation", die)
        if at == "results":
            patch.setattr(module, "save_results", die)
        with pytest.raises(KilledError):
            module.build(scene.data, scene.runs, name=name, rebuild=True, progress=stop)
    finished = module.build(scene.data, scene.runs, name=name).dataset
    assert documents(finished) == whole
    assert finished.list_evaluations() == ["better_eval", "worse_eval"]
    assert all(finished.load_evaluation_results(key) is not None for key in finished.list_evaluations())
    assert len(finished) == 10


def test_images_alone_are_completed_and_stay_deleted(name: str, scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.browser import build as module

    def stop(done: int, total: int) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(module, "SAMPLES_AT_A_TIME", 3)
        with pytest.raises(KilledError):
            module.build(scene.data, name=name, progress=stop)
    built = module.build(scene.data, name=name)
    assert (len(built.dataset), built.written) == (10, ("images",))
    built.dataset.delete_samples(built.dataset.first())
    assert module.build(scene.data, name=name).written == ()
    assert len(module.build(scene.data, scene.runs[:1], name=name).dataset) == 9


def test_a_third_run_touches_only_its_fields(name: str, scene: Any, tmp_path: Path) -> None:
    from explorer.browser.build import build

    before = documents(build(scene.data, scene.runs, name=name).dataset)
    third = tmp_path / "third"
    shutil.copytree(scene.runs[1], third)
    (third / "run.json").write_text(json.dumps({"model": "third/model", "data": scene.data}))
    built = build(scene.data, [*scene.runs, third], name=name)
    assert built.written == ("third_model",)
    after = documents(built.dataset)
    touched = set()
    for old, new in zip(before, after, strict=True):
        touched |= {key for key in new if new[key] != old.get(key) and key != "ground_truth"}
        for was, is_now in zip(old["ground_truth"]["detections"], new["ground_truth"]["detections"], strict=True):
            touched |= {key for key in is_now if is_now[key] != was.get(key) and key != "found_by"}
            assert [who for who in is_now["found_by"] if who != "third_model"] == was["found_by"]
    assert touched
    assert all(key.startswith("third_model") for key in touched)


def test_a_run_made_anew_is_written_anew(name: str, make: Callable[..., Any], tmp_path: Path) -> None:
    from explorer.browser.build import build

    scene = make(tmp_path / "scene")
    build(scene.data, scene.runs, name=name)
    shutil.copy(scene.runs[1] / "coco_instances_results.json", scene.runs[0])  # these have masks, too
    built = build(scene.data, scene.runs, name=name)
    assert built.written == ("better",)
    for sample in built.dataset:
        assert sample["better_AP"] == sample["worse_AP"]
        assert len(sample["better"].detections) == len(sample["worse"].detections)
        for label in sample.ground_truth.detections:
            assert label["better_error"] == label["worse_error"]
            assert ("better_eval_iou" in label) == ("worse_eval_iou" in label)
            assert ("better" in label.found_by) == ("worse" in label.found_by)


def test_what_was_changed_in_the_app_stays(fiftyone: ModuleType, name: str, scene: Any) -> None:
    from explorer.browser.build import build

    dataset = build(scene.data, scene.runs[:1], name=name).dataset
    sample = next(sample for sample in dataset if len(sample.ground_truth.detections) >= 3)
    labels = sample.ground_truth.detections
    gone, kept = labels[0].id, labels[1].id
    labels[1].label, labels[1].tags = "ship", ["looked at"]
    sample.ground_truth.detections = [fiftyone.Detection(label="car", bounding_box=[0, 0, 1, 1]), *labels[1:]]
    sample.tags.append("odd")
    sample.save()

    dataset = build(scene.data, scene.runs, name=name).dataset
    dataset.reload()
    sample = dataset[sample.id]
    labels = {label.id: label for label in sample.ground_truth.detections}
    assert "odd" in sample.tags
    assert gone not in labels
    assert (labels[kept].label, labels[kept].tags) == ("ship", ["looked at"])
    assert "worse_error" in labels[kept]
    assert "worse_error" not in sample.ground_truth.detections[0]


def test_a_run_that_finds_nothing(name: str, scene: Any, tmp_path: Path) -> None:
    from explorer.browser.build import build
    from explorer.browser.views import save_views

    nothing = tmp_path / "nothing"
    shutil.copytree(scene.runs[0], nothing)
    (nothing / "coco_instances_results.json").write_text("[]")
    built = build(scene.data, [nothing], name=name)
    assert built.dataset.load_evaluation_results("better_eval").mAP() == 0
    assert built.dataset.count("better.detections") == 0
    assert len(built.dataset.load_saved_view(save_views(built.dataset)[1])) > 0
    scheme = built.dataset.app_config.color_scheme
    fields = {own["path"]: own for own in scheme.fields}
    assert fields["better"]["fieldColor"] == "#e69f00"  # the first model's in every figure of the page
    assert fields["ground_truth"]["fieldColor"] == "#009e73"
    classes = {own["value"]: own["color"] for own in fields["better"]["valueColors"]}
    assert classes == {
        name: "#{:02x}{:02x}{:02x}".format(*color)
        for name, color in zip(("car", "plane", "ship"), PALETTE, strict=False)
    }


def test_ap_is_pycocotools(name: str, scene: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from explorer.browser.build import build

    built = build(scene.data, scene.runs, name=name)
    truth = COCO(str(Path(scene.data.removesuffix(":val")) / "annotations/instances_val.json"))
    for field, run in zip(built.fields, scene.runs, strict=True):
        results = built.dataset.load_evaluation_results(f"{field}_eval")
        evaluation = COCOeval(truth, truth.loadRes(str(run / "coco_instances_results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert results.mAP() == pytest.approx(evaluation.stats[0], abs=1e-9)
        figures = built.dataset.info["vovnet_explorer"]["runs"][field]["figures"]
        assert figures["APs"] == pytest.approx(100 * evaluation.stats[3], abs=1e-9)


def test_another_data_set_of_the_name_is_refused(fiftyone: ModuleType, name: str, scene: Any) -> None:
    from explorer.browser.build import build

    fiftyone.Dataset(name).add_sample(fiftyone.Sample(filepath="/theirs.png"))
    with pytest.raises(ValueError, match="not created by explorer browse: choose another name"):
        build(scene.data, name=name)
    assert len(fiftyone.load_dataset(name)) == 1


def test_changed_annotations_are_refused_until_asked_for(name: str, make: Callable[..., Any], tmp_path: Path) -> None:
    from explorer.browser.build import build

    scene = make(tmp_path / "scene", images=4)
    build(scene.data, name=name)
    file = tmp_path / "scene/annotations/instances_val.json"
    content = json.loads(file.read_text())
    content["annotations"] = content["annotations"][1:]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"before its annotations changed.*--rebuild"):
        build(scene.data, name=name)
    assert build(scene.data, name=name, rebuild=True).written == ("images",)
