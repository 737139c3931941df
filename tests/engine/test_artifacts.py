"""Where a result comes from."""

from __future__ import annotations

import numpy as np

from explorer.engine.artifacts import provenance


def test_provenance_names_what_decides_a_result() -> None:
    said = provenance()
    assert said["versions"]["numpy"] == np.__version__
    assert said["versions"]["detectron2"]
    assert said["date"][:2] == "20"
