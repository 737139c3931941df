"""Autopsies of the demo models over a data set."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.autopsy.examine import autopsy, class_indices_of
from explorer.autopsy.files import read_autopsy, write_autopsy
from explorer.autopsy.result import Autopsy
from explorer.autopsy.verdicts import Verdict
from explorer.data.aerial import make_aerial
from explorer.data.ids import id_column
from explorer.data.images import ImageError, read_image
from explorer.engine.building import make_detector
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.scoring.columns import Truth, in_order
from explorer.scoring.convert import run_from_detections
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FOUND, FoundRule, object_scores
from explorer.scoring.runs import read_truth
from explorer.types import Detections
from explorer.zoo.resolve import resolve


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("data") / "aerial"
    make_aerial(folder, images=8, seed=5, size=(240, 320))
    return read_truth(f"{folder}:val")


@pytest.fixture(scope="module", params=["demo/V-19-slim-dw", "demo/MobileNetV2"])
def demo(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param, device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "240"], exact=True)


@pytest.fixture(scope="module")
def examined(demo: Detector, truth: Truth) -> Autopsy:
    return autopsy(demo, truth, verify=True)


def test_every_object_has_one_verdict_and_those_found_are_cocos(
    demo: Detector, truth: Truth, examined: Autopsy
) -> None:
    assert len(examined) == len(truth)
    assert len(set(examined.verdicts.tolist())) > 3
    run = run_from_detections(truth, [demo.detect(read_image(name)).detections for name in truth.file_names], "plain")
    matches = match(run, thresholds=(0.5,))
    point = FOUND.of(matches)
    scores = object_scores(matches, 0.5)
    assert replace(examined.point, run="plain") == point
    np.testing.assert_array_equal(examined.verdicts == Verdict.FOUND, scores >= point.score)
    np.testing.assert_array_equal(examined.verdicts == Verdict.LOW_SCORE, scores < point.score)
    assert Verdict.NOT_IN_RUN not in examined.verdicts
    assert [finding.score is None for finding in examined.findings] == np.isnan(scores).tolist()


def test_another_iou_follows_boxes_at_that_iou(demo: Detector, truth: Truth, examined: Autopsy) -> None:
    stricter = autopsy(demo, truth, found=FoundRule(iou=0.8, score=0.2))
    assert (stricter.point.iou, stricter.point.score) == (0.8, 0.2)
    detected = [finding for finding in stricter.findings if finding.verdict == Verdict.FOUND]
    assert all(finding.results.best["detections"].iou >= 0.8 for finding in detected)
    assert all(finding.score >= 0.2 for finding in detected)
    assert (stricter.verdicts == Verdict.FOUND).sum() < (examined.verdicts >= Verdict.LOW_SCORE).sum()
    levels = (Verdict.NO_PROPOSAL, Verdict.REGRESSED_AWAY)  # where boxes that are a little off are lost
    assert np.isin(stricter.verdicts, levels).sum() > np.isin(examined.verdicts, levels).sum()


def test_a_runs_detections_say_what_is_found(demo: Detector, truth: Truth, examined: Autopsy) -> None:
    """A run that lacks some of the model's detections, and has an object that the model loses."""
    detections = [demo.detect(read_image(name)).detections for name in truth.file_names]
    whole = match(run_from_detections(truth, detections, "whole"))
    everything = FoundRule(score=0.0)
    lost = int(np.flatnonzero((examined.verdicts < Verdict.NOT_IN_RUN) & ~truth.crowds)[0])
    gone = int(np.flatnonzero(examined.verdicts == Verdict.FOUND)[-1])
    found = whole.run.found
    kept = np.arange(len(found)) != whole.detections_taking(0.5)[gone]
    columns = [
        np.append(getattr(found, name)[kept], getattr(truth, own)[lost : lost + 1], axis=0)
        for name, own in (("images", "images"), ("classes", "classes"), ("boxes_xywh", "boxes_xywh"))
    ]
    changed = in_order(*columns, np.append(found.scores[kept], 0.9))
    other = match(replace(whole.run, found=changed))
    judged = autopsy(demo, truth, matches=other, found=everything)
    assert judged.findings[lost].verdict == Verdict.FOUND
    assert judged.findings[lost].score == 0.9
    np.testing.assert_array_equal(judged.verdicts == Verdict.FOUND, object_scores(other, 0.5) >= 0)
    if np.isnan(object_scores(other, 0.5)[gone]):  # no second detection has it
        assert judged.findings[gone].verdict == Verdict.NOT_IN_RUN
    again = judged.judged_by(whole, everything.of(whole))
    assert again.findings[gone].verdict == Verdict.FOUND
    for score in (0.3, 0.6, 0.3):
        again = again.judged_by(whole, FoundRule(score=score).of(whole))
        np.testing.assert_array_equal(again.verdicts == Verdict.FOUND, object_scores(whole, 0.5) >= score)
    with pytest.raises(ValueError, match=r"from IoU 0\.5, 0\.75 is asked for: make it again"):
        judged.judged_by(whole, FoundRule(iou=0.75).of(whole))
    few = truth.of_images(truth.image_ids[:2].tolist())
    with pytest.raises(ValueError, match="make it again with `explorer autopsy`"):
        judged.judged_by(match(run_from_detections(few, detections[:2], "few")), judged.point)


def test_at_least_95_percent_get_past_a_stage_that_is_relaxed(examined: Autopsy) -> None:
    assert_verified(examined)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["demo/V-19-slim-dw", "demo/MobileNetV2"])
def test_at_least_95_percent_do_on_many_scenes(model: str, tmp_path: Path) -> None:
    make_aerial(tmp_path / "aerial", images=60, seed=6)
    truth = read_truth(f"{tmp_path / 'aerial'}:val")
    assert_verified(autopsy(load_detector(model, device="cpu"), truth, verify=True))


def assert_verified(examined: Autopsy) -> None:
    lost = examined.verdicts[examined.verdicts < Verdict.NOT_IN_RUN]
    assert {verdict: own.lost for verdict, own in examined.verification.items()} == Counter(lost.tolist())
    assert len(examined.verification) > 2
    for verdict, own in examined.verification.items():
        assert own.lost >= own.confirmed >= own.found
        assert own.confirmed >= 0.95 * own.lost, (verdict.label, own)


def test_sizes_levels_and_verdicts_are_counted(examined: Autopsy) -> None:
    everything, *sizes = examined.by_size()
    assert everything.objects + everything.counts[Verdict.CROWD] == len(examined)
    assert everything.counts.keys() == set(examined.ends)
    for verdict in examined.ends:
        assert sum(size.counts[verdict] for size in sizes) == everything.counts[verdict]
    assert all(0 <= finding.fpn_level < len(examined.level_names) for finding in examined.findings)


def test_an_autopsy_is_read_as_it_was_written(examined: Autopsy, tmp_path: Path) -> None:
    write_autopsy(examined, tmp_path / "autopsy.json")
    for path in (tmp_path, tmp_path / "autopsy.json"):
        again = read_autopsy(path)
        assert again.findings == examined.findings
        np.testing.assert_array_equal(again.boxes_xywh, examined.boxes_xywh)
        assert (again.model, again.chain, again.class_names, again.level_names, again.point) == (
            examined.model,
            examined.chain,
            examined.class_names,
            examined.level_names,
            examined.point,
        )
    document = json.loads((tmp_path / "autopsy.json").read_text())
    assert document["by_size"]["all"]["found"] == int((examined.verdicts == Verdict.FOUND).sum())


def test_ids_of_any_kind_are_kept(examined: Autopsy, tmp_path: Path) -> None:
    images, ids = (
        [kind(own) for own in range(len(examined))] for kind in (lambda own: f"[{own}]", lambda own: 2**70 - own)
    )
    numbered = replace(examined, image_ids=id_column(images), ids=id_column(ids))
    write_autopsy(numbered, tmp_path / "autopsy.json")
    again = read_autopsy(tmp_path)
    assert (again.image_ids.tolist(), again.ids.tolist()) == (images, ids)


@pytest.mark.parametrize("text", [None, "{", "{}", '{"version": 99}', '{"version": 1, "iou": 0.5}', "[]"])
def test_what_is_no_autopsy_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "autopsy.json").write_text(text)
    with pytest.raises(ValueError, match=r"is not an autopsy .* Create one with `explorer autopsy`"):
        read_autopsy(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("kind", "cascade", "it is of a 'cascade', this program knows two-stage, RetinaNet, FCOS"),
        ("level_names", [], "on a level that the detector does not have"),
        ("found", {"iou": 0.5}, "missing"),
        ("objects", {}, "'verdict'"),
    ],
)
def test_what_is_wrong_with_an_autopsy_is_said(
    examined: Autopsy, tmp_path: Path, name: str, value: Any, reason: str
) -> None:
    write_autopsy(examined, tmp_path / "autopsy.json")
    document = json.loads((tmp_path / "autopsy.json").read_text())
    (tmp_path / "autopsy.json").write_text(json.dumps(document | {name: value}))
    with pytest.raises(ValueError, match=f"is not an autopsy .*{reason}"):
        read_autopsy(tmp_path)


def test_mask_rcnn_is_examined_too(truth: Truth) -> None:
    classes = str(len(truth.class_names))
    keys = ["MODEL.ROI_HEADS.NUM_CLASSES", classes, "INPUT.MIN_SIZE_TEST", "96"]
    keys += ["EXPLORER.CLASS_NAMES", repr(list(truth.class_names))]
    cfg = resolve("configs/mask_rcnn_V_19_FPNLite_3x.yaml", overrides=keys).cfg
    detector = replace(make_detector(cfg, "mask", device="cpu"), class_names=truth.class_names)
    one = truth.of_images(truth.image_ids[:1].tolist())
    assert len(autopsy(detector, one)) == len(one)


def test_an_autopsy_says_that_it_looks_into_no_tile(
    demo: Detector, truth: Truth, caplog: pytest.LogCaptureFixture
) -> None:
    tiled, one = demo.with_tiles(128), truth.of_images(truth.image_ids[:1].tolist())
    reported: list[Detections] = []
    examined = autopsy(tiled, one, found=FoundRule(score=0.0), on_detections=reported.append)
    assert "The autopsy runs on whole images, whereas evaluation processes 1 photograph in tiles" in caplog.text
    # but what it reports, and so every figure made of it, is the tiles'
    expected = tiled.detect(one.file_names[0]).detections
    np.testing.assert_array_equal(reported[0].boxes_xyxy, expected.boxes_xyxy)
    scores = object_scores(match(run_from_detections(one, [expected], "tiled")), 0.5)
    np.testing.assert_array_equal(examined.verdicts == Verdict.FOUND, ~np.isnan(scores))


def test_other_classes_and_other_pictures_are_refused(demo: Detector, truth: Truth, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share no class by name"):
        class_indices_of(demo, replace(truth, class_names=("a", "b")))
    with pytest.raises(ValueError, match="Class 'tram' cannot be scored: the model has no such class"):
        class_indices_of(demo, replace(truth, class_names=("car", "tram")))
    shuffled = replace(truth, class_names=tuple(reversed(truth.class_names)))
    np.testing.assert_array_equal(class_indices_of(demo, shuffled), np.arange(6)[::-1])
    with pytest.raises(ImageError, match="its annotations say"):
        autopsy(demo, replace(truth, image_sizes=truth.image_sizes + 1))
