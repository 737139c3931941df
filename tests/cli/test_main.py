"""The command line as a whole: it answers at once and knows its commands."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from explorer import __version__
from explorer.cli import app
from explorer.cli.output import write_output

COMMANDS = ("doctor", "zoo", "data", "train", "evaluate", "predict")
EXPLORER = Path(sys.executable).with_name("explorer")


def processor_seconds(command: list[str]) -> float:
    """Runs a command and returns the processor time it took, which a busy machine does not stretch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_under_half_a_second() -> None:
    assert min(processor_seconds([str(EXPLORER), "--help"]) for _ in range(3)) < 0.5


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert [name for name in COMMANDS if name not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_a_wrong_call_exits_with_2() -> None:
    assert CliRunner().invoke(app, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(app, ["doctor", "--no-such-option"]).exit_code == 2


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == __version__


def test_json_goes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_output({"größe": [1, 2]}, str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == {"größe": [1, 2]}
    write_output([1.5], "-")
    assert json.loads(capsys.readouterr().out) == [1.5]


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    write_output({"ap": float("nan")}, "-")
    assert json.loads(capsys.readouterr().out) == {"ap": None}


def test_the_console_script_is_installed() -> None:
    assert EXPLORER.is_file()
    assert shutil.which(str(EXPLORER))
