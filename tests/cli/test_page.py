"""`explorer app` and `python app.py` open the same page with the same arguments."""

import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.scoring.protocols import AI_TOD, COCO

DEFAULTS = {"weights": None, "data": None, "results": (), "protocol": COCO, "memory_mb": 800}
DEFAULTS |= {"inference": {"exact": False, "dtype": "float32", "calibrate": None, "emulate": False}}
DEFAULTS |= {"auth": None, "share": False, "mcp": False}
RESULTS = ["--data", "d:val", "--results", "a.json", "--results", "b.csv", "--sizes", "ai-tod", "--max-detections", "9"]
GIVEN = {"data": "d:val", "results": [Path("a.json"), Path("b.csv")], "protocol": AI_TOD.with_limit(9)}
ARGUMENTS = ["--host", "0.0.0.0", "--port", "7999", "--model", "a.yaml", "--model", "b.yaml", "--auth", "me:a:b"]


@pytest.fixture
def served(monkeypatch):
    calls = []
    layout = pytest.importorskip("explorer.ui.layout")
    monkeypatch.setattr(layout, "serve", lambda host, port, models, **more: calls.append((host, port, models, more)))
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return calls


def run_app_py(monkeypatch, *arguments):
    """Runs `python app.py` in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("app.py", run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("127.0.0.1", None, (), DEFAULTS)),
        (RESULTS, ("127.0.0.1", None, (), {**DEFAULTS, **GIVEN})),
        (ARGUMENTS, ("0.0.0.0", 7999, ["a.yaml", "b.yaml"], {**DEFAULTS, "auth": ("me", "a:b")})),
    ],
)
def test_both_ways_in(arguments, expected, served, monkeypatch):
    assert CliRunner().invoke(app, ["app", *arguments]).exit_code == 0
    assert run_app_py(monkeypatch, *arguments) == 0
    assert served == [expected, expected]


def test_gradios_own_variables_are_honoured(served, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    assert run_app_py(monkeypatch) == 0
    assert served == [("0.0.0.0", 7999, (), DEFAULTS)]


@pytest.mark.parametrize("auth", ["", "me", "me:", ":secret"])
def test_half_a_password_is_refused(auth, served, monkeypatch):
    assert run_app_py(monkeypatch, "--auth", auth) == 2
    assert not served


def test_mcp_without_its_package_says_what_to_install(monkeypatch):
    pytest.importorskip("explorer.ui.layout")
    monkeypatch.setattr("explorer.ui.layout.page.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["app", "--mcp"])
    assert result.exit_code == 2
    assert 'pip install "gradio[mcp]"' in result.stderr
