"""Masks kept within their boxes are detectron2's, which it pastes into the whole photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from detectron2.layers.mask_ops import paste_masks_in_image
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances

from explorer.data.masks import encode_masks
from explorer.engine.detector import Detector
from explorer.engine.loading import fast
from explorer.engine.pasting import BoxMasks, PastedMasks, infer, merge_segments
from explorer.engine.prediction import to_detections


def _instances(count: int, seed: int = 0) -> Instances:
    """Boxes of all sizes in a photo of 90 x 120 px, some of which are empty or leave it, with masks."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([140.0, 110]) - 10
    sides = torch.rand(count, 2, generator=generator) ** 3 * 100
    found = Instances((90, 120))
    found.pred_boxes = Boxes(torch.cat([corners, corners + sides], 1))
    found.scores = torch.rand(count, generator=generator)
    found.pred_classes = torch.zeros(count, dtype=torch.long)
    found.pred_masks = torch.rand(count, 1, 28, 28, generator=generator)
    return found


@pytest.mark.parametrize("count", [0, 1, 60])
@pytest.mark.parametrize("size", [(90, 120), (200, 151), (31, 40)])
def test_masks_equal_those_of_detectron2(count: int, size: tuple[int, int]) -> None:
    wanted, found = _instances(count), _instances(count)
    found.pred_masks = BoxMasks(found.pred_masks[:, 0])
    wanted, found = (detector_postprocess(one, *size) for one in (wanted, found))
    whole = to_detections(wanted, ("thing",)).masks
    assert to_detections(found, ("thing",)).masks == whole
    order = torch.argsort(wanted.scores, descending=True, stable=True)
    assert list(whole or ()) == encode_masks(wanted.pred_masks[order].numpy())


def test_masks_are_picked_like_tensors() -> None:
    one = _instances(8)
    one.pred_boxes.clip((90, 120))
    pasted = BoxMasks(one.pred_masks[:, 0]).to_bitmasks(one.pred_boxes, 90, 120).tensor
    whole = encode_masks(paste_masks_in_image(one.pred_masks[:, 0], one.pred_boxes, (90, 120)).numpy())
    assert len(pasted) == 8
    items: list[Any] = [slice(2, 5), torch.tensor([3, 1]), torch.arange(8) % 2 == 0, torch.tensor([], dtype=torch.long)]
    for item in items:
        assert list(pasted[item].encoded()) == [whole[row] for row in torch.arange(8)[item].tolist()]


@pytest.mark.parametrize("kind", ["tiny_mask_rcnn", "tiny_centermask"])
def test_detectors_give_the_masks_of_the_plain_model(
    kind: str, request: pytest.FixtureRequest, noise: np.ndarray
) -> None:
    plain: Detector = request.getfixturevalue(kind)
    given = [plain.model_input(noise)]
    with torch.no_grad():
        kept, whole = infer(plain.model, given)[0]["instances"], plain.model(given)[0]["instances"]
    assert isinstance(kept.pred_masks, PastedMasks)
    assert len(kept) == len(whole) > 0
    assert to_detections(kept, plain.class_names).masks == to_detections(whole, plain.class_names).masks
    assert fast(plain, "float32", "torch").detect(noise).detections.masks is not None


@pytest.mark.parametrize("count", [0, 1, 60])
@pytest.mark.parametrize("limits", [(0.5, 64, 0.5), (0.0, 0, 0.0), (1.0, 10_000, 0.2)])
def test_segments_equal_those_that_detectron2_merges(count: int, limits: tuple[float, int, float]) -> None:
    wanted, found = _instances(count), _instances(count)
    found.pred_masks = BoxMasks(found.pred_masks[:, 0])
    wanted, found = (detector_postprocess(one, 90, 120) for one in (wanted, found))
    classes = torch.randint(0, 9, (6, 8), generator=torch.Generator().manual_seed(1))
    classes = classes.repeat_interleave(15, 0).repeat_interleave(15, 1) * (torch.arange(120) < 100)
    theirs, segments = combine_semantic_and_instance_outputs(wanted, classes, *limits)
    ours, own = merge_segments(found, classes, *limits)
    assert torch.equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    assert own == segments


@pytest.mark.parametrize("size", [None, (75, 110)])
def test_panoptic_models_give_the_segments_of_the_plain_model(
    size: tuple[int, int] | None, tiny_panoptic_fpn: Detector, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tiny_panoptic_fpn.model_input(noise)
    height, width = size or given["image"].shape[1:]
    model: Any = tiny_panoptic_fpn.model
    monkeypatch.setattr(model, "combine_stuff_area_thresh", 20)
    monkeypatch.setattr(model, "combine_instances_score_thresh", 0.0)
    inputs = [given | {"height": height, "width": width}]
    with torch.no_grad():
        (found,), (wanted,) = infer(model, inputs), model(inputs)
    assert torch.equal(found["sem_seg"], wanted["sem_seg"])
    assert torch.equal(found["panoptic_seg"][0], wanted["panoptic_seg"][0])
    assert found["panoptic_seg"][1] == wanted["panoptic_seg"][1]
    assert {one["isthing"] for one in wanted["panoptic_seg"][1]} == {True, False}
    ours, theirs = (to_detections(one["instances"], tiny_panoptic_fpn.class_names) for one in (found, wanted))
    assert ours.masks == theirs.masks
