"""Speed drawn: the models that none is both faster and better than, and what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.figures.speed import (
    OwnAccuracy,
    SpeedPoint,
    front,
    measured_times,
    own_accuracy,
    speed_against_accuracy,
)

POINTS = [SpeedPoint("V-99", 0.07, 44.1), SpeedPoint("R-50", 0.047, 40.2), SpeedPoint("V-39", 0.047, 42.7)]


def test_the_front_leaves_out_what_another_beats() -> None:
    assert [point.name for point in front(POINTS)] == ["V-39", "V-99"]
    assert front([]) == []


def test_families_and_axes() -> None:
    figure = speed_against_accuracy(POINTS, accuracy="box AP", machine="a V100")
    assert [trace.name for trace in figure.data] == ["none is faster and better", "VoVNet", "ResNet, ResNeXt"]
    assert figure.data[1].x == (70.0, 47.0)
    assert figure.layout.xaxis.title.text == "ms per image on a V100"
    assert not figure.data[1].error_y.visible
    with pytest.raises(ValueError, match="at least one"):
        speed_against_accuracy([], accuracy="box AP", machine="a V100")


def test_an_interval_is_a_bar() -> None:
    points = [SpeedPoint("V-39", 0.05, 36.5, (30.9, 41.3)), SpeedPoint("V-19", 0.04, 31.7)]
    bars = speed_against_accuracy(points, accuracy="box AP", machine="two cores").data[1].error_y
    assert bars.array == pytest.approx((4.8, 0), abs=1e-9)
    assert bars.arrayminus == pytest.approx((5.6, 0), abs=1e-9)
    assert bars.visible


def test_each_round_is_a_mark_and_the_median_a_line() -> None:
    figure = measured_times({"A": np.array([0.1, 0.3, 0.2]), "B": np.array([0.5, 0.5, 0.5])})
    assert figure.data[0].x == pytest.approx((100, 300, 200))
    assert [note.text for note in figure.layout.annotations] == ["A: median 200 ms", "B: median 500 ms"]
    assert figure.layout.yaxis.categoryarray == ("B", "A")


def test_a_model_without_ap_on_coco_has_that_on_its_own_images() -> None:
    figure = own_accuracy([OwnAccuracy("demo/A", "blood cells, 72 images", 60.2, (58.1, 62.3))])
    assert (figure.data[0].x, figure.data[0].error_x.array[0]) == ((60.2,), pytest.approx(2.1))
    assert figure.layout.annotations[0].text == "<b>demo/A: 60.2</b><br>blood cells, 72 images"
    with pytest.raises(ValueError, match="at least one"):
        own_accuracy([])
