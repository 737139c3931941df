"""Which detectors can be followed, and which are refused."""

from __future__ import annotations

import pytest

from explorer.autopsy.families import is_followed, tracer_of

AGNOSTIC = ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True")


def test_a_detector_of_no_family_is_refused_with_those_that_are_followed(tiny):
    cascade = tiny("faster_rcnn_V_39_FPN_3x", "MODEL.ROI_HEADS.NAME", "CascadeROIHeads", *AGNOSTIC)
    assert not is_followed(cascade)
    with pytest.raises(ValueError, match=r"_3x is a GeneralizedRCNN without stages .*Faster R-CNN, .*RetinaNet, FCOS"):
        tracer_of(cascade)
