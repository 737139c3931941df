"""The package as others meet it: what importing it costs, and that what it promises is there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import explorer

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "torchvision", "detectron2", "gradio", "fiftyone", "ipywidgets", "plotly", "matplotlib", "numpy"}


def loaded_after(code: str) -> set[str]:
    """Runs code in a fresh interpreter and returns the top-level names of all modules it has loaded."""
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_after("import explorer")


def test_building_the_command_line_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_after("import explorer.cli, typer; typer.main.get_command(explorer.cli.app)")


def test_the_probe_sees_a_heavy_import() -> None:
    assert HEAVY & loaded_after("import explorer; explorer.Detections")


@pytest.mark.parametrize("name", [name for name in explorer.__all__ if name != "__version__"])
def test_every_promised_name_is_there(name: str) -> None:
    promised = getattr(explorer, name)
    assert promised.__name__.rpartition(".")[2] == name
    assert callable(promised)
    assert name in dir(explorer)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        explorer.nothing  # noqa: B018


def test_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "explorer", "--help"], capture_output=True, text=True, check=True)
    assert "doctor" in done.stdout


def test_constraints_pin_every_dependency_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(line) for lines in (project["dependencies"], *extras.values()) for line in lines]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {pin.name.lower(): pin for pin in map(Requirement, (line for line in lines if line and line[0] != "#"))}
    assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins.values())
    for need in wanted:
        (pinned,) = pins[need.name].specifier
        assert need.specifier.contains(pinned.version), f"constraints.txt has {pinned.version}, wanted {need}"
