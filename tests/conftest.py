"""Fixtures that every room's tests share."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
gc.set_threshold(100_000, 50, 100)  # a quarter of the time of collecting tests went into looking for garbage

pytest_plugins = [
    "tests.fixtures.cells",
    "tests.fixtures.detectors",
    "tests.fixtures.dense",
    "tests.fixtures.hostile",
    "tests.fixtures.invented",
]

REQUIRED_MARKERS = frozenset(filter(None, os.environ.get("EXPLORER_REQUIRE", "").split(",")))
"""Tests with these markers must run: CI sets `browser,mongo,notebook`, so that a skip there is a failure."""


LONGEST = (
    "ui", "browser", "engine", "tabs", "notebooks", "zoo", "cli", "faults", "api", "backbones", "data", "hostile",
)  # fmt: skip
"""Groups whose tests take longest: parallel workers begin with them, so that none is left with one at the end."""
TABS = ("test_tabs.py", "test_accessibility.py", "test_points.py")
"""Modules of `tests/ui` that open every tab: a group of their own, since they take as long as the others together."""


def group_of(nodeid: str) -> str:
    """The tests that share a worker, and with it servers, a database and models: those of a folder below `tests/`."""
    _, folder, *rest = nodeid.partition("::")[0].split("/")
    return "tabs" if folder == "ui" and rest[0] in TABS else folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps a group's tests in one worker of `pytest -n`."""
    # xdist's own mark for that, xdist_group, has no effect with pytest 9.2: it sets a name that pytest no longer reads
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Stops when a required kind of test is not even there; puts the longest groups first where workers share them."""
    for marker in REQUIRED_MARKERS:
        if not any(item.get_closest_marker(marker) for item in items):
            raise pytest.UsageError(f"EXPLORER_REQUIRE wants {marker} tests to run, but none was collected.")
    if hasattr(config, "workerinput"):
        order = {group: place for place, group in enumerate(LONGEST)}
        items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Lets every test, and the fixtures made for it, draw the same numbers in whatever order and company it runs."""
    np.random.seed(0)  # noqa: NPY002 - detectron2's augmentations draw from the global generator
    torch.manual_seed(0)


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


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--process-per-site",  # pages of one window share a process, which compiles Gradio's and Plotly's scripts once
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; for one module, since Playwright leaves an event loop running that others run into."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port of this machine on which nothing listens."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


Serving = Callable[..., AbstractContextManager["subprocess.Popen[bytes]"]]


@pytest.fixture(scope="session")
def serving() -> Serving:
    """Runs a server until it answers, gives its process, and ends it."""

    @contextmanager
    def serve(
        command: Sequence[str], url: str, log: Path, env: Mapping[str, str], cwd: Path = ROOT, patience_s: float = 120
    ) -> Iterator[subprocess.Popen[bytes]]:
        with log.open("w") as stream:
            server = subprocess.Popen(
                command,
                cwd=cwd,
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + patience_s
        try:
            while True:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"no answer in {patience_s} s\n{log.read_text()}"
                try:
                    with urllib.request.urlopen(url, timeout=5):
                        break
                except OSError:
                    time.sleep(0.1)
            yield server
        finally:
            server.terminate()
            server.wait(60)

    return serve
