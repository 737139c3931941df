"""CenterMask's heads, written from its papers.

Importing this package registers them in detectron2 under the release's names: `FCOS`, `CenterROIHeads`,
`SpatialAttentionMaskHead`, `MaskIoUHead`.
"""

from explorer.heads.fcos import FCOS
from explorer.heads.fcos_detections import DetectionLimits
from explorer.heads.fcos_head import DenseOutput, FCOSHead
from explorer.heads.mask_head import SpatialAttentionMaskHead
from explorer.heads.maskiou_head import ROI_MASKIOU_HEAD_REGISTRY, MaskIoUHead
from explorer.heads.pooling import ScaleAdaptivePooler
from explorer.heads.roi_heads import CenterROIHeads

__all__ = [
    "FCOS",
    "ROI_MASKIOU_HEAD_REGISTRY",
    "CenterROIHeads",
    "DenseOutput",
    "DetectionLimits",
    "FCOSHead",
    "MaskIoUHead",
    "ScaleAdaptivePooler",
    "SpatialAttentionMaskHead",
]
