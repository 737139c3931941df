"""`explorer.train`: a data set, a recipe and a folder in, what the run logged out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.utils.env import seed_all_rng

import explorer as ex
from explorer.engine.training import command
from tests.fixtures.detectors import TINY

SHORT = ["SOLVER.MAX_ITER", "2", "SOLVER.IMS_PER_BATCH", "1", "DATALOADER.NUM_WORKERS", "0", "TEST.LOSS_IMAGES", "1"]
SHORT += ["TEST.EVAL_PERIOD", "0", "INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64"]


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves pytest's log handlers alone; the config is saved as detectron2's set-up does."""

    def set_up(cfg: CfgNode, args: object) -> None:
        seed_all_rng(0)
        (Path(cfg.OUTPUT_DIR) / "config.yaml").write_text(cfg.dump())

    monkeypatch.setattr(command, "set_up", set_up)
    monkeypatch.setattr(command, "setup_logger", lambda *args, **options: None)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("validated", [True, False])
def test_a_run_is_a_model_and_a_result(validated: bool, aerial: Path, tmp_path: Path) -> None:
    data, seen = f"{aerial}:val", list[int]()
    report = ex.train(
        "faster_rcnn_V_39_FPN_3x",
        data,
        data if validated else None,
        out=tmp_path / "run",
        weights="",
        overrides=[*TINY, *SHORT],
        on_step=lambda done, total, scalars: seen.append(done),
    )
    assert seen == [1, 2]
    assert report.to_pandas()["iteration"].tolist() == [1]
    assert "total_loss" in report.log[0]
    assert report.figure().data
    assert ("bbox" in report.figures) == bool(report.tables()) == validated
    assert ("not evaluated" in str(report)) is not validated
    json.dumps(report.to_dict(), allow_nan=False)
    assert len(ex.evaluate(tmp_path / "run", aerial, limit=1).truth.image_ids) == 1


def test_a_lazy_config_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[object] = []
    monkeypatch.setattr("explorer.api.train.run", lambda *words, **options: given.append(words) or {})
    ex.train("some.py", "data:train", "data:val", out=tmp_path, weights="w.pth", overrides=["train.max_iter=3"])
    (config, settings), *_ = given
    assert config == "some.py"
    assert settings == [
        "dataloader.train.dataset.names=data:train",
        f"train.output_dir={tmp_path}",
        "dataloader.test.dataset.names=data:val",
        "train.init_checkpoint=w.pth",
        "train.max_iter=3",
    ]
