"""Against FiftyOne's own path on the same content, in one run: forty times faster, in minutes, in bounded memory."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEED = Path(__file__).with_name("speed.py")
IMAGES, OF_THEIRS = 5000, 500
pytestmark = [pytest.mark.slow, pytest.mark.mongo]


def measure(which: str, folder: Path, database: dict[str, str]) -> dict[str, Any]:
    environment = os.environ | database | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(SPEED), which, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


@pytest.fixture
def data(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a data set of so many images."""
    spec = importlib.util.spec_from_file_location("speed", SPEED)
    assert spec is not None
    assert spec.loader is not None
    speed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speed)

    def write(images: int) -> Path:
        speed.write(tmp_path / str(images), images)
        return tmp_path / str(images)

    return write


def test_forty_times_faster_than_fiftyone(data: Callable[[int], Path], database: dict[str, str]) -> None:
    whole, part = data(IMAGES), data(OF_THEIRS)
    ours = measure("ours", whole, database)
    again = measure("again", whole, database)
    theirs = measure("theirs", part, database)
    ratio = theirs["seconds"] * IMAGES / OF_THEIRS / ours["seconds"]
    report = {"images": IMAGES, "ours": ours, "again": again, "theirs_on_500": theirs, "ratio": ratio}
    (ROOT / "test-results").mkdir(exist_ok=True)
    (ROOT / "test-results/fiftyone-speed.json").write_text(json.dumps(report, indent=2))
    assert ours["images"] == IMAGES
    assert again["written"] == []
    assert again["seconds"] < 5
    assert ours["seconds"] < 180
    assert ours["peak_mb"] < 3000
    assert ratio >= 40


def test_three_times_the_images_take_no_more_memory(data: Callable[[int], Path], database: dict[str, str]) -> None:
    small, large = (measure("ours", data(images), database) for images in (IMAGES, 3 * IMAGES))
    assert large["images"] == 3 * IMAGES
    assert large["peak_mb"] < 1.1 * small["peak_mb"]
    assert large["peak_mb"] < 2000
