"""Small detectors with seeded random weights, and COCO images to run them on."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.config import load_config
from explorer.engine.detector import Detector, make_detector
from explorer.engine.stream import seed_all

TINY = [
    "MODEL.FPN.OUT_CHANNELS",
    "16",
    "MODEL.RPN.PRE_NMS_TOPK_TEST",
    "60",
    "MODEL.RPN.POST_NMS_TOPK_TEST",
    "30",
    "MODEL.ROI_BOX_HEAD.FC_DIM",
    "16",
    "MODEL.ROI_MASK_HEAD.CONV_DIM",
    "8",
    "MODEL.ROI_MASK_HEAD.NUM_CONV",
    "1",
    "MODEL.SEM_SEG_HEAD.CONVS_DIM",
    "32",
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
    "0.0",
    "MODEL.RETINANET.SCORE_THRESH_TEST",
    "0.0",
    "MODEL.RETINANET.NUM_CONVS",
    "1",
    "INPUT.MIN_SIZE_TEST",
    "64",
    "INPUT.MAX_SIZE_TEST",
    "128",
    "DATALOADER.NUM_WORKERS",
    "0",
    "MODEL.VOVNET.CONV_BODY",
    "V-19-slim-dw-eSE",
]


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Detector]:
    """Builds a shipped config's detector, shrunk: `tiny("mask_rcnn_V_39_FPN_3x", "KEY", "VALUE", …)`."""

    def build(config: str, *overrides: str) -> Detector:
        torch.manual_seed(0)
        return make_detector(load_config(config, [*TINY, *overrides]), config, device="cpu")

    return build


@pytest.fixture(scope="session")
def tiny_mask_rcnn(tiny: Callable[..., Detector]) -> Detector:
    return tiny("mask_rcnn_V_39_FPN_3x")


@pytest.fixture(scope="session")
def tiny_panoptic_fpn(tiny: Callable[..., Detector]) -> Detector:
    return tiny("panoptic_fpn_V_39_FPN_3x")


@pytest.fixture
def noise() -> np.ndarray:
    """An image `(48, 80, 3)`, BGR, of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def coco_tiny(shared: Path) -> Path:
    return shared / "data/coco-tiny"


@pytest.fixture(scope="session")
def coco_panoptic_mini(shared: Path) -> Path:
    return shared / "data/coco-panoptic-mini"


SHORT_TRAINING = [
    "MODEL.BACKBONE.FREEZE_AT",
    "0",
    "MODEL.VOVNET.NORM",
    "BN",
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN",
    "60",
    "MODEL.RPN.POST_NMS_TOPK_TRAIN",
    "30",
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",
    "16",
    "INPUT.MIN_SIZE_TRAIN",
    "(48,64)",
    "INPUT.MAX_SIZE_TRAIN",
    "96",
    "INPUT.MAX_SIZE_TEST",
    "96",
    "SOLVER.IMS_PER_BATCH",
    "2",
    "SOLVER.MAX_ITER",
    "3",
    "SOLVER.STEPS",
    "()",
    "SOLVER.WARMUP_ITERS",
    "0",
    "SOLVER.BASE_LR",
    "0.005",
    "SOLVER.CHECKPOINT_PERIOD",
    "2",
    "TEST.EVAL_PERIOD",
    "2",
    "TEST.LOSS_IMAGES",
    "2",
    "SEED",
    "1",
]


@pytest.fixture(scope="session")
def aerial_few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training and three validation scenes of 96 × 128 pixels, with boxes, masks and panoptic labels."""
    from explorer.data.aerial import make_aerial

    folder = tmp_path_factory.mktemp("aerial")
    make_aerial(folder, images=6, seed=1, split="train", size=(96, 128), workers=1)
    make_aerial(folder, images=3, seed=2, split="val", size=(96, 128), workers=1)
    return folder


@pytest.fixture
def short_training(aerial_few: Path, tmp_path: Path) -> Callable[..., Namespace]:
    """Arguments of a training that takes a second: `short_training("retinanet_V_39_FPN_3x", "KEY", "VALUE", …)`."""

    def arguments(config: str, *overrides: str, out: str = "run", resume: bool = False) -> Namespace:
        from explorer.engine.train import parse_arguments

        options = ["--resume"] if resume else []
        data = ["DATASETS.TRAIN", f"('{aerial_few}:train',)", "DATASETS.TEST", f"('{aerial_few}:val',)"]
        where = ["OUTPUT_DIR", str(tmp_path / out)]
        keys = [*TINY, *SHORT_TRAINING, *data, *where, *overrides]
        return parse_arguments(["--num-gpus", "0", "--config-file", config, *options, *keys])

    return arguments


@pytest.fixture
def no_log_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings in this process leave pytest's streams and log handlers alone, and say nothing."""
    from explorer.engine import train

    monkeypatch.setattr(train, "default_setup", lambda cfg, args: seed_all(max(cfg.get("SEED", 1), 0)))
    monkeypatch.setattr(train, "setup_logger", lambda *args, **options: None)


@pytest.fixture
def damaged_val(aerial_few: Path, tmp_path: Path) -> tuple[str, str]:
    """Config keys for the test set with its second image cut off, which only decoding it shows."""
    shutil.copytree(aerial_few, tmp_path / "damaged")
    image = tmp_path / "damaged/val/000001.jpg"
    image.write_bytes(image.read_bytes()[:-1000])
    return "DATASETS.TEST", f"('{tmp_path / 'damaged'}:val',)"
