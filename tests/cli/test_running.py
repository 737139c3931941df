"""The one progress bar of all commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.cli import main, running
from explorer.cli.running import Commands, progress


@pytest.mark.parametrize(
    ("unit", "done", "total", "shown"), [("bytes", 2_500_000, 10_000_000, "2.5/10.0 MB"), ("items", 3, 12, "3/12")]
)
def test_bytes_and_items_are_counted_in_their_own_way(
    unit: str,
    done: int,
    total: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    with progress("working", unit) as advance:
        advance(done, total)
    said = capsys.readouterr()
    assert "working" in said.err
    assert shown in said.err
    assert not said.out


def test_nothing_is_shown_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working") as advance:
        advance(1, 2)
    assert capsys.readouterr().err == ""


def test_lines_stand_in_for_the_bar_where_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 4.0, 12.0, 12.0, 15.0, 30.0, 30.0])
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with progress("Inputs measured", lines=True) as advance:
        for done in range(1, 5):
            advance(done, 16)
    assert capsys.readouterr().err.splitlines() == ["Inputs measured: 2 of 16", "Inputs measured: 4 of 16"]


def test_an_interrupt_before_a_command_begins_is_said_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Commands, "make_context", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(
    ("where", "does"),
    [("make_context", "exec('raise KeyboardInterrupt')"), ("resolve_command", "Ignored() and None; time.sleep(20)")],
    ids=["while a class is made", "where Python ignores it, as after a fork"],
)
def test_an_interrupt_ends_with_an_exit_code_wherever_it_comes(where: str, does: str, tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # where a shell's background job runs the tests
        "from explorer import cli\n"
        "class Ignored:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "def stop(*_, **__):\n"
        f"    {does}\n"
        f"cli.Commands.{where} = stop\n"
        "cli.main(['doctor'])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "interrupted"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "Interrupted.\n")
