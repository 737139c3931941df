"""What is said of each box: COCO's rules, with crowds neither right nor wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from explorer.browser.judging import judge
from explorer.errors.taxonomy import ErrorType
from explorer.scoring.ignored import run_under
from explorer.scoring.metrics import score
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import protocol_of


def test_what_is_in_a_crowd_is_neither_right_nor_wrong(as_scene_run: Callable[[str], Any]) -> None:
    run = as_scene_run("better")
    judged = judge(run)
    taken = judged.matches.objects_taken(0.5)
    in_crowd = np.append(run.truth.crowds, False)[taken]
    assert in_crowd.sum() >= 1
    assert (judged.right[in_crowd] == -1).all()
    assert (judged.objects[in_crowd] == -1).all()
    assert np.isnan(judged.ious[in_crowd]).all()
    assert (judged.missed[run.truth.crowds] == -1).all()
    assert not judged.found[run.truth.crowds].any()


def test_what_a_protocol_ignores_is_neither_right_nor_missed(as_scene_run: Callable[[str], Any]) -> None:
    """SODA's evaluation is of objects up to 2000 px²; what FiftyOne counts is what its figures are of."""
    judged = judge(run_under(protocol_of("soda"), as_scene_run("better")))
    truth, taken = judged.run.truth, judged.matches.objects_taken(0.5)
    ignored = truth.crowds | (truth.areas_px > 2000)
    assert (ignored & ~truth.crowds).sum() > 1
    assert (judged.missed[ignored] == -1).all()
    assert (judged.right[np.append(ignored, False)[taken]] == -1).all()
    assert (judged.missed >= 0).sum() == score(judged.matches).objects[0].sum()
    assert (judged.right == 1).sum() == (judged.missed == 0).sum()


def test_every_match_is_told_from_both_sides(as_scene_run: Callable[[str], Any]) -> None:
    judged = judge(as_scene_run("worse"))
    matched = np.flatnonzero(judged.objects >= 0)
    assert len(matched) > 5
    assert (judged.detections[judged.objects[matched]] == matched).all()
    assert (judged.ious[matched] >= 0.5).all()
    assert (judged.right[matched] == 1).all()
    assert (judged.missed[judged.objects[matched]] == 0).all()


def test_suspects_are_wrong_and_sure(as_scene_run: Callable[[str], Any]) -> None:
    judged = judge(as_scene_run("better"))
    kinds = judged.taxonomy.detection_types[judged.suspects]
    assert np.isin(kinds, (ErrorType.BACKGROUND, ErrorType.CLASSIFICATION)).all()
    shown = judged.run.found.scores >= judged.point.score
    assert not (judged.suspects & ~shown).any()


def test_another_rule_judges_at_its_iou_and_score(as_scene_run: Callable[[str], Any]) -> None:
    usual, strict = (judge(as_scene_run("better"), rule) for rule in (FOUND, FoundRule(0.75, 0.5)))
    assert (strict.point.iou, strict.point.score) == (0.75, 0.5)
    assert (strict.ious[strict.objects >= 0] >= 0.75).all()
    assert (strict.run.found.scores[strict.detections[strict.found]] >= 0.5).all()
    assert strict.found.sum() < usual.found.sum()
    assert (strict.right == 1).sum() < (usual.right == 1).sum()


def test_a_run_by_a_protocol_without_sizes_is_judged(as_scene_run: Callable[[str], Any]) -> None:
    run = run_under(protocol_of("visdrone"), as_scene_run("better"))
    judged = judge(run)
    assert np.isnan(judged.ap_smallest).all()
    assert np.isfinite(judged.ap).any()
