"""`explorer doctor` as people and machines call it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from explorer import doctor
from explorer.cli import app
from explorer.doctor import Check, Report

WARNING = Check("browser", "warning", "none", "the browser tests cannot run", "sudo apt-get install chromium")
ERROR = Check("torch", "error", "torch 1.0", "too old", "make repair")
FINE = Check("python", "ok", "3.11.7")


def invoke(monkeypatch: pytest.MonkeyPatch, checks: tuple[Check, ...], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(doctor, "examine", lambda: Report(checks))
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["doctor", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_warnings_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown, _ = invoke(monkeypatch, (FINE, WARNING))
    assert code == 0
    assert "sudo apt-get install chromium" in shown
    assert "1 warning." in shown


def test_exit_1_when_detection_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown, _ = invoke(monkeypatch, (FINE, ERROR))
    assert code == 1
    assert "make repair" in shown
    assert "does not work" in shown


def test_json_is_alone_on_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown, table = invoke(monkeypatch, (FINE, WARNING), "--json", "-")
    assert code == 0
    assert json.loads(shown)["can_detect"] is True
    assert json.loads(shown)["checks"][1]["remedy"] == WARNING.remedy
    assert "chromium" in table


def test_long_findings_stay_within_100_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown, _ = invoke(monkeypatch, (Check("app", "warning", "name 1.0, " * 30, "it is wrong " * 20, "fix " * 40),))
    assert max(map(len, shown.splitlines())) <= 100


def test_square_brackets_in_findings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown, _ = invoke(monkeypatch, (Check("app", "warning", "none", "missing", 'pip install -e ".[app]"'),))
    assert '".[app]"' in shown
