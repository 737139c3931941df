"""Fixtures that every room's tests share."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]

REQUIRED_MARKERS = frozenset(filter(None, os.environ.get("EXPLORER_REQUIRE", "").split(",")))
"""Tests with these markers must run: CI sets `browser,mongo,notebook`, so that a skip there is a failure."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stops when a required kind of test is not even there."""
    for marker in REQUIRED_MARKERS:
        if not any(item.get_closest_marker(marker) for item in items):
            raise pytest.UsageError(f"EXPLORER_REQUIRE wants {marker} tests to run, but none was collected.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip of a required test into a failure."""
    report = yield
    required = [marker for marker in REQUIRED_MARKERS if item.get_closest_marker(marker)]
    if report.skipped and required:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"EXPLORER_REQUIRE wants {', '.join(required)} tests to run. {reason}"
    return report


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
