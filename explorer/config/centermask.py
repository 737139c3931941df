"""The keys of CenterMask2, under the release's names and with its values."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_centermask_config(cfg: CfgNode) -> CfgNode:
    """Adds CenterMask's keys to a detectron2 config, in place, and returns it.

    `MODEL.FCOS` configures the proposal generator, `MODEL.MASKIOU_ON` and `MODEL.ROI_MASKIOU_HEAD` the head that
    predicts how good a mask is. `MODEL.ROI_MASK_HEAD.ASSIGN_CRITERION` chooses the map that a box is pooled from by the
    `ratio` of its area to the image's, or by `area` alone, as FPN does. `MODEL.ROI_MASKIOU_HEAD.FC_DIM`, the width of
    its fully connected layers, is the only key that the release does not have.
    """
    model = cfg.MODEL
    model.FCOS = CfgNode()
    model.FCOS.NUM_CLASSES = 80
    model.FCOS.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    model.FCOS.NUM_CLS_CONVS = 4
    model.FCOS.NUM_BOX_CONVS = 4
    model.FCOS.NORM = "GN"
    model.FCOS.USE_SCALE = True
    model.FCOS.PRIOR_PROB = 0.01
    model.FCOS.SIZES_OF_INTEREST = [64, 128, 256, 512]
    model.FCOS.CENTER_SAMPLE = True
    model.FCOS.POS_RADIUS = 1.5
    model.FCOS.LOSS_ALPHA = 0.25
    model.FCOS.LOSS_GAMMA = 2.0
    model.FCOS.INFERENCE_TH_TRAIN = 0.05
    model.FCOS.INFERENCE_TH_TEST = 0.05
    model.FCOS.PRE_NMS_TOPK_TRAIN = 1000
    model.FCOS.PRE_NMS_TOPK_TEST = 1000
    model.FCOS.NMS_TH = 0.6
    model.FCOS.POST_NMS_TOPK_TRAIN = 100
    model.FCOS.POST_NMS_TOPK_TEST = 100

    model.ROI_MASK_HEAD.ASSIGN_CRITERION = "ratio"
    model.MASKIOU_ON = False
    model.MASKIOU_LOSS_WEIGHT = 1.0
    model.ROI_MASKIOU_HEAD = CfgNode()
    model.ROI_MASKIOU_HEAD.NAME = "MaskIoUHead"
    model.ROI_MASKIOU_HEAD.NUM_CONV = 4
    model.ROI_MASKIOU_HEAD.CONV_DIM = 256
    model.ROI_MASKIOU_HEAD.FC_DIM = 1024
    return cfg
