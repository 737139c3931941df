"""A model on a view, run by FiftyOne's own service for delegated operations in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = "import sys; sys.argv = ['fiftyone', 'delegated', 'launch']; from fiftyone.core.cli import main; main()"


@pytest.fixture
def service(fiftyone: ModuleType, database: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """`fiftyone delegated launch`, and what it says."""
    from explorer.browser.serve import install_plugin

    install_plugin(Path(fiftyone.config.plugins_dir))
    environment = os.environ | database | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    with (tmp_path / "service.log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-c", LAUNCH], env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path
        )
    try:
        yield tmp_path / "service.log"
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)


def test_a_model_is_run_by_the_service(fiftyone: ModuleType, scene: Any, service: Path) -> None:
    import fiftyone.operators as foo
    from fiftyone.operators.delegated import DelegatedOperationService

    from explorer.browser.build import build

    dataset = build(scene.data, scene.runs[:1], name="delegated").dataset
    view = dataset.sort_by("filepath").limit(2)
    asked = foo.execute_operator(
        "@vovnet/explorer/run_model",
        ctx={"view": view, "params": {"model": "demo/V-19-slim-dw", "field": "later"}},
        request_delegation=True,
    )
    assert not dataset.has_field("later"), "it was run at once"
    operations = DelegatedOperationService()
    for _ in range(1200):
        operation = operations.get(asked.result["id"])
        if operation.run_state in ("completed", "failed"):
            break
        time.sleep(0.1)
    assert operation.run_state == "completed", f"{operation.result}\n{service.read_text()}"
    assert (operation.status.progress, operation.status.label) == (1, "2 of 2 images")
    dataset.reload()
    written = [sample["later"] is not None for sample in dataset.sort_by("filepath")]
    assert written == [True, True] + [False] * 8
