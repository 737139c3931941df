"""`explorer doctor`: what is installed, what is wrong, and the command that fixes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from explorer.cli.output import JsonFile, write_output
from explorer.cli.running import exit_codes
from explorer.text import on_terminal

if TYPE_CHECKING:
    from rich.table import Table

    from explorer.doctor import Report

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def doctor(json_file: JsonFile = None) -> None:
    """Show versions, devices and tools, and how to fix problems. Exits with code 1 if detection does not work."""
    from dataclasses import asdict

    from rich.console import Console

    from explorer.doctor import examine

    console = Console(stderr=json_file == "-")
    with console.status("examining…"):
        report = examine()
    if json_file:
        with exit_codes():
            write_output(
                {"can_detect": report.can_detect, "checks": [asdict(check) for check in report.checks]}, json_file
            )
    console.print(_table(report))
    verdict = "[green]Detection works here.[/]" if report.can_detect else "[red]Detection does not work here.[/]"
    warnings = sum(check.status == "warning" for check in report.checks)
    console.print(verdict + (f" There are also {warnings} warning{'s' * (warnings > 1)}." if warnings else ""))
    raise typer.Exit(0 if report.can_detect else 1)


def _table(report: Report) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for check in report.checks:
        lines = [on_terminal(check.found)]
        if check.problem:
            lines.append(on_terminal((check.problem, "yellow")))
        if check.remedy:
            lines.append(on_terminal("→ ", (check.remedy, "cyan")))
        table.add_row(on_terminal(_MARKS[check.status]), check.name, Text("\n").join(lines))
    return table
