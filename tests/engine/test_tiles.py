"""Tiles cover a photograph, what they show comes back to its place once, and every command looks in the same tiles."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn
from torchvision.ops import batched_nms

from explorer.data.aerial import render_scene
from explorer.engine.config_facts import ModelInput
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import run_over
from explorer.engine.loading import load_detector
from explorer.engine.tiles import MERGE_IOU, TiledModel, cut_boxes, merge, shared
from explorer.engine.windows import OVERLAP, Cut, Slices, Tiles, seen_whole
from explorer.scoring.runs import truth_from_coco

AS_IT_IS = ModelInput(0, 0, "BGR")


class FindsSquares(nn.Module):
    """Reports the bounding boxes of white areas that are at least 6 px long, all with one score."""

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        (sample,) = inputs
        channel = sample["image"][0].numpy().astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats((channel > 127).astype(np.uint8))
        x, y, w, h = (stats[1:, column].astype(np.float32) for column in range(4))
        height, width = sample["height"], sample["width"]
        scale = np.array([width, height, width, height]) / np.array([*channel.shape[::-1], *channel.shape[::-1]])
        boxes = torch.from_numpy((np.stack([x, y, x + w, y + h], axis=1) * scale).astype(np.float32))
        boxes = boxes[torch.from_numpy(np.maximum(w, h) >= 6)]
        scores, classes = torch.full((len(boxes),), 0.9), torch.zeros(len(boxes), dtype=torch.int64)
        found = Instances((height, width), pred_boxes=Boxes(boxes), scores=scores, pred_classes=classes)
        return [{"instances": found}]


def look(image: np.ndarray, cut: Cut, model_input: ModelInput = AS_IT_IS) -> list[list[float]]:
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))
    (output,) = TiledModel(FindsSquares(), model_input, cut)([{"image": tensor}])
    assert output["instances"].image_size == image.shape[:2]
    assert set(output["instances"].get_fields()) == {"pred_boxes", "scores", "pred_classes"}
    return sorted(output["instances"].pred_boxes.tensor.tolist())


@pytest.mark.parametrize(
    ("height", "width", "cut"),
    [
        (480, 640, Slices(2)),
        (100, 333, Slices(3)),
        (7, 5, Slices(2)),
        (1, 1, Slices(2)),
        (1080, 1920, Tiles(640)),
        (430, 1764, Tiles(640, 0.5)),
        (641, 640, Tiles(640, 0.0)),
        (3000, 64, Tiles(64, 0.9)),
    ],
)
def test_windows_cover_the_image_and_overlap(height: int, width: int, cut: Cut) -> None:
    windows = cut.windows(height, width)
    covered = np.zeros((height, width), dtype=int)
    for top, left, bottom, right in windows:
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        covered[top:bottom, left:right] += 1
    assert covered.min() > 0
    assert len({(bottom - top, right - left) for top, left, bottom, right in windows}) == 1
    wanted = round(cut.size * cut.overlap) if isinstance(cut, Tiles) else int(OVERLAP * min(height, width) / cut.parts)
    assert min(shared(windows)) >= wanted


def test_what_fits_into_a_tile_is_not_cut() -> None:
    assert Tiles(640).windows(480, 640) == []
    image = np.zeros((60, 60, 3), np.uint8)
    image[10:30, 20:40] = 255
    assert look(image, Tiles(64)) == [[20, 10, 40, 30]]


@pytest.mark.parametrize("scale", [AS_IT_IS, ModelInput(128, 512, "RGB")])
def test_each_object_is_found_once_wherever_tiles_meet(scale: ModelInput) -> None:
    """20 px squares at every place of a row, of which neighbouring tiles show parts or all."""
    for offset in range(0, 60, 7):
        image = np.zeros((200, 300, 3), np.uint8)
        expected = []
        for top in range(offset // 2, 180, 40):
            for left in range(offset, 280, 40):
                image[top : top + 20, left : left + 20] = 255
                expected.append([left, top, left + 20, top + 20])
        found = look(image, Tiles(100, 0.3), scale)
        np.testing.assert_allclose(found, sorted(expected), atol=2)


def test_objects_longer_than_the_overlap_are_found_whole_by_the_whole() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[40:60, 20:250] = 255
    (box,) = look(image, Tiles(100, 0.2))
    np.testing.assert_allclose(box, [20, 40, 250, 60], atol=3)


def test_only_what_a_neighbour_shows_is_left_to_it() -> None:
    boxes = torch.tensor([[0, 40, 15, 60], [85, 40, 100, 60], [70, 40, 100, 60], [40, 0, 60, 10]], dtype=torch.float32)
    next_door, cut = cut_boxes(boxes, (0, 0, 100, 100), (100, 300), (20, 20))
    assert next_door.tolist() == [False, True, False, False]  # at the left the photograph ends
    assert cut.tolist() == [False, False, True, False]


def test_merging_is_torchvision_s_nms_class_by_class() -> None:
    draw = torch.Generator().manual_seed(3)
    corners = torch.rand((200, 2), generator=draw) * 200
    boxes = torch.cat([corners, corners + 10 + 40 * torch.rand((200, 2), generator=draw)], dim=1)
    scores, classes = torch.rand(200, generator=draw), torch.randint(0, 3, (200,), generator=draw)
    uncut = torch.zeros(200, dtype=torch.bool)
    found = Instances((300, 300), pred_boxes=Boxes(boxes), scores=scores, pred_classes=classes, cut=uncut)
    merged = merge([found[:80], found[80:]])
    kept = batched_nms(boxes, scores, classes, MERGE_IOU)
    assert torch.equal(merged.pred_boxes.tensor, boxes[kept])
    assert torch.equal(merged.scores, scores[kept])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="give 32 or more"):
        Tiles(10)
    with pytest.raises(ValueError, match=r"between 0 and 0\.9"):
        Tiles(640, 1.0)
    with pytest.raises(ValueError, match="give 2 or more"):
        Slices(1)


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", engine="torch")


def test_evaluation_looks_in_the_tiles_that_detect_looks_in(demo: Detector, tmp_path: Any) -> None:
    scene = render_scene(3, size=(200, 280))
    cv2.imwrite(str(tmp_path / "scene.png"), scene.image)
    known = {
        "images": [{"id": 1, "file_name": str(tmp_path / "scene.png"), "height": 200, "width": 280}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 10], "area": 200, "iscrowd": 0}],
    }
    tiled = demo.with_tiles(128)
    found = tiled.detect(scene.image).detections
    run = run_over(tiled, truth_from_coco(known), classes=("car",))
    cars = found[found.classes == found.class_names.index("car")]
    np.testing.assert_allclose(np.sort(run.found.scores), np.sort(cars.scores), atol=1e-6)
    assert len(cars) > 0
    assert tiled.inference["tiles"] == {"size": 128, "overlap": 0.2}
    assert tiled.with_tiles(0).cut is None


def test_masks_are_left_out(tiny_centermask: Detector) -> None:
    scene = render_scene(3, size=(200, 280)).image
    assert tiny_centermask.detect(scene).detections.mask_scores is not None
    found = tiny_centermask.with_tiles(128).detect(scene).detections
    assert len(found) > 0
    assert found.masks is found.mask_scores is None


def test_what_looks_at_large_photographs_as_a_whole_says_so() -> None:
    sizes = [(200, 100), (100, 100), (1, 129)]
    assert seen_whole(Tiles(128), sizes, "The autopsy").startswith(
        "The autopsy runs on whole images, whereas evaluation processes 2 photographs in tiles"
    )
    assert seen_whole(Tiles(200), sizes, "The autopsy") == seen_whole(None, sizes, "The autopsy") == ""
