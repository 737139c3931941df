"""What FCOS learns from: classes by focal loss, boxes by generalised IoU, and centerness.

Source: FCOS (arXiv 1904.01355, Equations 2 and 3), focal loss (arXiv 1708.02002), GIoU (arXiv 1902.09630). All are
computed in float32, whatever the network computes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.distributed
import torch.nn.functional as F
from detectron2.utils import comm
from fvcore.nn import sigmoid_focal_loss_jit
from torch import Tensor

from explorer.heads.fcos_head import DenseOutput
from explorer.heads.fcos_targets import Targets, centerness_of


def fcos_losses(
    output: DenseOutput, targets: Sequence[Targets], *, alpha: float = 0.25, gamma: float = 2.0
) -> Mapping[str, Tensor]:
    """Computes the three losses of a batch.

    Args:
        output: of the head.
        targets: by level; see `explorer.heads.fcos_targets.LocationAssignment`.
        alpha: weight of positives in the focal loss.
        gamma: exponent of the focal loss.

    Returns:
        `loss_fcos_cls`: focal loss of all locations, by the number of positive ones. `loss_fcos_loc`: 1 - GIoU of the
        positive ones, weighted by their centerness. `loss_fcos_ctr`: binary cross entropy of the positive ones'
        centerness. Numbers that they are divided by are means over all processes.
    """
    logits, distances, centerness = (_rows(maps) for maps in output)
    classes = torch.cat([level.classes for level in targets])
    count = logits.shape[1]
    positive = (classes < count).nonzero()[:, 0]
    positives = _mean_over_processes(classes.new_tensor(float(len(positive)), dtype=torch.float32)).clamp(min=1)

    wanted = F.one_hot(classes, count + 1)[:, :count].to(logits)
    class_loss = sigmoid_focal_loss_jit(logits, wanted, alpha=alpha, gamma=gamma, reduction="sum")
    goal = torch.cat([level.distances for level in targets])[positive]
    central = centerness_of(goal)
    weight = _mean_over_processes(central.sum()).clamp(min=1e-6)
    box_loss = (giou_loss(distances[positive], goal) * central).sum()
    centerness_loss = F.binary_cross_entropy_with_logits(centerness[positive, 0], central, reduction="sum")
    return {
        "loss_fcos_cls": class_loss / positives,
        "loss_fcos_loc": box_loss / weight,
        "loss_fcos_ctr": centerness_loss / positives,
    }


def giou_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Returns 1 - GIoU of boxes around the same locations, given as `(n, 4)` distances to their sides.

    The IoU is `(intersection + 1) / (union + 1)`, as the release has it, so that two empty boxes are alike.
    """
    intersection = _area(torch.minimum(found, wanted))
    around = _area(torch.maximum(found, wanted))
    union = _area(found) + _area(wanted) - intersection
    return 1 - (intersection + 1) / (union + 1) + (around - union) / around.clamp(min=1e-7)


def _area(distances: Tensor) -> Tensor:
    left, top, right, bottom = distances.unbind(1)
    return (left + right) * (top + bottom)


def _rows(maps: Sequence[Tensor]) -> Tensor:
    """Puts `(batch, channels, h, w)` maps of all levels under each other, one row per location, in float32."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in maps]).float()


def _mean_over_processes(value: Tensor) -> Tensor:
    value = value.detach().clone()
    if comm.get_world_size() > 1:
        torch.distributed.all_reduce(value)
    return value / float(comm.get_world_size())
