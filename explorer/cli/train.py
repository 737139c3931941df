"""`explorer train`: the same as `python train_net.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.output import JsonFile
from explorer.cli.running import config_changes, exit_codes


def train(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY VALUE]…", callback=config_changes, help="Config overrides, as KEY VALUE; must come last."
        ),
    ] = None,
    config_file: Annotated[
        str, typer.Option("--config-file", metavar="FILE", help="A config file, or the name of a bundled config.")
    ] = "",
    num_gpus: Annotated[
        int, typer.Option("--num-gpus", min=0, help="Number of processes (GPUs) per machine; 0 trains on the CPU.")
    ] = 1,
    num_machines: Annotated[int, typer.Option("--num-machines", min=1, help="Number of machines.")] = 1,
    machine_rank: Annotated[
        int, typer.Option("--machine-rank", min=0, help="Rank of this machine, starting at 0.")
    ] = 0,
    dist_url: Annotated[
        str, typer.Option("--dist-url", help="Address at which the processes connect, such as tcp://HOST:PORT.")
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in OUTPUT_DIR.")] = False,
    eval_only: Annotated[bool, typer.Option("--eval-only", help="Only evaluate MODEL.WEIGHTS.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Train a detector, or evaluate its weights with --eval-only."""
    from explorer.engine.training.command import main, parse_arguments

    with exit_codes():
        args = parse_arguments([])
        args.config_file, args.opts, args.json = config_file, list(overrides or ()), json_file
        args.num_gpus, args.num_machines, args.machine_rank = num_gpus, num_machines, machine_rank
        args.dist_url = dist_url or args.dist_url
        args.resume, args.eval_only = resume, eval_only
        main(args)
