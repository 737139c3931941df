"""The bill of materials names what is installed, with licences and what needs what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.conftest import ROOT


def test_the_bill_of_materials(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, str(ROOT / "tools/sbom.py"), str(tmp_path / "bom.json")], env=environment, check=True
    )
    bill = json.loads((tmp_path / "bom.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    known = {one["bom-ref"]: one for one in bill["components"]}
    assert len(known) == len(bill["components"])
    torch = known[f"pkg:pypi/torch@{version('torch')}"]
    assert "BSD" in torch["licenses"][0]["license"]["name"]
    assert known["weights:faster_rcnn_V_39_FPN_3x"]["licenses"][0]["license"]["name"] == "CC BY-NC 4.0"
    assert known["photograph:blood-cells.jpg"]["licenses"][0]["license"]["name"] == "MIT"
    pictures = {path.name for path in (ROOT / "explorer/ui/photos").iterdir() if path.suffix in (".jpg", ".png")}
    assert {one["name"] for one in bill["components"] if one["bom-ref"].startswith("photograph:")} == pictures
    needs = {edge["ref"]: edge["dependsOn"] for edge in bill["dependencies"]}
    assert f"pkg:pypi/numpy@{version('numpy')}" in needs[f"pkg:pypi/scipy@{version('scipy')}"]
    assert needs["weights:demo/V-19-slim-dw-bccd"] == ["data:bccd"]
    assert "CC BY-SA" in known["data:aerial-real"]["licenses"][0]["license"]["name"]
    assert set().union(*needs.values()) <= set(known)
