"""Fixtures that every room's tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the project; tests that need it skip where it is absent."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip("reference data ../shared is not on this machine")
    return path


@pytest.fixture(scope="session")
def deterministic_weights(shared: Path) -> ModuleType:
    """The recipe by which the golden numbers' weights and input were made."""
    spec = importlib.util.spec_from_file_location("deterministic_weights", shared / "golden/deterministic_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
