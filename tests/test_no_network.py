"""Without a network, everything but a download works: the whole flow in a network namespace without any route."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODEL = ("demo/V-19-slim-dw", "--exact", "--device", "cpu")
FLOW = [
    ("data", "make", "aerial", "data", "--images", "4", "--size", "96", "128"),
    ("evaluate", *MODEL, "--data", "data:val", "--out", "a"),
    ("evaluate", *MODEL, "--data", "data:val", "--out", "b", "--classes", "car"),
    ("compare", "a", "b", "--force", "--out", "c"),
    ("predict", MODEL[0], "data/val", "--out", "p"),
    ("zoo", "list"),
]


@pytest.fixture(scope="module")
def alone() -> list[str]:
    """The words before a command that is to have no network."""
    unshare = shutil.which("unshare")
    for words in ([unshare, "-n"], [unshare, "-rn"]):
        if unshare and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            return [str(word) for word in words]
    pytest.skip("network namespaces cannot be made here")


def test_the_whole_flow_needs_no_network(alone: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "EXPLORER_CACHE": str(tmp_path / "cache")}
    script = "import socket, sys\nfrom explorer.cli import main\n"
    script += "try:\n    socket.create_connection(('192.0.2.1', 80), 2)\nexcept OSError as error:\n"
    script += "    assert error.errno == 101, error  # the network is unreachable\nelse:\n    sys.exit('a network')\n"
    script += f"for words in {FLOW!r}:\n    try:\n        main(words)\n    except SystemExit as ended:\n"
    script += "        assert not ended.code, (words, ended.code)\n"
    done = subprocess.run(
        [*alone, sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c/report.html").is_file()


def test_a_download_without_a_network_says_so_in_words(alone: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "EXPLORER_CACHE": str(tmp_path / "cache")}
    environment.pop("EXPLORER_MIRROR", None)
    done = subprocess.run(
        [*alone, sys.executable, "-m", "explorer", "zoo", "fetch", "faster_rcnn_R_50_FPN_3x"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "could not be reached" in done.stderr
    assert "Traceback" not in done.stderr
