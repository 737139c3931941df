"""What helps is measured: paired, in turns, and against COCO's rules."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.aerial import make_aerial
from explorer.engine.detector import Detector
from explorer.errors.improve import default_variants, improve
from explorer.errors.variants import Variant
from explorer.figures.improve import gain_against_time
from explorer.report.tables import help_grid
from explorer.scoring.columns import Truth
from explorer.scoring.protocols import protocol_of
from explorer.scoring.runs import read_truth
from explorer.types import Detections


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "aerial"
    make_aerial(folder, images=4, seed=2, size=(160, 200))
    return f"{folder}:val"


@pytest.fixture(scope="module")
def truth(data: str) -> Truth:
    return read_truth(data)


def oracle(truth: Truth, name: str, smallest_px: float, calls: list[str]) -> Variant:
    """Finds every object from a size up, image by image in order, after a first call to warm up."""
    turn = [-1]

    def detect(image: np.ndarray) -> Detections:
        calls.append(name)
        rows = np.flatnonzero((truth.images == max(0, turn[0])) & (truth.areas_px >= smallest_px) & ~truth.crowds)
        turn[0] += 1
        x, y, w, h = truth.boxes_xywh[rows].T
        boxes = np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)
        scores = np.ones(len(rows), np.float32)
        return Detections(boxes, scores, truth.classes[rows], truth.class_names, image.shape[:2])

    return Variant(name, "finds", detect)


def test_what_is_gained_and_what_it_costs(truth: Truth) -> None:
    calls: list[str] = []
    steps: list[tuple[int, int]] = []
    detector: Any = SimpleNamespace(name="none", model=nn.Module(), class_names=truth.class_names)
    plain, better = improve(
        detector,
        truth,
        [oracle(truth, "large only", 33**2, calls), oracle(truth, "all", 0, calls)],
        resamples=20,
        progress=lambda *step: steps.append(step),
    )
    assert plain.differences.points.value[0, 0] == 0
    assert (plain.time_ratios == 1).all()
    assert better.resamples.figures.value("AP", "small") == pytest.approx(100)
    assert better.differences.points.value[0, 1] == pytest.approx(100)
    assert better.differences.points.value[0, 2] == pytest.approx(0)
    one, other = ["large only", "all"], ["all", "large only"]
    assert calls == [*one, *one, *other, *one, *other]  # once to warm up, then in turns
    assert steps[-1] == (4, 4)
    low, middle, high = better.time_quartiles()
    assert 0 < low <= middle <= high


@pytest.mark.parametrize(("sizes", "columns"), [("tinyperson", 4), ("visdrone", 3)])
def test_gains_are_by_the_sizes_of_a_protocol(truth: Truth, sizes: str, columns: int) -> None:
    detector: Any = SimpleNamespace(name="none", model=nn.Module(), class_names=truth.class_names)
    ways = improve(
        detector,
        truth,
        [oracle(truth, "large only", 33**2, []), oracle(truth, "all", 0, [])],
        resamples=20,
        protocol=protocol_of(sizes),
    )
    assert ways[0].resamples.figures.protocol.name == sizes
    grid = help_grid(ways)
    assert len(grid.head) == len(grid.rows[0]) == columns
    assert ("Δ AP tiny" in grid.head[2]) == (sizes == "tinyperson")
    assert len(gain_against_time(ways).data) == columns - 2


def test_no_images_are_refused(truth: Truth) -> None:
    detector: Any = SimpleNamespace(name="none", model=nn.Module(), class_names=truth.class_names)
    with pytest.raises(ValueError, match="no images"):
        improve(detector, truth.of_images([]), [oracle(truth, "all", 0, [])])


def test_a_dense_detector_has_fewer_ways(tiny: Callable[..., Detector]) -> None:
    dense = tiny("retinanet_V_39_FPN_3x")
    assert [way.name for way in default_variants(dense)] == ["as it is", "input × 1.5", "2 × 2 slices"]


def test_the_command_shows_every_way(data: str) -> None:
    words = ["improve", "demo/V-19-slim-dw", data, "--limit", "2", "--device", "cpu", "INPUT.MIN_SIZE_TEST", "100"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for part in ("2 images", "as it is", "input × 1.5", "proposals × 4", "2 × 2 slices", "flips", "time, ratio"):
        assert part in done.stdout
    assert CliRunner().invoke(app, ["improve", "demo/V-19-slim-dw", "nowhere:val"]).exit_code == 2
