"""Figures of receptive fields draw the fields where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from explorer.figures.receptive_field import effective_heat, fields_against_objects, fields_over_photo
from explorer.receptive_field.effective import effective_fields, random_inputs
from explorer.receptive_field.theoretical import theoretical_fields

NET = nn.Sequential(nn.Conv2d(3, 2, 5, stride=2, padding=2), nn.Conv2d(2, 2, 3, padding=1))


def test_fields_lie_around_the_point() -> None:
    fields = theoretical_fields(NET, (40, 60))
    spots = effective_fields(NET, ["1"], random_inputs(1, (40, 60)))
    photo = np.zeros((40, 60, 3), dtype=np.uint8)
    figure = fields_over_photo(photo, (31, 21), {"0": fields["0"], "1": fields["1"]}, spots)
    first, second, square, point = figure.data
    assert (min(first.x), min(first.y), max(first.x), max(first.y)) == fields["0"].box(10, 15)
    assert (min(second.x), min(second.y), max(second.x), max(second.y)) == fields["1"].box(10, 15)
    assert max(square.x) - min(square.x) == pytest.approx(spots["1"].side_px())
    assert (point.x[0], point.y[0]) == (31, 21)
    with pytest.raises(ValueError, match="outside the photo"):
        fields_over_photo(photo, (60, 3), fields)
    with pytest.raises(ValueError, match="the photo has"):
        fields_over_photo(np.zeros((10, 10, 3), dtype=np.uint8), (3, 3), fields)


@pytest.mark.parametrize(("size", "said"), [((5, 60), "0, theoretical 5 px"), ((4, 4), "0, theoretical over 4 px")])
def test_a_field_that_an_edge_cuts_is_not_called_smaller_than_it_is(size: tuple[int, int], said: str) -> None:
    fields = theoretical_fields(NET, size)
    figure = fields_over_photo(np.zeros((*size, 3), dtype=np.uint8), (2, 2), {"0": fields["0"]})
    assert figure.data[0].name == said


def test_heat_shows_the_energy_and_both_sizes() -> None:
    fields = theoretical_fields(NET, (40, 60))
    spot = effective_fields(NET, ["1"], random_inputs(1, (40, 60)))["1"]
    heat, box, square = effective_heat(spot, fields["1"]).data
    assert np.asarray(heat.z).shape == (40, 60)
    assert np.asarray(heat.z).max() == 0
    assert (min(box.x), min(box.y), max(box.x), max(box.y)) == fields["1"].box(*spot.unit)
    assert max(square.y) - min(square.y) == pytest.approx(spot.side_px())


def test_levels_have_their_fields_anchors_and_objects() -> None:
    figure = fields_against_objects(
        {"stage2": 35, "p2": 459}, {"p2": 160}, {"p2": (16, 32)}, {"p2": np.array([8.0, 16.0])}
    )
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["theoretical field"].customdata) == [35, 459]
    assert list(by_name["effective field"].x) == [1]
    assert list(by_name["anchors"].customdata) == [16, 32]
    np.testing.assert_allclose(by_name["objects"].y, [3, 4])
    assert list(figure.layout.xaxis.ticktext) == ["stage2", "p2"]
