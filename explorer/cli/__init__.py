"""The command line: Typer commands over the same functions that the app and the notebooks call.

One module per command or group of commands. Heavy imports go inside the functions: `explorer --help` loads no torch.
Every command takes `--json FILE` (`-` for stdout) and exits with 0, 1 (the work failed) or 2 (the call was wrong).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from explorer.cli import (
    autopsy,
    benchmark,
    browse,
    compare,
    data,
    doctor,
    evaluate,
    export,
    features,
    improve,
    page,
    predict,
    receptive_field,
    train,
    zoo,
)
from explorer.cli.running import NEGATIVE_VALUES, Commands, SaidEnded
from explorer.ui.noise import silence_warnings

app = typer.Typer(name="explorer", cls=Commands, no_args_is_help=True, add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from explorer import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def explorer(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and debug object detectors with VoVNet and other backbones."""


app.command()(doctor.doctor)
app.add_typer(zoo.app, name="zoo")
app.add_typer(data.app, name="data")
app.command(context_settings=NEGATIVE_VALUES)(train.train)
app.command(context_settings=NEGATIVE_VALUES)(evaluate.evaluate)
app.command()(predict.predict)
app.command()(compare.compare)
app.command()(autopsy.autopsy)
app.command(context_settings=NEGATIVE_VALUES)(improve.improve)
app.command(context_settings=NEGATIVE_VALUES)(features.features)
app.command(context_settings=NEGATIVE_VALUES)(receptive_field.receptive_field)
app.command()(browse.browse)
app.command()(benchmark.benchmark)
app.command()(export.export)
app.command("app")(page.page)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; `arguments` are the process's own where None."""
    try:
        silence_warnings()
        app(arguments)
    except KeyboardInterrupt:  # while Typer reads the signatures of all commands
        _end_with_a_code()
        typer.echo("Interrupted.", err=True)
        raise SystemExit(130) from None
    except SystemExit as ended:  # Typer's silent one: interrupted before the command began or after it ended
        if ended.code in (130, 143):
            _end_with_a_code()
            if ended.code == 130 and not isinstance(ended.__context__, SaidEnded):
                typer.echo("Interrupted.", err=True)
        raise


def _end_with_a_code() -> None:
    """Lets `python -m explorer` end with its code, where CPython would end itself by SIGINT once more.

    It does so where the interrupt came within source text that was executed, such as that of a dataclass, until other
    source text is (`run_eval_code_obj` in CPython's `pythonrun.c`).
    """
    exec("")  # noqa: S102 - no code at all
