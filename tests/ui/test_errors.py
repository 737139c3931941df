"""The tab of errors on four scenes: its figures are the library's, its misses are missed, their stories are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.autopsy.verdicts import Verdict
from explorer.data.aerial import make_aerial
from explorer.engine.evaluation.evaluate import evaluate
from explorer.scoring.protocols import PRESETS, protocol_of
from explorer.scoring.runs import read_truth
from explorer.ui.actions.errors import SIZE_BINS, Examination, annotated_images, examine, explain_miss
from explorer.ui.actions.models import Models
from explorer.ui.actions.progress import Stopped

NAMES = ["demo/V-19-slim-dw", "demo/MobileNetV2"]


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("aerial")
    make_aerial(folder, images=4, seed=3, workers=1)
    return f"{folder}:val"


@pytest.fixture(scope="module")
def examined(models: Models, data: str) -> Examination:
    return examine(models, NAMES, annotated_images(data, 4))


def test_figures_equal_those_of_evaluation(examined: Examination, data: str, tmp_path: Path) -> None:
    from explorer import load_detector
    from explorer.data.images import read_image
    from explorer.scoring.convert import run_from_detections

    truth = read_truth(data)
    detector = load_detector(NAMES[0], lowest_score=0.05, exact=True)  # as the autopsy runs it
    found = [detector.detect(read_image(name)).detections for name in truth.file_names]
    alone = run_from_detections(truth, found, NAMES[0])
    np.testing.assert_allclose(examined.analyses[0].run.found.scores, alone.found.scores, atol=1e-5)
    np.testing.assert_allclose(examined.analyses[0].run.found.boxes_xywh, alone.found.boxes_xywh, atol=1e-2)


def test_tables_are_by_size_and_of_the_difference(examined: Examination) -> None:
    (title, by_size), (pair_title, difference) = examined.tables()
    assert title.startswith("By size")
    assert by_size.head[1:] == tuple(NAMES)
    assert pair_title == f"{NAMES[1]} minus {NAMES[0]}"
    assert [row[0].split(" (")[0] for row in difference.rows] == ["AP all", "AP small", "AP medium", "AP large"]
    assert [row[0] for row in by_size.rows[:4]] == [row[0] for row in difference.rows]  # the same objects and images


def test_sizes_are_those_of_the_protocol(models: Models, data: str) -> None:
    found = examine(models, NAMES[:1], annotated_images(data, 2), protocol=protocol_of("tinyperson"))
    (_, grid) = found.tables()[0]
    shown = [row[0].split(" (")[0] for row in grid.rows]
    assert shown[:2] == ["AP all", "AP tiny"]
    assert {"AP25 reasonable", "AP50 tiny3", "AR200 all"} <= set(shown)
    assert found.analyses[0].run.protocol.iou_thresholds == (0.25, 0.5, 0.75)
    autopsy = found.analyses[0].autopsy
    assert autopsy is not None
    assert [name for _, name in SIZE_BINS] == [*PRESETS, "8,16,32,96"]


def test_models_report_as_many_objects_as_the_protocol_counts(
    models: Models, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (head,) = (part for part in models.get(NAMES[0]).model.modules() if hasattr(part, "test_topk_per_image"))
    monkeypatch.setattr(head, "test_topk_per_image", 1)
    truth = annotated_images(data, 2)
    few, many = (examine(models, NAMES[:1], truth, protocol=PRESETS[name]) for name in ("coco", "tinyperson"))
    assert np.bincount(few.analyses[0].run.found.images).max() == 1
    assert np.bincount(many.analyses[0].run.found.images).max() > 3
    assert head.test_topk_per_image == 1
    run = evaluate(models.get(NAMES[0]), truth, protocol=PRESETS["tinyperson"])
    assert run.facts["detections_per_image"] == 200
    assert len(run.found.scores) == len(many.analyses[0].run.found.scores)


@pytest.mark.parametrize("name", NAMES)
def test_misses_are_objects_that_are_not_found(name: str, examined: Examination, models: Models) -> None:
    misses = examined.misses[name]
    assert misses
    for number, miss in enumerate(misses[:2]):
        crop, caption = examined.crop(name, number)
        assert crop.ndim == 3
        assert miss.reason in caption
        story = explain_miss(models, examined, name, number)
        box = examined.truth.boxes_xywh[miss.row]
        assert story.boxes[0].kind == "object"
        assert story.boxes[0].box_xyxy[2] - story.boxes[0].box_xyxy[0] == pytest.approx(box[2])
        finding = examined.analyses[examined.names.index(name)].autopsy.findings[miss.row]  # type: ignore[union-attr]
        assert story.finding.verdict == finding.verdict
        assert any(sentence.startswith("Verdict: ") for sentence in story.sentences[-2:])
        assert finding.verdict.is_miss
        assert miss.reason == finding.verdict.label
        if finding.verdict == Verdict.LOW_SCORE:
            assert finding.score < examined.point(name).score


def test_a_miss_that_is_no_more_is_explained(examined: Examination, models: Models) -> None:
    with pytest.raises(ValueError, match="no longer exists"):
        explain_miss(models, examined, NAMES[0], 999)


def test_one_model_is_examined_without_a_rival(models: Models, data: str) -> None:
    alone = examine(models, NAMES[:1], annotated_images(data, 2))
    assert alone.comparison is None
    assert len(alone.tables()) == 1
    assert len(alone.truth.image_ids) == 2


def test_scenes_are_made_where_no_data_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    told: list[str] = []
    first = annotated_images(None, 2, lambda share, words: told.append(words))
    assert told[-1] == "making aerial scenes: 2 of 2"
    assert first.image_ids.tolist() == annotated_images(None, 2).image_ids.tolist()


def test_it_stops_when_asked(models: Models, data: str) -> None:
    def tell(share: float, words: str) -> None:
        if "1 of" in words:
            raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        examine(models, NAMES, annotated_images(data, 4), tell)


def test_other_classes_than_the_models_are_refused(models: Models, shared: Path) -> None:
    with pytest.raises(ValueError, match="class"):
        examine(models, NAMES[:1], annotated_images(f"{shared}/data/bccd:val", 2))
