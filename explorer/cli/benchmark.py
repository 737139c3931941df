"""`explorer benchmark`: models in several modes, timed against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import MODELS, Calibrate, Device, TrustCode, Weights, exit_codes, input_size, load, progress

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.engine.speed.benchmark import Accuracy, Timings
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
        bool, typer.Option("--memory/--no-memory", help="Also measure peak memory, in separate processes.")
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

    from explorer.engine.devices import cpu_behind
    from explorer.engine.speed.benchmark import benchmark as run
    from explorer.engine.speed.costs import peak_memory_mb
    from explorer.figures.export import check_figure_file
    from explorer.report.speed import speed_document

    with exit_codes():
        if stage not in ("backbone", "detector"):
            raise ValueError(f"--stage is {stage!r}: give backbone or detector.")
        if plot:
            check_figure_file(plot)
        pixels, part = input_size(size), cast("Stage", stage)
        if threads:
            torch.set_num_threads(threads)
        named: dict[str, str] = {}

        def memory_of(name: str, mode: str) -> float | None:
            return peak_memory_mb(named[name], mode, pixels, part, batch)

        def timed(place: str) -> Timings:
            detectors = _loaded(models, device=place, random=random, weights=weights, trust_code=trust_code)
            named.update(zip((one.name for one in detectors), dict.fromkeys(models), strict=True))
            with progress("timing") as advance, progress("scoring") as scored:
                return run(
                    detectors,
                    [mode.strip() for mode in modes.split(",")],
                    baseline=baseline,
                    size=pixels,
                    stage=part,
                    batch=batch,
                    rounds=rounds,
                    calibrate=calibrate,
                    memory=memory_of if memory else None,
                    accuracy=_accuracy(data, limit, scored),
                    progress=advance,
                )

        found = cpu_behind(device, timed)
        if plot:
            _draw(found, named, plot)
        if json_file:
            write_output(speed_document(found), json_file)
    if json_file != "-":
        _print(found)


def _accuracy(
    data: str | None, limit: int | None, advance: Callable[[int, int], None]
) -> Callable[[Detector], Accuracy] | None:
    from explorer.report.speed import accuracy_on

    if limit and not data:
        raise ValueError(f"--limit {limit} limits the images of --data; give --data too.")
    return accuracy_on(data, limit, advance) if data else None


def _draw(found: Timings, named: Mapping[str, str], plot: Path) -> None:
    from explorer.figures.export import write_figure
    from explorer.figures.speed import measured_accuracy
    from explorer.report.speed import pareto

    scored = any(row.accuracy for row in found.rows)
    write_figure(measured_accuracy(found) if scored else pareto(found, named), plot)


def _print(found: Timings) -> None:
    from rich.console import Console

    from explorer.report.speed import speed_tables

    console = Console() if Console().is_terminal else Console(width=120)
    for table in speed_tables(found):
        console.print(table.on_terminal())
    for row in found.rows:
        if row.note:
            say((f"{row.model}, {row.mode}: not measured, {row.note}", "dim"))


def _loaded(models: Sequence[str], weights: str | None, **options: Any) -> list[Detector]:
    if weights and len(models) > 1:
        raise ValueError(f"--weights goes with one MODEL, and here are {len(models)}: give checkpoints as MODELs.")
    return _named_apart({model: load(model, weights=weights, **options) for model in models})


def _named_apart(loaded: Mapping[str, Detector]) -> list[Detector]:
    """Calls detectors that share a name, such as those of two runs' folders, as the user did."""
    shared = {name for name, number in Counter(one.name for one in loaded.values()).items() if number > 1}
    return [
        replace(one, name=f"{model} ({one.caveat})" if one.caveat else model) if one.name in shared else one
        for model, one in loaded.items()
    ]
