"""A run that is read in parts is the run: the same rows, the same figures, curves and thresholds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.data.aerial import make_aerial
from explorer.scoring import parts as module
from explorer.scoring import results_stream
from explorer.scoring.curves import class_curves
from explorer.scoring.matching import Matches, match
from explorer.scoring.metrics import score
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.parts import RunInParts
from explorer.scoring.runs import load_run
from explorer.scoring.sizes import COCO_BINS
from explorer.scoring.tally import Tally

Invent = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts, blocks and windows even of little."""
    monkeypatch.setattr(module, "IMAGES_AT_A_TIME", 5)
    monkeypatch.setattr(results_stream, "ENTRIES_AT_A_TIME", 7)
    monkeypatch.setattr(results_stream, "BYTES_AT_A_TIME", 50)


@pytest.fixture(params=["bbox", "segm"])
def on_disk(request: pytest.FixtureRequest, invent: Invent, tmp_path: Path) -> tuple[Path, str]:
    """A results file in no order, and the data that it is on."""
    content, results = invent(3, ties=True, crowds=0.2)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    (tmp_path / "annotations/instances_val.json").write_text(json.dumps(content))
    if request.param == "bbox":
        results = [{key: value for key, value in result.items() if key != "segmentation"} for result in results]
    np.random.default_rng(0).shuffle(results)  # type: ignore[arg-type]
    (tmp_path / "found.json").write_text(json.dumps(results, indent=1))
    return tmp_path / "found.json", f"{tmp_path}:val"


@pytest.mark.usefixtures("small_steps")
def test_parts_are_the_run(on_disk: tuple[Path, str]) -> None:
    whole = load_run(*on_disk)
    with RunInParts(*on_disk) as run:
        parts = list(run)
        assert len(run) == len(whole.found)
    assert len(parts) == 3
    for name in ("classes", "boxes_xywh", "scores"):
        joined = np.concatenate([getattr(part.run.found, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole.found, name))
    images = np.concatenate([part.run.found.images + part.first_image for part in parts])
    np.testing.assert_array_equal(images, whole.found.images)
    ids = np.concatenate([part.run.truth.ids for part in parts])
    np.testing.assert_array_equal(ids, whole.truth.ids)
    for part in parts:
        assert whole.truth.ids[part.first_object] == part.run.truth.ids[0]
        assert whole.found.scores[part.first_detection] == part.run.found.scores[0]
    if whole.found.masks is None:
        assert all(part.run.found.masks is None for part in parts)
    else:
        assert [dict(mask) for part in parts for mask in part.run.found.masks or ()] == list(whole.found.masks)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("levels", [10, 19])  # more than 16 take more bits
def test_what_is_tallied_of_parts_is_what_the_whole_says(on_disk: tuple[Path, str], levels: int) -> None:
    thresholds = np.linspace(0.5, 0.95, levels).tolist()
    whole = match(load_run(*on_disk), bins=COCO_BINS, thresholds=thresholds)
    with RunInParts(*on_disk) as run:
        each: Iterator[Matches] = (match(part.run, bins=COCO_BINS, thresholds=thresholds) for part in run)
        with Tally(next(each), 0.5) as tally:
            for matches in each:
                tally.add(matches)
            ranking = tally.ranking()
            figures, curves = tally.score()
    expected, lines = score(whole), class_curves(whole)
    np.testing.assert_allclose(figures.by_class, expected.by_class, atol=1e-9)
    for name in ("objects", "images_with", "images_with_class"):
        np.testing.assert_array_equal(getattr(figures, name), getattr(expected, name))
    assert (figures.names, figures.images) == (expected.names, expected.images)
    assert figures.named() == pytest.approx(expected.named(), abs=1e-9, nan_ok=True)
    for name in ("precision", "scores", "recall"):
        np.testing.assert_array_equal(getattr(curves, name), getattr(lines, name))
    for rule in (FOUND, FoundRule(precision=0.2), FoundRule(score=0.3)):
        assert rule.point(ranking) == rule.of(whole)


@pytest.mark.usefixtures("small_steps")
def test_nothing_found_in_parts(on_disk: tuple[Path, str]) -> None:
    on_disk[0].write_text(" [ ]\n")
    with RunInParts(*on_disk) as run:
        parts = list(run)
        matches = [match(part.run, bins=COCO_BINS) for part in parts]
        assert len(run) == 0
    with Tally(matches[0], 0.5) as tally:
        tally.add(matches[1])
        assert FOUND.point(tally.ranking()).detections == 0
        assert tally.score()[0].value() == 0


@pytest.mark.usefixtures("small_steps")
def test_a_broken_detection_is_named_in_parts_too(tmp_path: Path) -> None:
    make_aerial(tmp_path / "aerial", images=2, seed=1, size=(120, 160))
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
    (tmp_path / "mine.json").write_text(json.dumps([good] * 20 + [good | {"score": None}]))
    with pytest.raises(ValueError, match=r"mine\.json: detection 20 \(counted from 0\) on image 1 has score None"):
        RunInParts(tmp_path / "mine.json", f"{tmp_path / 'aerial'}:val")
