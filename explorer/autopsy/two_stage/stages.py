"""Every stage between an anchor and a detection of a two-stage detector, as plain arrays.

`explorer.autopsy.two_stage.tracer` fills these types. Boxes are `(x1, y1, x2, y2)` in pixels
of the resized input, the model's own frame, unless a name says otherwise. An RPN box goes by its *anchor*, the row of
its anchor with all levels laid end to end; a box of the head by its *candidate*, a pair of proposal row and class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from explorer.autopsy.family import Trace, View
from explorer.autopsy.frame import Resizing
from explorer.autopsy.selection import first_over
from explorer.scoring.nearby import BoxIndex
from explorer.types import Bools, Floats32, Ints


@dataclass(frozen=True)
class TwoStageLimits:
    """What a candidate must pass, in the order in which detectron2 asks at test time.

    Attributes:
        pre_nms_topk: RPN boxes of each level that reach the RPN's NMS, by objectness.
        min_size_px: both sides of an RPN box must be longer, after clipping to the image.
        rpn_nms_iou: an RPN box that overlaps a better one of its level by more is suppressed.
        post_nms_topk: RPN boxes of all levels together that become proposals.
        score_threshold: a class score must be higher.
        nms_iou: a box that overlaps a better one of its class by more is suppressed.
        detections: boxes of all classes together that become detections; a negative number is no limit.
    """

    pre_nms_topk: int
    min_size_px: float
    rpn_nms_iou: float
    post_nms_topk: int
    score_threshold: float
    nms_iou: float
    detections: int


@dataclass(frozen=True)
class TwoStageExceptions:
    """What is let through against the rules, to see what becomes of it; nothing by default.

    Attributes:
        spared_anchors: RPN boxes that no other suppresses.
        extra_proposals: `(x1, y1, x2, y2)` of proposals that come after the RPN's own; their anchor is -1.
        declared: `(proposal, class)` of which the head is made sure.
        unmoved: `(proposal, class)` whose box is the proposal itself instead of the head's.
        spared_candidates: `(proposal, class)` that no other suppresses.
    """

    spared_anchors: tuple[int, ...] = ()
    extra_proposals: tuple[tuple[float, float, float, float], ...] = ()
    declared: tuple[tuple[int, int], ...] = ()
    unmoved: tuple[tuple[int, int], ...] = ()
    spared_candidates: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Pyramid:
    """The feature maps that the heads look at.

    Attributes:
        names: of all levels, those first that the box head pools from, finest first: `p2`, …
        lowest: number of the finest level that the box head pools from; its stride is two to that power.
        highest: number of the coarsest one.
        canonical_size_px: a box as large as a square of this side belongs to level `canonical_level`.
        canonical_level: see there.
        fitting_iou: an anchor with a lower IoU is background to the RPN's training.
    """

    names: tuple[str, ...]
    lowest: int
    highest: int
    canonical_size_px: float
    canonical_level: int
    fitting_iou: float

    def levels_of(self, boxes_xyxy: npt.NDArray[np.floating]) -> Ints:
        """Returns the position in `names` of the level from which the box head pools each of `(N, 4)` boxes.

        Source: Lin et al., Feature Pyramid Networks, CVPR 2017, equation 1, as detectron2's
        `assign_boxes_to_levels` computes it.
        """
        sides = np.sqrt(np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None).prod(axis=1))
        numbers = np.floor(self.canonical_level + np.log2(sides / self.canonical_size_px + 1e-8))
        levels: Ints = np.clip(numbers, self.lowest, self.highest).astype(np.int64) - self.lowest
        return levels


@dataclass(frozen=True, eq=False)
class RpnOutput:
    """What the RPN says of each anchor; `A` anchors, the levels one after the other.

    Attributes:
        levels: `(A,)` position in `Pyramid.names`, ascending.
        anchors_xyxy: `(A, 4)`.
        logits: `(A,)` objectness before the sigmoid.
        boxes_xyxy: `(A, 4)` the box that each anchor becomes, clipped to the image; zeros where not finite.
        finite: `(A,)` whether box and logit are numbers; the RPN drops the others.
    """

    levels: Ints
    anchors_xyxy: Floats32
    logits: Floats32
    boxes_xyxy: Floats32
    finite: Bools


@dataclass(frozen=True, eq=False)
class ProposalStages:
    """Which anchors' boxes get how far in the RPN.

    Attributes:
        entered: among the best of their level.
        usable: of these, finite and large enough.
        kept: of these, not suppressed, best first.
        passed: of these, the best: the proposals.
    """

    entered: Ints
    usable: Ints
    kept: Ints
    passed: Ints


@dataclass(frozen=True, eq=False)
class HeadOutput:
    """What the box head says of each of `R` proposals, for `K` classes.

    Attributes:
        anchors: `(R,)` the anchor that each proposal comes from, -1 for an extra one.
        proposals_xyxy: `(R, 4)`.
        scores: `(R, K + 1)` probabilities, background last.
        boxes_xyxy: `(R, K, 4)`, or `(R, 1, 4)` where one box serves all classes; clipped to the image, zeros where not
            finite.
        finite: `(R,)` whether boxes and scores are numbers; the head drops the other proposals.
    """

    anchors: Ints
    proposals_xyxy: Floats32
    scores: Floats32
    boxes_xyxy: Floats32
    finite: Bools

    @property
    def classes(self) -> int:
        return int(self.scores.shape[1]) - 1

    def boxes_of(self, class_index: int) -> Floats32:
        """The boxes `(R, 4)` that the proposals become if they are of this class."""
        boxes: Floats32 = self.boxes_xyxy[:, class_index if self.boxes_xyxy.shape[1] > 1 else 0]
        return boxes


@dataclass(frozen=True, eq=False)
class TwoStageView(View):
    """What the network makes of one image before any box is chosen.

    Attributes:
        features: the feature pyramid by level name.
        rpn: what the RPN says of each anchor.
    """

    features: Mapping[str, torch.Tensor]
    rpn: RpnOutput

    @cached_property
    def anchors(self) -> BoxIndex:
        """The anchors in the frame of the original image, to look up."""
        return BoxIndex(self.frame.unclipped(self.rpn.anchors_xyxy))

    @cached_property
    def rpn_boxes(self) -> BoxIndex:
        """What the RPN makes of the anchors, in the frame of the original image, to look up."""
        return BoxIndex(self.frame.to_original(self.rpn.boxes_xyxy))


@dataclass(frozen=True, eq=False)
class TwoStageTrace(Trace):
    """One image's way through a two-stage detector.

    Attributes:
        view: what the network makes of the image.
        pyramid: the feature maps.
        limits: what the candidates had to pass.
        proposal_stages: what becomes of the RPN's boxes.
        head: what the head says of each proposal.
    """

    view: TwoStageView
    pyramid: Pyramid
    limits: TwoStageLimits
    proposal_stages: ProposalStages
    head: HeadOutput

    @property
    def frame(self) -> Resizing:
        return self.view.frame

    @property
    def rpn(self) -> RpnOutput:
        return self.view.rpn

    def rank_of(self, anchor: int) -> int:
        """The place, from 1, that the RPN's logit gives to an anchor within its level."""
        level = self.rpn.levels == self.rpn.levels[anchor]
        return 1 + int((self.rpn.logits[level] > self.rpn.logits[anchor]).sum())

    def objectness(self, anchor: int) -> float:
        """The RPN's probability, in [0, 1], that an anchor is on an object."""
        return float(1 / (1 + np.exp(-np.float64(self.rpn.logits[anchor]))))

    def suppressor_of_anchor(self, anchor: int) -> int:
        """The anchor whose box suppressed this one's in the RPN."""
        kept = self.proposal_stages.kept
        rivals = kept[(self.rpn.levels[kept] == self.rpn.levels[anchor])]
        rivals = rivals[rivals != anchor]
        boxes = self.rpn.boxes_xyxy
        return int(rivals[first_over(boxes[anchor], boxes[rivals], self.limits.rpn_nms_iou)])
