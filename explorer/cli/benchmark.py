"""`explorer benchmark`: models in several modes, timed against each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from explorer.cli.output import JsonFile, say, write_json
from explorer.cli.running import MODELS, Device, exit_codes, load, progress

if TYPE_CHECKING:
    from explorer.engine.detector import Detector
    from explorer.engine.speed.modes import Stage


def benchmark(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help=f"Each {MODELS}.")],
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Network input in pixels.")] = "800x1088",
    modes: Annotated[
        str, typer.Option("--modes", metavar="A,B,…", help="What to time; `eager` is the model itself.")
    ] = "eager,fast-fp32,fast-bf16",
    baseline: Annotated[str, typer.Option("--baseline", help="The mode that ratios are to.")] = "eager",
    stage: Annotated[str, typer.Option("--stage", help="detector, or backbone (with FPN).")] = "detector",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per call.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds that are kept.")] = 7,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads.")] = None,
    device: Device = "cpu",
    random: Annotated[bool, typer.Option("--random", help="Random weights: times hardly depend on them.")] = False,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Peak memory, in processes apart.")] = True,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw released AP against time: an .html or .png file.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Time models in several modes, in interleaved rounds, beside the fastest matrix product of this machine.

    Modes: eager; fast-fp32 and fast-bf16, what predict and evaluate take; torch-fp32, torch-bf16, compile-fp32,
    compile-bf16, openvino, openvino-bf16, onnx.
    """
    import torch
    from rich.console import Console

    from explorer.engine.artifacts import plain
    from explorer.engine.speed.benchmark import benchmark as run
    from explorer.engine.speed.costs import peak_memory_mb
    from explorer.report.speed import pareto, speed_document, speed_grid, stage_grid

    with exit_codes():
        if stage not in ("backbone", "detector"):
            raise ValueError(f"--stage is {stage!r}: give backbone or detector.")
        input_size, part = _size(size), cast("Stage", stage)
        if threads:
            torch.set_num_threads(threads)
        detectors = _named_apart({model: load(model, device=device, random=random) for model in models})
        named = {detector.name: model for model, detector in zip(dict.fromkeys(models), detectors, strict=True)}

        def memory_of(name: str, mode: str) -> float | None:
            return peak_memory_mb(named[name], mode, input_size, part, batch)

        with progress("timing") as advance:
            found = run(
                detectors,
                [mode.strip() for mode in modes.split(",")],
                baseline=baseline,
                size=input_size,
                stage=part,
                batch=batch,
                rounds=rounds,
                memory=memory_of if memory else None,
                progress=advance,
            )
        if plot:
            from explorer.figures.export import write_figure

            write_figure(pareto(found, named), plot)
        if json_file:
            write_json(plain(speed_document(found)), json_file)
    if json_file != "-":
        console = Console() if Console().is_terminal else Console(width=120)
        console.print(speed_grid(found).on_terminal())
        if stage == "detector":
            console.print(stage_grid(found).on_terminal())
        for row in found.rows:
            if row.note:
                say((f"{row.model}, {row.mode}: not measured, {row.note}", "dim"))


def _named_apart(loaded: Mapping[str, Detector]) -> list[Detector]:
    """Calls detectors that share a name, such as those of two runs' folders, as the user did."""
    shared = {name for name, number in Counter(one.name for one in loaded.values()).items() if number > 1}
    return [
        replace(one, name=f"{model} ({one.caveat})" if one.caveat else model) if one.name in shared else one
        for model, one in loaded.items()
    ]


def _size(text: str) -> tuple[int, int]:
    """Reads `HxW`.

    Raises:
        ValueError: it is no such thing.
    """
    match = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise ValueError(f"--size is {text!r}: give height and width in pixels, as in 800x1088.")
    return int(match[1]), int(match[2])
