"""`explorer app` and `python app.py` open the same page with the same arguments."""

import runpy
import sys

import pytest
from typer.testing import CliRunner

from explorer.cli import app

ARGUMENTS = ["--host", "0.0.0.0", "--port", "7999", "--model", "a.yaml", "--model", "b.yaml"]


@pytest.fixture
def served(monkeypatch):
    calls = []
    layout = pytest.importorskip("explorer.ui.layout")
    monkeypatch.setattr(layout, "serve", lambda host, port, models: calls.append((host, port, list(models))))
    return calls


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], ("127.0.0.1", None, [])), (ARGUMENTS, ("0.0.0.0", 7999, ["a.yaml", "b.yaml"]))]
)
def test_both_ways_in(arguments, expected, served, monkeypatch):
    assert CliRunner().invoke(app, ["app", *arguments]).exit_code == 0
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    runpy.run_path("app.py", run_name="__main__")
    assert served == [expected, expected]
