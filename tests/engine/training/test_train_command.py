"""`train_net.py` as a command: several processes, wrong calls, and what it prints."""

from __future__ import annotations

import logging
import os
import re
import runpy
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.config import load_config
from explorer.engine.training import command as training
from explorer.engine.training.checkpointing import METRICS, read_metrics
from explorer.engine.training.command import read_config, set_up
from explorer.scoring.results_file import RESULTS_FILE

pytestmark = pytest.mark.usefixtures("no_log_files")
ROOT = Path(__file__).resolve().parents[3]
FASTER = "faster_rcnn_V_39_FPN_3x"
Arguments = Callable[..., Namespace]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train_net.py", "--num-gpus", "0"],
        ["train_net.py", "--num-gpus", "2", "--dist-url", "auto"],
    ],
    ids=["torchrun", "spawned"],
)
def test_two_processes_train_and_write_one_run(start: list[str], short_training: Arguments, tmp_path: Path) -> None:
    keys = short_training(FASTER, "TEST.EVAL_PERIOD", "0", "MODEL.DEVICE", "cpu").opts
    done = command(sys.executable, *start, "--config-file", FASTER, *keys)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "World size: 2" in done.stdout
    rows = read_metrics(tmp_path / "run" / METRICS)
    assert [row["iteration"] for row in rows] == [2]
    assert "bbox/AP" in rows[0]
    saved = load_config(tmp_path / "run/config.yaml")
    assert saved.EXPLORER.CLASS_NAMES[:2] == ["car", "truck"]
    assert saved.DATASETS.TEST[0].endswith(":val")


@pytest.mark.slow  # `test_train.py` has the same with one process
def test_two_processes_stop_together_at_a_damaged_test_image(
    damaged_val: tuple[str, str], short_training: Arguments, tmp_path: Path
) -> None:
    keys = short_training(FASTER, *damaged_val, "MODEL.DEVICE", "cpu").opts
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train_net.py", "--num-gpus", "0"]
    done = command(sys.executable, *start, "--config-file", FASTER, *keys)  # a process that waits would time out
    assert done.returncode != 0
    assert "000001.jpg: the image data is damaged" in done.stderr
    assert done.stdout.count("Validation after 2 iterations failed, training continues") == 1  # the first process's log
    assert (tmp_path / "run/model_final.pth").is_file()


def test_the_command_ends_a_wrong_call_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_net.py", "--config-file", "nothing"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / "train_net.py"), run_name="__main__")
    assert capsys.readouterr().err.startswith("There is no configuration file 'nothing'")


def test_weights_that_cannot_be_had_end_the_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    monkeypatch.setenv("EXPLORER_OFFLINE", "1")
    words = ["train_net.py", "--config-file", FASTER, "--num-gpus", "0", "MODEL.WEIGHTS", FASTER]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="1"):
        runpy.run_path(str(ROOT / "train_net.py"), run_name="__main__")
    error = capsys.readouterr().err
    assert error.startswith("Downloads are disabled (EXPLORER_OFFLINE)")
    assert "`MODEL.WEIGHTS FILE`" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "body",
    [
        (
            "MODEL.VOVNET.CONV_BODY",
            "V-19-slim-dw-eSE",
            "MODEL.FPN.OUT_CHANNELS",
            "16",
            "MODEL.ROI_BOX_HEAD.FC_DIM",
            "16",
        ),
        pytest.param((), marks=pytest.mark.slow),
    ],
    ids=["small", "as shipped"],
)
def test_the_command_evaluates_a_coco_folder(body: tuple[str, ...], shared: Path, tmp_path: Path) -> None:
    words = ["--config-file", "configs/faster_rcnn_V_39_FPN_3x.yaml", "--eval-only", "--num-gpus", "0"]
    keys = ["DATASETS.TEST", "('../shared/data/coco-tiny:val2017',)", "OUTPUT_DIR", str(tmp_path), *body]
    keys += ["INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "96", "DATALOADER.NUM_WORKERS", "0"]
    done = command(sys.executable, "train_net.py", *words, *keys)
    assert done.returncode == 0, done.stderr[-2000:]
    heading, header, boxes = done.stdout.rpartition("coco-tiny:val2017, ")[2].splitlines()[:3]
    assert heading == "50 images, in percent:"
    assert header.split() == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100"]
    assert re.fullmatch(r"boxes( +\d+\.\d\d){9}", boxes.strip())
    assert (tmp_path / "inference" / RESULTS_FILE).is_file()


DIVERGING = ("SOLVER.BASE_LR", "1e30", "SOLVER.CHECKPOINT_PERIOD", "1", "TEST.EVAL_PERIOD", "0", "MODEL.DEVICE", "cpu")


DIVERGED = r"Training diverged in iteration \d+ at learning rate 1e\+30: \S.*\. Try a lower learning"


def test_training_that_diverges_ends_the_command_with_one_line(
    short_training: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train_net.py", "--num-gpus", "0", "--config-file", FASTER, *short_training(FASTER, *DIVERGING).opts]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="1"):
        runpy.run_path(str(ROOT / "train_net.py"), run_name="__main__")
    assert re.fullmatch(DIVERGED + r".*\n", capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize("start", [["--num-gpus", "0"], ["--num-gpus", "2", "--dist-url", "auto"]], ids=["1", "2"])
def test_training_that_diverges_ends_with_one_line_in_every_way_of_starting_it(
    start: list[str], short_training: Arguments, tmp_path: Path
) -> None:
    keys = short_training(FASTER, *DIVERGING).opts
    done = command(sys.executable, "train_net.py", *start, "--config-file", FASTER, *keys)
    assert done.returncode == 1, done.stderr[-2000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Training diverged")]
    assert re.match(DIVERGED, line)
    assert "Traceback" not in done.stderr + done.stdout


def test_the_config_of_a_run_is_whole_or_not_there(
    short_training: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = tmp_path / "set up", Path.write_text
    args = short_training(FASTER, "OUTPUT_DIR", str(folder))
    cfg = read_config(args)

    def stop(path: Path, text: str, **others: str) -> int:
        write(path, text[:10], **others)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "setup_logger", lambda *_, **__: logging.getLogger("silent"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", stop)
        with pytest.raises(KeyboardInterrupt):
            set_up(cfg, args)
    assert not list(folder.iterdir())
    set_up(cfg, args)
    assert (folder / "config.yaml").read_text() == cfg.dump()
