"""FCOS's arithmetic, held against what was recorded on the release."""

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances

from explorer.heads.fcos import FCOS
from explorer.heads.fcos_detections import DetectionLimits, detections
from explorer.heads.fcos_head import DenseOutput, FCOSHead
from explorer.heads.fcos_losses import fcos_losses, giou_loss
from explorer.heads.fcos_targets import LocationAssignment, locations

LIMITS = (64, 128, 256, 512)
STRIDES = (8, 16, 32, 64, 128)
AT_TEST, IN_TRAINING = DetectionLimits(0.05, 1000, 0.6, 50), DetectionLimits(0.05, 1000, 0.6, 100)


@pytest.fixture
def assignment():
    return LocationAssignment(STRIDES, LIMITS, 80)


def _sizes(dense):
    return [tuple(level.shape[-2:]) for level in dense.logits]


def test_targets_equal_the_release(assignment, dense, gt_instances, arithmetic):
    targets = assignment(_sizes(dense), gt_instances)
    for ours, recorded in zip(targets, arithmetic["targets"], strict=True):
        assert len(ours.classes) == recorded["locations"]
        (rows,) = (ours.classes < 80).nonzero(as_tuple=True)
        found = [[row, int(ours.classes[row]), *ours.distances[row].tolist()] for row in rows.tolist()]
        assert found == recorded["positives"]


def test_losses_equal_the_release(assignment, dense, gt_instances, arithmetic):
    losses = fcos_losses(dense, assignment(_sizes(dense), gt_instances))
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(arithmetic["losses"], rel=1e-5)


@pytest.mark.parametrize(("limits", "recorded"), [(AT_TEST, "detections_test"), (IN_TRAINING, "detections_train")])
def test_detections_equal_the_release(limits, recorded, dense, arithmetic):
    found = detections(dense, STRIDES, [tuple(size) for size in arithmetic["image_sizes"]], limits)
    for ours, wanted in zip(found, arithmetic[recorded], strict=True):
        assert ours.pred_classes.tolist() == wanted["classes"]
        torch.testing.assert_close(ours.scores, torch.tensor(wanted["scores"]), rtol=0, atol=1e-6)
        torch.testing.assert_close(ours.pred_boxes.tensor, torch.tensor(wanted["boxes"]), rtol=0, atol=1e-3)


def test_a_score_threshold_stands_in_for_that_of_class_probabilities(dense):
    unlimited = [DetectionLimits(0.05, 10_000, 1.0, 10_000, threshold) for threshold in (None, 0.5, 0.1)]
    coarse = DenseOutput(*(maps[3:] for maps in dense))
    usual, strict, lax = (detections(coarse, STRIDES[3:], [(256, 320)] * 2, limits)[0].scores for limits in unlimited)
    assert strict.tolist() == usual[usual > 0.5].tolist()
    assert lax.min() > 0.1
    assert len(lax) > (usual > 0.1).sum()  # probabilities below 0.05 with high centerness


def test_without_centre_sampling_the_whole_box_is_positive(gt_instances):
    targets = LocationAssignment((8,), (), 80, center_radius=None)([(32, 40)], gt_instances[:1])
    inside = locations((32, 40), 8)
    small = gt_instances[0].gt_boxes.tensor[1]
    held = ((inside > small[:2]) & (inside < small[2:])).all(1)
    assert targets[0].classes[held].eq(3).all()


def test_an_image_without_objects_is_background(assignment, dense):
    empty = Instances((256, 320))
    empty.gt_boxes, empty.gt_classes = Boxes(torch.zeros(0, 4)), torch.zeros(0, dtype=torch.int64)
    targets = assignment(_sizes(dense), [empty, empty])
    assert all((level.classes == 80).all() for level in targets)
    losses = fcos_losses(dense, targets)
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["loss_fcos_loc"] == losses["loss_fcos_ctr"] == 0


def test_giou_is_that_of_torchvision_but_for_the_smoothing():
    from torchvision.ops import generalized_box_iou

    found, wanted = torch.rand(2, 50, 4, generator=torch.Generator().manual_seed(0)) * 1e4 + 1
    corners = [torch.cat((-sides[:, :2], sides[:, 2:]), 1) for sides in (found, wanted)]
    reference = 1 - generalized_box_iou(*corners).diagonal()
    torch.testing.assert_close(giou_loss(found, wanted), reference, rtol=1e-4, atol=1e-5)


def test_wrong_numbers_of_size_limits_are_refused():
    with pytest.raises(ValueError, match="has 3 limits for 5 levels: give one between each two, 4"):
        LocationAssignment(STRIDES, (64, 128, 256), 80)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_group_norm_is_safe_in_sixteen_bits(dtype):
    """Features whose squares overflow float16 (beyond 256) are normalised as in float32."""
    head = FCOSHead(64, 1, classes=3).eval()
    with torch.no_grad():
        for convolution in (head.cls_tower[0], head.bbox_tower[0]):
            convolution.weight.mul_(100)
    features = torch.randn(1, 64, 16, 16, generator=torch.Generator().manual_seed(0)) * 100
    with torch.no_grad():
        exact = head([features])
        found = head.to(dtype)([features.to(dtype)])
    precision = torch.finfo(dtype).eps
    for ours, wanted in zip(found, exact, strict=True):
        assert ours[0].isfinite().all()
        assert (ours[0].float() - wanted[0]).abs().max() < 8 * precision * wanted[0].abs().max()


def test_losses_are_float32_in_mixed_precision(assignment, gt_instances):
    head = FCOSHead(32, 5, classes=80)
    features = [torch.randn(2, 32, 256 // stride, -(-320 // stride)) for stride in STRIDES]
    with torch.autocast("cpu", torch.bfloat16):
        dense = head(features)
        losses = fcos_losses(dense, assignment(_sizes(dense), gt_instances))
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_training_gives_proposals_and_losses_and_test_gives_detections(assignment, gt_instances):
    fcos = FCOS(
        head=FCOSHead(32, 5, classes=80, class_convs=1, box_convs=1),
        in_features=["p3", "p4", "p5", "p6", "p7"],
        assignment=assignment,
        training_limits=DetectionLimits(0.0, 100, 0.6, 7),
        test_limits=DetectionLimits(0.0, 100, 0.6, 5),
    )
    features = {f"p{3 + i}": torch.randn(2, 32, 256 // s, -(-320 // s)) for i, s in enumerate(STRIDES)}
    images = ImageList(torch.zeros(2, 3, 256, 320), [(256, 320), (216, 296)])
    proposals, losses = fcos(images, features, gt_instances)
    assert set(losses) == {"loss_fcos_cls", "loss_fcos_loc", "loss_fcos_ctr"}
    assert [set(one.get_fields()) for one in proposals] == [{"proposal_boxes", "objectness_logits"}] * 2
    assert [len(one) for one in proposals] == [7, 7]
    assert not proposals[0].proposal_boxes.tensor.requires_grad
    found, nothing = fcos.eval()(images, features)
    assert nothing == {}
    assert [set(one.get_fields()) for one in found] == [{"pred_boxes", "scores", "pred_classes"}] * 2
    assert [len(one) for one in found] == [5, 5]
    fcos.max_detections_per_image = 3
    assert [len(one) for one in fcos(images, features)[0]] == [3, 3]


def test_maps_without_a_passing_location_give_no_detections():
    output = DenseOutput([torch.full((1, 2, 4, 4), -9.0)], [torch.ones(1, 4, 4, 4)], [torch.zeros(1, 1, 4, 4)])
    (found,) = detections(output, (8,), [(32, 32)], AT_TEST)
    assert len(found) == 0
    assert found.pred_boxes.tensor.shape == (0, 4)
