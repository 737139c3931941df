"""A dataclass among a command's parameters stands for an option per field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from explorer.cli.groups import grouped


@dataclass(frozen=True)
class Colour:
    red: Annotated[int, typer.Option("--red", help="Amount of red.")] = 1
    green: Annotated[str | None, typer.Option("--green", metavar="G")] = None


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @grouped
    def paint(
        wall: Annotated[str, typer.Argument()],
        coats: Annotated[int, typer.Option("--coats")] = 2,
        *,
        colour: Colour,
        dry: Annotated[bool, typer.Option("--dry")] = False,
    ) -> None:
        """Paints a wall."""
        typer.echo(f"{wall} {coats} {colour} {dry}")

    return app


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["north"], "north 2 Colour(red=1, green=None) False"),
        (["--green", "g", "north", "--red", "7", "--dry"], "north 2 Colour(red=7, green='g') True"),
    ],
)
def test_fields_are_options(command: typer.Typer, words: list[str], said: str) -> None:
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.output.strip()) == (0, said), done.output


def test_help_lists_them_in_their_place(command: typer.Typer) -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    places = [shown.index(option) for option in ("Paints a wall.", "--coats", "--red", "Amount of red", "--dry")]
    assert places == sorted(places)


def test_a_wrong_value_is_refused_by_its_option(command: typer.Typer) -> None:
    done = CliRunner().invoke(command, ["north", "--red", "much"])
    assert done.exit_code == 2
    assert "--red" in done.output
