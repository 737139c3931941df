"""`explorer benchmark`: models in several modes, timed against each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from explorer.cli.loading import MODELS, Calibrate, CheckpointOptions, Device, Loading, TrustCode, Weights
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes, input_size, progress

if TYPE_CHECKING:
    from explorer.api.benchmark import BenchmarkReport
    from explorer.engine.speed.modes import Stage


def benchmark(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help=f"Each {MODELS}; or backbone:V-99-eSE.")],
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Network input in pixels.")] = "800x1088",
    modes: Annotated[
        str, typer.Option("--modes", metavar="A,B,…", help="Modes to time; `eager` is the plain model.")
    ] = "eager,fast-fp32,fast-bf16",
    baseline: Annotated[str, typer.Option("--baseline", help="Baseline mode of the ratios.")] = "eager",
    stage: Annotated[str, typer.Option("--stage", help="detector, or backbone (with FPN).")] = "detector",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per call.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Number of timed rounds.")] = 7,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads.")] = None,
    device: Device = "cpu",
    calibrate: Calibrate = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DATA", help="Also measure AP in each mode on PATH[:SPLIT].")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Measure AP on the first N images.")] = None,
    weights: Weights = None,
    trust_code: TrustCode = False,
    random: Annotated[bool, typer.Option("--random", help="Use random weights; times hardly depend on them.")] = False,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="On a CPU, also measure peak memory, in separate processes.")
    ] = True,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", help="Plot AP (published, or measured on --data) against time to an .html or .png file."
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Time models in several modes, in interleaved rounds, relative to the fastest matrix product of this machine.

    Modes: eager; fast-fp32, fast-bf16 and fast-int8, what predict and evaluate take; torch-fp32, torch-bf16,
    compile-fp32, compile-bf16, openvino, openvino-bf16; onnx, openvino-file and int8-file run what `explorer export`
    writes.
    """
    import torch

    from explorer.api.benchmark import benchmark as run
    from explorer.figures.export import check_figure_file

    with exit_codes():
        if stage not in ("backbone", "detector"):
            raise ValueError(f"--stage is {stage!r}: give backbone or detector.")
        if plot:
            check_figure_file(plot)
        if limit and not data:
            raise ValueError(f"--limit {limit} limits the images of --data; give --data too.")
        pixels = input_size(size)
        if threads:
            torch.set_num_threads(threads)
        with progress("timing") as advance, progress("scoring") as scored:
            report = run(
                *_asked(models, weights, trust_code, random),
                modes=[mode.strip() for mode in modes.split(",")],
                baseline=baseline,
                size=pixels,
                stage=cast("Stage", stage),
                batch=batch,
                rounds=rounds,
                calibrate=calibrate,
                data=data,
                limit=limit,
                memory=memory,
                device=device,
                progress=advance,
                scored=scored,
            )
        if plot:
            _draw(report, plot)
        if json_file:
            write_output(report.to_dict(), json_file)
    if json_file != "-":
        _print(report)


def _asked(models: Sequence[str], weights: str | None, trust_code: bool, random: bool) -> list[Loading]:
    if weights and len(models) > 1:
        raise ValueError(f"--weights goes with one MODEL, and here are {len(models)}: give checkpoints as MODELs.")
    checkpoint = CheckpointOptions(weights, trust_code=trust_code)
    return [checkpoint.of(model, random=random) for model in dict.fromkeys(models)]


def _draw(report: BenchmarkReport, plot: Path) -> None:
    from explorer.figures.export import write_figure
    from explorer.report.speed import pareto

    scored = any(row.accuracy for row in report.found.rows)
    write_figure(report.figure() if scored else pareto(report.found, report.given), plot)


def _print(report: BenchmarkReport) -> None:
    from rich.console import Console

    console = Console() if Console().is_terminal else Console(width=120)
    for table in report.tables():
        console.print(table.on_terminal())
    for sentence in report.sentences():
        say((sentence, "dim"))
