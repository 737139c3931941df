"""Where a result comes from."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import torch

from explorer.engine.artifacts import provenance
from explorer.processor import processor_name


def test_provenance_names_what_decides_a_result() -> None:
    said = provenance()
    assert said["versions"]["numpy"] == np.__version__
    assert said["versions"]["detectron2"]
    assert said["date"][:2] == "20"
    assert said["machine"] == {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
    }
    listing = Path("/proc/cpuinfo")
    assert not listing.is_file() or said["machine"]["processor"] in listing.read_text()
