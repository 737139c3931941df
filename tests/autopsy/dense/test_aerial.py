"""Autopsies of dense detectors on aerial scenes: every object has one end, and ends are what relaxing a stage says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from explorer.autopsy.dense.chain import RETINANET
from explorer.autopsy.examine import autopsy
from explorer.autopsy.explain import explain
from explorer.autopsy.files import read_autopsy, write_autopsy
from explorer.autopsy.result import Autopsy
from explorer.autopsy.verdicts import Verdict
from explorer.data.aerial import make_aerial
from explorer.data.images import read_image
from explorer.report.words import autopsy_sentences
from explorer.scoring.columns import Truth
from explorer.scoring.convert import run_from_detections
from explorer.scoring.matching import Matches, match
from explorer.scoring.outcomes import FoundRule, object_scores
from explorer.scoring.runs import read_truth
from tests.fixtures.dense import DENSE

IOU = 0.3


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("data") / "aerial"
    make_aerial(folder, images=8, seed=5, size=(240, 320), workers=1)
    return read_truth(f"{folder}:val")


@pytest.fixture(scope="module", params=DENSE)
def detector(dense, request):
    return dense(request.param)


@pytest.fixture(scope="module")
def matches(detector, truth) -> Matches:
    """Of the plain detector."""
    plain = [detector.detect(read_image(name)).detections for name in truth.file_names]
    return match(run_from_detections(truth, plain, "plain"), thresholds=(IOU,))


@pytest.fixture(scope="module")
def rule(matches) -> FoundRule:
    """By which half of what is detected is found."""
    return FoundRule(IOU, float(np.nanmedian(object_scores(matches, IOU))))


@pytest.fixture(scope="module")
def examined(detector, truth, rule) -> Autopsy:
    return autopsy(detector, truth, found=rule, verify=True)


def test_every_object_has_one_end_and_those_found_are_cocos(examined, matches, rule):
    assert set(examined.verdicts.tolist()) <= {*examined.chain.verdicts, Verdict.CROWD}
    assert len(set(examined.verdicts.tolist())) > 4
    for group in examined.by_size():
        assert sum(group.counts.values()) - group.counts[Verdict.CROWD] == group.objects
    scores = object_scores(matches, IOU)
    np.testing.assert_array_equal(examined.verdicts == Verdict.FOUND, scores >= rule.score)
    np.testing.assert_array_equal(examined.verdicts == Verdict.LOW_SCORE, scores < rule.score)
    assert {Verdict.FOUND, Verdict.LOW_SCORE} <= set(examined.verdicts.tolist())
    assert Verdict.NOT_IN_RUN not in examined.verdicts


def test_at_least_95_percent_get_past_a_stage_that_is_relaxed(examined):
    lost = examined.verdicts[examined.verdicts < Verdict.NOT_IN_RUN]
    assert {verdict: own.lost for verdict, own in examined.verification.items()} == Counter(lost.tolist())
    assert len(examined.verification) > 1
    for verdict, own in examined.verification.items():
        assert own.lost >= own.confirmed >= own.found
        assert own.confirmed >= 0.95 * own.lost, (verdict.label, own)


def test_what_centerness_holds_back_is_counted(examined):
    low = [finding for finding in examined.findings if finding.verdict == Verdict.LOW_SCORE]
    assert low
    if examined.chain is RETINANET:
        assert examined.held_back_by_centerness == 0
        return
    for finding in low:
        said = finding.results.said
        assert finding.score == pytest.approx((said.own_probability * said.centerness) ** 0.5)
    score = max(finding.results.said.own_probability for finding in low) ** 0.5 - 1e-6
    stricter = replace(examined, point=replace(examined.point, score=score))
    assert stricter.held_back_by_centerness == 1
    (says, _) = autopsy_sentences(stricter)
    assert says.startswith(f"Of the {len(low)} objects scored below the threshold of {score:.3g}, 1 would reach it")


def test_it_is_read_as_it_was_written(examined, tmp_path):
    write_autopsy(examined, tmp_path / "autopsy.json")
    again = read_autopsy(tmp_path)
    assert again.findings == examined.findings
    assert again.chain is examined.chain
    assert again.verification == examined.verification


def test_each_verdict_is_explained(detector, truth, rule, examined):
    for verdict in set(examined.verdicts.tolist()) - {Verdict.FOUND, Verdict.LOW_SCORE, Verdict.CROWD}:
        row = int(np.flatnonzero(examined.verdicts == verdict)[0])
        story = explain(detector, truth, row, iou=rule.iou, score=rule.score)
        assert story.finding.verdict == verdict
        assert story.finding.after == examined.findings[row].after
        assert story.sentences[-2].startswith(f"Verdict: {Verdict(verdict).label}")
        assert story.sentences[-1].startswith("Counterfactual: ")
        assert [box.kind for box in story.boxes[:3]] == ["object", story.boxes[1].kind, "candidate"]
