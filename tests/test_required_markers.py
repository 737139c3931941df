"""CI's demand that browser and database tests run: `EXPLORER_REQUIRE` turns their skips into failures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

@pytest.mark.mongo
def test_database():
    pytest.skip("no database here")

def test_other():
    pytest.skip("no other here")
"""


@pytest.mark.parametrize(
    ("required", "code", "said"),
    [
        ("", 0, "2 skipped"),
        ("mongo", 1, "1 failed, 1 skipped"),
        ("mongo,browser", 4, "wants browser tests to run, but none was collected"),
    ],
)
def test_a_required_test_may_not_skip(tmp_path: Path, required: str, code: int, said: str) -> None:
    hooks = re.sub(r"pytest_plugins = \[.*?\]\n", "", CONFTEST.read_text(), flags=re.DOTALL)  # no fixtures
    assert "pytest_plugins" not in hooks
    (tmp_path / "conftest.py").write_text(hooks)
    (tmp_path / "torch.py").write_text("manual_seed = int\n")  # takes seconds to import, and nothing here draws
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    mongo: starts a database\n")
    (tmp_path / "test_skips.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    env = os.environ | {"EXPLORER_REQUIRE": required, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
