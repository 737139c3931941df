"""Where a result comes from."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import torch

from explorer.engine.artifacts import provenance
from explorer.engine.config_facts import config_sha256
from explorer.processor import processor_name
from explorer.zoo.resolve import configured


def test_a_configs_hash_is_that_of_its_values() -> None:
    def of(config: str, *overrides: str) -> str:
        return config_sha256(configured(config, overrides)[0])

    for config, change in (("faster_rcnn_V_39_FPN_3x", ("SEED", "7")), ("fcos_V_39_FPN_3x", ("train.max_iter=7",))):
        assert of(config) == of(config) != of(config, *change)


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
