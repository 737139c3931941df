"""CenterMask's masks: pooled by the share of the image, learnt and scored as recorded on the release."""

import numpy as np
import pycocotools.mask as mask_api
import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_roi_heads
from detectron2.structures import BitMasks, Boxes, ImageList, Instances, PolygonMasks
from detectron2.utils.events import EventStorage

import explorer.heads  # noqa: F401 (registers the heads)
from explorer.config import load_config
from explorer.heads.mask_head import mask_targets
from explorer.heads.maskiou_head import maskiou_loss, maskiou_targets, share_inside
from explorer.heads.pooling import ScaleAdaptivePooler

CONFIG = "centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x"
SMALL = [
    "MODEL.ROI_MASK_HEAD.NUM_CONV", "1", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8", "MODEL.ROI_MASKIOU_HEAD.NUM_CONV", "1",
    "MODEL.ROI_MASKIOU_HEAD.CONV_DIM", "8", "MODEL.ROI_HEADS.NUM_CLASSES", "20", "MODEL.FCOS.NUM_CLASSES", "20",
]  # fmt: skip
SHAPES = {f"p{level}": ShapeSpec(channels=8, stride=2**level) for level in (3, 4, 5)}


def _pooler(**options):
    scales = [1 / 8, 1 / 16, 1 / 32]
    return ScaleAdaptivePooler(output_size=14, scales=scales, sampling_ratio=0, pooler_type="ROIAlignV2", **options)


def _heads(*overrides):
    return build_roi_heads(load_config(CONFIG, [*SMALL, *overrides]), SHAPES)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return {f"p{level}": torch.randn(1, 8, 256 >> level, 320 >> level, generator=generator) for level in (3, 4, 5)}


def test_levels_equal_the_release(arithmetic):
    for recorded in arithmetic["mask_levels"]:
        levels = _pooler().assign([Boxes(torch.tensor(recorded["boxes"]))], [tuple(recorded["image_size"])])
        assert [f"p{3 + level}" for level in levels.tolist()] == recorded["levels"]


def test_pooling_reads_the_assigned_map():
    maps = [torch.full((2, 1, 256 >> level, 256 >> level), float(level)) for level in (3, 4, 5)]
    boxes = [
        Boxes(torch.tensor([[0.0, 0, 250, 250], [10, 10, 20, 20], [0, 0, 0, 0]])),
        Boxes(torch.tensor([[0.0, 0, 140, 200]])),
    ]
    pooled = _pooler()(maps, boxes, [(256, 256), (256, 256)])
    assert pooled.shape == (4, 1, 14, 14)
    assert pooled[[0, 1, 3]].mean((1, 2, 3)).tolist() == [5, 3, 4]


def test_by_area_it_pools_as_detectron2():
    from detectron2.modeling.poolers import ROIPooler

    maps = [torch.randn(1, 4, 256 >> level, 256 >> level) for level in (3, 4, 5)]
    boxes = [Boxes(torch.tensor([[0.0, 0, 250, 250], [10, 10, 20, 20], [3, 5, 130, 200]]))]
    reference = ROIPooler(14, [1 / 8, 1 / 16, 1 / 32], 0, "ROIAlignV2")(maps, boxes)
    torch.testing.assert_close(_pooler(criterion="area")(maps, boxes, [(256, 256)]), reference, rtol=0, atol=0)
    with pytest.raises(ValueError, match="ASSIGN_CRITERION is 'size'; choose one of ratio, area"):
        _pooler(criterion="size")


@pytest.fixture
def learning(arithmetic):
    """The recorded proposals with their objects' masks."""
    recorded = arithmetic["mask_loss"]
    one = Instances((256, 320))
    one.proposal_boxes = Boxes(torch.tensor(recorded["proposals"]))
    one.gt_masks = PolygonMasks([[np.array(part) for part in parts] for parts in recorded["polygons"]])
    one.gt_classes = torch.tensor(recorded["classes"])
    return one


def test_mask_loss_and_maskiou_equal_the_release(learning, closed_form, arithmetic):
    recorded, classes = arithmetic["mask_loss"], learning.gt_classes
    logits = closed_form.mask_logits(3)[torch.arange(3), classes]
    wanted = mask_targets([learning], 28)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted.float())
    assert loss.item() == pytest.approx(recorded["loss_mask"], rel=1e-5)
    assert logits.sigmoid().mean().item() == pytest.approx(recorded["selected_mask_mean"], rel=1e-6)
    targets = maskiou_targets(logits, wanted, [learning])
    assert targets.tolist() == pytest.approx(recorded["maskiou_targets"], rel=1e-6)
    rows = torch.arange(3, dtype=torch.float64)[:, None]
    found = (0.3 + 0.2 * torch.sin(0.3 * torch.arange(80, dtype=torch.float64) + rows)).float()
    assert maskiou_loss(found, targets, classes).item() == pytest.approx(recorded["loss_maskiou"], rel=1e-5)


def test_bitmasks_are_learnt_like_polygons(learning):
    """Each object alone in an image: what polygons say, and what their pixels say."""
    polygons = learning.gt_masks.polygons
    rles = [mask_api.merge(mask_api.frPyObjects([part.tolist() for part in parts], 256, 320)) for parts in polygons]
    bitmasks = BitMasks(torch.from_numpy(np.stack([mask_api.decode(rle) for rle in rles])).bool())
    boxes = learning.proposal_boxes.tensor
    apart = [0, 2]  # the parts of the other object overlap, which only polygons count twice
    both = share_inside(learning.gt_masks, boxes), share_inside(bitmasks, boxes)
    torch.testing.assert_close(both[0][apart], both[1][apart], rtol=0.01, atol=0)


def test_bitmasks_count_cut_pixels_in_part():
    mask = BitMasks(torch.ones(1, 10, 20, dtype=torch.bool))
    box = torch.tensor([[4.5, -3.0, 8.75, 5.5]])
    assert share_inside(mask, box).item() == pytest.approx((8.75 - 4.5) * 5.5 / 200)


def test_training_takes_polygons_and_bitmasks_in_one_batch(features, learning):
    heads = _heads()
    learning.gt_boxes, targets = learning.proposal_boxes, []
    rles = [mask_api.merge(mask_api.frPyObjects([p.tolist() for p in parts], 256, 320)) for parts in learning.gt_masks]
    for masks in (
        learning.gt_masks,
        BitMasks(torch.from_numpy(np.stack([mask_api.decode(rle) for rle in rles])).bool()),
    ):
        one = Instances((256, 320))
        one.gt_boxes, one.gt_classes, one.gt_masks = learning.gt_boxes, learning.gt_classes, masks
        targets.append(one)
    proposals = []
    for _ in targets:
        none = Instances((256, 320))
        none.proposal_boxes, none.objectness_logits = Boxes(torch.zeros(0, 4)), torch.zeros(0)
        proposals.append(none)
    images = ImageList(torch.zeros(2, 3, 256, 320), [(256, 320)] * 2)
    with EventStorage():
        sampled, losses = heads(images, {k: v.repeat(2, 1, 1, 1) for k, v in features.items()}, proposals, targets)
    assert [len(one) for one in sampled] == [3, 3]
    assert set(losses) == {"loss_mask", "loss_maskiou"}
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in heads.parameters())


def test_a_batch_without_objects_has_losses_of_zero(features):
    heads = _heads()
    none = Instances((256, 320))
    none.proposal_boxes, none.objectness_logits = Boxes(torch.zeros(0, 4)), torch.zeros(0)
    empty = Instances((256, 320))
    empty.gt_boxes, empty.gt_classes = Boxes(torch.zeros(0, 4)), torch.zeros(0, dtype=torch.int64)
    with EventStorage():
        _, losses = heads(ImageList(torch.zeros(1, 3, 256, 320), [(256, 320)]), features, [none], [empty])
    assert {name: loss.item() for name, loss in losses.items()} == {"loss_mask": 0, "loss_maskiou": 0}
    sum(losses.values()).backward()  # every parameter takes part, or distributed training would wait for ever
    assert all(parameter.grad is not None for parameter in heads.parameters())


@pytest.mark.parametrize("boxes", [[[10.0, 20, 90, 100], [0, 0, 300, 200]], []])
def test_detections_get_masks_and_keep_their_scores(boxes, features):
    heads = _heads().eval()
    one = Instances((256, 320))
    one.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    one.scores, one.pred_classes = torch.full((len(boxes),), 0.5), torch.arange(len(boxes))
    with torch.no_grad():
        (found,), losses = heads(ImageList(torch.zeros(1, 3, 256, 320), [(256, 320)]), features, [one])
    assert losses == {}
    assert found.pred_masks.shape == (len(boxes), 1, 28, 28)
    assert found.scores.tolist() == [0.5] * len(boxes)
    assert found.mask_scores.shape == (len(boxes),)


def test_no_mask_is_left_out_for_a_low_score(features):
    heads = _heads().eval()
    torch.nn.init.constant_(heads.maskiou_head.maskiou.bias, -9.0)
    one = Instances((256, 320))
    one.pred_boxes, one.scores = Boxes(torch.tensor([[10.0, 20, 90, 100], [0, 0, 300, 200]])), torch.tensor([0.5, 0.01])
    one.pred_classes = torch.tensor([1, 2])
    with torch.no_grad():
        (found,) = heads.forward_with_given_boxes(features, [one])
    assert len(found.pred_masks) == len(found.scores) == 2
    assert (found.mask_scores < 0).all()


def test_masks_alone_are_scored_like_their_boxes(features):
    heads = _heads("MODEL.MASKIOU_ON", "False").eval()
    one = Instances((256, 320))
    one.pred_boxes, one.scores, one.pred_classes = (
        Boxes(torch.tensor([[0.0, 0, 90, 90]])),
        torch.ones(1),
        torch.zeros(1).long(),
    )
    with torch.no_grad():
        (found,) = heads.forward_with_given_boxes(features, [one])
    assert not found.has("mask_scores")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["MODEL.FCOS.NUM_CLASSES", "3"], "FCOS.NUM_CLASSES is 3 and MODEL.ROI_HEADS.NUM_CLASSES 20"),
        (["MODEL.MASK_ON", "False"], "MODEL.MASK_ON is False: set it True"),
    ],
)
def test_configs_that_contradict_themselves_are_refused(overrides, words):
    with pytest.raises(ValueError, match=words):
        _heads(*overrides)
