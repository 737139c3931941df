"""The side-by-side picture: what is drawn is what was found, and the pictures move together."""

import base64

import cv2
import numpy as np
import pytest

from explorer.figures.detections import side_by_side
from explorer.types import Detections

NAMES = ("car", "ship")


def found(boxes, classes, size=(60, 80)):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(boxes), 0.5, np.float32), np.array(classes, np.int64), NAMES, size)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)


def test_every_box_is_drawn_once_per_model(photo):
    figure = side_by_side(
        photo, {"A": found([[1, 2, 11, 12], [5, 5, 9, 9]], [0, 1]), "B": found([[1, 2, 11, 12]], [0])}
    )
    drawn = [(trace.name, trace.xaxis, trace.x, trace.showlegend) for trace in figure.data if trace.name]
    assert drawn == [
        ("car", "x", (1, 11, 11, 1, 1, None), True),
        ("ship", "x", (5, 9, 9, 5, 5, None), True),
        ("car", "x2", (1, 11, 11, 1, 1, None), False),
    ]
    assert figure.data[1].text[0] == "car 0.50<br>10 × 10 px"
    assert all(trace.fill is None for trace in figure.data)


def test_classes_are_named_beside_their_boxes(photo):
    both = {"A": found([[30, 20, 40, 30], [60, 50, 70, 58]], [0, 1])}
    labels = [note for note in side_by_side(photo, both).layout.annotations if note.bgcolor]
    assert [label.text for label in labels] == ["car", "ship"]
    zoomed = side_by_side(photo, both, view_xyxy=(50, 40, 80, 60)).layout
    assert [note.text for note in zoomed.annotations if note.bgcolor] == ["ship"]


def test_a_picture_never_covers_the_title_of_the_next(photo):
    layout = side_by_side(photo, {"A": found([], []), "B": found([], [])}, columns=1, width_px=380).layout
    upper, lower = layout.yaxis.domain, layout.yaxis2.domain
    height = layout.height - layout.margin.t - layout.margin.b
    assert (upper[0] - lower[1]) * height >= 30


def test_pictures_share_zoom_and_image_coordinates(photo):
    layout = side_by_side(photo, {"A": found([], []), "B": found([], [])}).layout
    assert layout.xaxis2.matches == "x"
    assert layout.yaxis2.matches == "y"
    assert layout.yaxis.range == (60, 0)  # y grows downwards, as in images
    assert [(image.sizex, image.sizey) for image in layout.images] == [(80, 60), (80, 60)]


def test_large_photos_are_scaled_down_but_keep_their_coordinates():
    photo = np.zeros((1000, 4000, 3), np.uint8)
    layout = side_by_side(photo, {"A": found([[3900, 900, 4000, 1000]], [0], (1000, 4000))}).layout
    encoded = base64.b64decode(layout.images[0].source.partition(",")[2])
    assert cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR).shape == (400, 1600, 3)
    assert layout.xaxis.range == (0, 4000)


def test_wrong_input_is_explained(photo):
    with pytest.raises(ValueError, match="at least one"):
        side_by_side(photo, {})
    with pytest.raises(ValueError, match=r"A: detections are for an image of \(9, 9\)"):
        side_by_side(photo, {"A": found([], [], (9, 9))})
