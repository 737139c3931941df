"""At which level an object is looked for, held against each detector's rule written out here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.ops import box_iou

from explorer.engine.detector import Detector
from explorer.features.assignment import NOWHERE, assigned_levels, input_frame, level_names
from explorer.features.scores import assigned_level, score_box
from explorer.types import Frame

SIZE = (120, 160)


@pytest.fixture
def boxes() -> npt.NDArray[np.float64]:
    """40 objects of 4 to 110 pixels a side, `(40, 4)` corners."""
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, (100, 70), (40, 2))
    return np.concatenate([corners, corners + rng.uniform(4, 60, (40, 2)) * rng.choice([0.5, 1, 1.8], (40, 1))], axis=1)


def most_voted(owners: list[list[int]], objects: int) -> list[int]:
    """The level with most places of each object, by level and place who owns it."""
    votes = [[level.count(row) for level in owners] for row in range(objects)]
    return [NOWHERE if not any(own) else own.index(max(own)) for own in votes]


def test_centermask_looks_where_its_locations_are(
    dense: Callable[..., Detector], boxes: npt.NDArray[np.float64]
) -> None:
    model = dense("centermask").model
    frame = input_frame(model, SIZE, SIZE)
    assert frame.padded_size == (128, 160)
    limits = [-1, 16, 32, 64, 96, 1e8]  # of this fixture, in pixels of the largest distance
    owners: list[list[int]] = []
    for number, stride in enumerate((8, 16, 32, 64, 128)):
        owners.append([])
        for y in range(stride // 2, -(-128 // stride) * stride, stride):
            for x in range(stride // 2, -(-160 // stride) * stride, stride):
                wanted = []
                for row, (x1, y1, x2, y2) in enumerate(boxes):
                    distances = (x - x1, y - y1, x2 - x, y2 - y)
                    central = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < 1.5 * stride
                    if min(distances) > 0 and central and limits[number] <= max(distances) <= limits[number + 1]:
                        wanted.append(((x2 - x1) * (y2 - y1), row))
                owners[-1].append(min(wanted)[1] if wanted else NOWHERE)
    expected = most_voted(owners, len(boxes))
    assert assigned_levels(model, frame, boxes).tolist() == expected
    assert {NOWHERE, 0, 1, 2} <= set(expected)


def test_retinanet_looks_where_its_anchors_are(dense: Callable[..., Detector], boxes: npt.NDArray[np.float64]) -> None:
    model = dense("retinanet").model
    anchors = []
    for side, stride in zip((16, 32, 64, 96, 128), (8, 16, 32, 64, 128), strict=True):
        cells = model.anchor_generator.generate_cell_anchors((side,), (0.5, 1.0, 2.0)).double()
        rows, columns = -(-128 // stride), -(-160 // stride)
        shifts = torch.tensor([[x * stride, y * stride] * 2 for y in range(rows) for x in range(columns)]).double()
        anchors.append((shifts[:, None] + cells).reshape(-1, 4))
    overlaps = box_iou(torch.from_numpy(boxes), torch.cat(anchors))
    best, owner = overlaps.max(dim=0)
    owner[best < 0.5] = NOWHERE
    for row, own in enumerate(overlaps):  # each object has its best anchors, whatever they overlap
        owner[(own == own.max()) & (best == own)] = row
    split = [part.tolist() for part in owner.split([len(part) for part in anchors])]
    assert assigned_levels(model, input_frame(model, SIZE, SIZE), boxes).tolist() == most_voted(split, len(boxes))


@pytest.mark.parametrize(("side", "level"), [(20, "p2"), (111, "p2"), (113, "p3"), (225, "p4"), (450, "p5")])
def test_an_r_cnn_asks_for_the_area_alone(side: int, level: str, tiny_mask_rcnn: Detector) -> None:
    model, frame = tiny_mask_rcnn.model, Frame((512, 512), (512, 512), (512, 512))
    (place,) = assigned_levels(model, frame, [(10, 10, 10 + side, 10 + side)])
    assert level_names(model)[place] == level


@pytest.mark.parametrize("kind", ["retinanet", "fcos", "centermask", "panoptic_centermask"])
def test_nothing_is_assigned_in_an_image_without_objects(kind: str, dense: Callable[..., Detector]) -> None:
    model = dense(kind).model
    assert level_names(model) == ("p3", "p4", "p5", "p6", "p7")
    assert assigned_levels(model, input_frame(model, SIZE, SIZE), np.zeros((0, 4))).tolist() == []


def test_of_two_alike_one_has_no_location(dense: Callable[..., Detector]) -> None:
    model = dense("centermask").model
    frame = input_frame(model, SIZE, SIZE)
    assert assigned_levels(model, frame, [(40, 40, 60, 60)] * 2).tolist() == [0, NOWHERE]


def test_detectron2s_fcos_scores_a_box_too(dense: Callable[..., Detector]) -> None:
    detector = dense("fcos")
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    found = detector.detect(image).detections
    images = detector.model.preprocess_image([detector.model_input(image)])
    with torch.no_grad():
        features = detector.model.backbone(images.tensor)
    frame = input_frame(detector.model, SIZE, SIZE)
    assert frame.padded_size == tuple(images.tensor.shape[-2:])
    for row in range(3):
        box, index = found.boxes_xyxy[row], int(found.classes[row])
        score = score_box(detector.model, features, frame, box, index)
        assert score.probability == pytest.approx(float(found.scores[row]), abs=0.01)
        assert assigned_level(detector.model, frame, box) in level_names(detector.model)


def test_other_models_have_no_levels(boxes: npt.NDArray[np.float64]) -> None:
    assert level_names(torch.nn.Identity()) == ()
    with pytest.raises(ValueError, match="supported are R-CNNs"):
        assigned_level(torch.nn.Identity(), Frame(SIZE, SIZE, SIZE), boxes[0])
