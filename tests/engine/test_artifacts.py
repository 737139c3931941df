"""Files of a run, in JSON that any parser reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from explorer.engine.artifacts import provenance, write_json


def test_a_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.json"
    write_json(target, {"a": 1})
    write_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 2}
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_json_is_refused_before_the_old_file_is_touched(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(TypeError):
        write_json(target, {"a": object()})
    assert target.read_text() == "old"


def test_json_has_no_nan_and_no_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"nan": float("nan"), "all": (float("inf"), 1.5), 3: b"Rle0", "p": Path("x")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"nan": None, "all": [None, 1.5], "3": "Rle0", "p": "x"}


def test_provenance_names_what_decides_a_result() -> None:
    said = provenance()
    assert said["versions"]["numpy"] == np.__version__
    assert said["versions"]["detectron2"]
    assert said["date"][:2] == "20"
