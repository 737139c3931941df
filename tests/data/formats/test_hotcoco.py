"""What another library writes of BCCD is read as that library meant it. `make_hotcoco.py` recorded hotcoco 1.3.0's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.data.layout import find_split
from tests.data.formats.conftest import Original, rows_of

IMAGES = {"to_yolo": "images", "to_voc": "JPEGImages", "to_cvat": "images", "to_oid": "test", "to_dota": "images"}
ROUNDED_PX = {"to_yolo": 1e-3, "to_voc": 1e-9, "to_cvat": 1e-9, "to_oid": 1e-3, "to_dota": 0.15}
"""Shares are written to six digits, DOTA's corners to a tenth of a pixel, to which hotcoco fits rectangles."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("hotcoco_export.json").read_text())
    return content


@pytest.mark.parametrize("call", IMAGES)
def test_what_it_writes_is_read(call: str, bccd: Original, recorded: dict[str, Any], tmp_path: Path) -> None:
    images = bccd.content["images"][:6]
    ids = {own["id"] for own in images}
    objects = [own for own in bccd.content["annotations"] if own["image_id"] in ids]
    few = replace(bccd, content={**bccd.content, "images": images, "annotations": objects})
    few.link_images(tmp_path / IMAGES[call])
    for name, text in recorded[call].items():
        path = tmp_path / name.replace("labels/data.yaml", "data.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    content, problems = find_split(str(tmp_path)).read_instances()
    ours = [(Path(row[0]).stem, *row[1:]) for row in rows_of(content)]
    meant = recorded["from_dota"] if call == "to_dota" else [(Path(row[0]).stem, *row[1:]) for row in few.rows()]
    theirs = [tuple(row) for row in meant]
    assert len(ours) == len(objects) == 105
    assert sorted(row[:2] for row in ours) == sorted(row[:2] for row in theirs)
    for row in theirs:
        same = np.array([own[2:] for own in ours if own[:2] == row[:2]])
        assert np.abs(same - row[2:]).max(axis=1).min() < ROUNDED_PX[call]
    assert [own.kind for own in problems if own.kind != "box-over-edge"] == ["format"]
