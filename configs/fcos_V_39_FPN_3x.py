"""FCOS on VoVNet-V2-39 with FPN, as a detectron2 LazyConfig: its R-50 baseline with another bottom-up network."""

from detectron2 import model_zoo
from detectron2.config import LazyCall as L

from explorer.backbones import VoVNet

_base = model_zoo.get_config("COCO-Detection/fcos_R_50_FPN_1x.py")
_schedule = model_zoo.get_config("common/coco_schedule.py")
dataloader, optimizer, train = _base.dataloader, _base.optimizer, _base.train
lr_multiplier = _schedule.lr_multiplier_3x

model = _base.model
model.backbone.bottom_up = L(VoVNet)(
    spec="V-39-eSE", norm="FrozenBN", freeze_at=2, out_features=["stage3", "stage4", "stage5"]
)
model.backbone.in_features = ["stage3", "stage4", "stage5"]

train.init_checkpoint = ""
train.max_iter = 270000
