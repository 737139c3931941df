"""COCO images to run detectors on, and trainings that take seconds."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.engine.training.stream import seed_all
from tests.fixtures.detectors import TINY


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
        from explorer.engine.training.command import parse_arguments

        options = ["--resume"] if resume else []
        data = ["DATASETS.TRAIN", f"('{aerial_few}:train',)", "DATASETS.TEST", f"('{aerial_few}:val',)"]
        where = ["OUTPUT_DIR", str(tmp_path / out)]
        keys = [*TINY, *SHORT_TRAINING, *data, *where, *overrides]
        return parse_arguments(["--num-gpus", "0", "--config-file", config, *options, *keys])

    return arguments


@pytest.fixture
def no_log_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings in this process leave pytest's streams and log handlers alone, and say nothing."""
    from explorer.engine.training import command as train

    monkeypatch.setattr(train, "set_up", lambda cfg, args: seed_all(max(cfg.get("SEED", 1), 0)))
    monkeypatch.setattr(train, "setup_logger", lambda *args, **options: None)


@pytest.fixture
def damaged_val(aerial_few: Path, tmp_path: Path) -> tuple[str, str]:
    """Config keys for the test set with its second image cut off, which only decoding it shows."""
    shutil.copytree(aerial_few, tmp_path / "damaged")
    image = tmp_path / "damaged/val/000001.jpg"
    image.write_bytes(image.read_bytes()[:-1000])
    return "DATASETS.TEST", f"('{tmp_path / 'damaged'}:val',)"
