"""What tests of commands share: a small detector, and a benchmark that is soon done."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.config import config_path
from explorer.engine.speed import machine


@pytest.fixture(autouse=True)
def small_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures what the processor can do at most on small matrices: no test of a command is about it."""
    monkeypatch.setattr(machine, "SIDE", 64)


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file called `small.yaml` of a Mask R-CNN for COCO's classes; its weights are random."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(
        f"""
_BASE_: {config_path("mask_rcnn_V_39_FPN_3x")}
MODEL:
  VOVNET: {{CONV_BODY: V-19-slim-dw-eSE}}
  FPN: {{OUT_CHANNELS: 16}}
  RPN: {{PRE_NMS_TOPK_TEST: 60, POST_NMS_TOPK_TEST: 30}}
  ROI_HEADS: {{SCORE_THRESH_TEST: 0.0}}
  ROI_BOX_HEAD: {{FC_DIM: 16}}
  ROI_MASK_HEAD: {{CONV_DIM: 8, NUM_CONV: 1}}
INPUT: {{MIN_SIZE_TEST: 64, MAX_SIZE_TEST: 128}}
DATALOADER: {{NUM_WORKERS: 0}}
""",
        encoding="utf-8",
    )
    return path
