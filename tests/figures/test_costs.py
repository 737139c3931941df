"""Figures of costs, OSA blocks and training draw the figures that they are given."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from explorer.backbones.vovnet import VoVNet
from explorer.engine.speed.backbone_stages import StageCost
from explorer.figures.costs import cost_shares, rates
from explorer.figures.osa import osa_block
from explorer.figures.training import training_curves
from explorer.report.tables import cost_grid

COSTS = {
    "A": [StageCost("stem", 1_000_000, 3_000_000_000, 10_000_000, 0), StageCost("stage2", 3_000_000, 10**9, 0, 10**7)],
    "B": [StageCost("res2", 10, 20, 30, 10)],
}
SECONDS = {
    "A": {"stem": np.array([0.1, 0.2, 0.3]), "stage2": np.array([0.6, 0.6, 0.6]), "rest": np.zeros(3)},
    "B": {"res2": np.array([0.5, 0.5, 0.5]), "rest": np.zeros(3)},
}


def test_shares_of_each_quantity_sum_to_the_whole() -> None:
    figure = cost_shares(COSTS, SECONDS)
    stem, stage, other = figure.data
    assert list(stem.y) == ["parameters", "GMAC", "memory traffic", "time"]
    assert list(stem.x) == [25, 75, 50, 25]
    assert [one + two for one, two in zip(stem.x, stage.x, strict=True)] == [100] * 4
    assert (stage.name, other.name) == ("stage 2", "stage 2")
    assert not other.showlegend
    assert figure.layout.annotations[0].text == "A: 4.0 M parameters, 4.00 GMAC, 20 MB, 800 ms"
    with pytest.raises(ValueError, match="at least one model"):
        cost_shares({})


def test_whole_models_stand_at_their_time_and_stages_at_their_rate() -> None:
    whole, stages, other, _ = rates(COSTS, SECONDS).data
    assert (whole.name, whole.x[0], round(whole.y[0])) == ("A", 4.0, 800)
    assert [round(float(one.error_y.array[0])) for one in (whole, other)] == [100, 0]
    assert list(stages.x) == [300, 100]
    assert list(stages.y) == pytest.approx([3 / 0.2, 1 / 0.6])
    assert list(stages.text) == ["stem", "stage2"]


def test_costs_as_a_table() -> None:
    grid = cost_grid(COSTS)
    assert grid.rows[0] == ("A", "stem", "1.00", "3.00", "10", "300.0")
    assert "<td>300.0</td>" in grid._repr_html_()


def test_a_block_is_drawn_with_the_widths_of_its_module() -> None:
    network = VoVNet("V-39-eSE")
    words = [note.text for note in osa_block(network.stage4.OSA4_2).layout.annotations if note.text]
    layers = ["3×3<br>192"] * 5
    assert words == ["input<br>768", *layers, "concat<br>1728", "1×1<br>768", "eSE<br>768", "+ input"]
    plain = VoVNet("V-19-slim-dw-eSE", ese="none").stage3.OSA3_1
    words = [note.text for note in osa_block(plain).layout.annotations if note.text]
    assert words[:3] == ["input<br>112", "1×1<br>80", "dw 3×3 +<br>1×1<br>80"]
    assert words[-1] == "1×1<br>256"


def test_blocks_of_vovnets_descendants_are_drawn_with_what_their_modules_have() -> None:
    def words(name: str, stage: int, block: int) -> list[str]:
        network = timm.create_model(name)
        return [note.text for note in osa_block(network.stages[stage].blocks[block]).layout.annotations if note.text]

    light = ["1×1 +<br>dw 5×5<br>96"] * 3
    assert words("hgnetv2_b1", 2, 1) == ["input<br>512", *light, "concat<br>800", "1×1<br>256", "1×1<br>512", "+ input"]
    assert words("hgnetv2_b1", 1, 0)[:2] == ["input<br>64", "3×3<br>48"]
    assert words("hgnet_tiny", 0, 0)[-2:] == ["1×1<br>224", "eSE<br>224"]
    with pytest.raises(ValueError, match="Linear is not a block with one-shot aggregation"):
        osa_block(torch.nn.Linear(1, 1))


def test_training_curves_are_drawn_by_iteration() -> None:
    rows = [{"iteration": 0, "total_loss": 2.0, "loss_cls": 1.0}, {"iteration": 1, "bbox/AP": 3.0}]
    (whole,) = training_curves({"mine": rows}).data
    assert (list(whole.x), list(whole.y)) == ([1], [2.0])
    parts = training_curves({"mine": [{"iteration": 0, "loss_maskiou": 0.1, **rows[0]}]}, parts=True).data
    assert [part.name for part in parts] == ["mine: all", "mine: head: class", "mine: mask score"]
    with pytest.raises(ValueError, match="no run"):
        training_curves({})
