"""A benchmark as tables and as a document for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from explorer.engine.artifacts import provenance
from explorer.engine.speed import Found, Row
from explorer.report.tables import Grid
from explorer.zoo.registry import entries

if TYPE_CHECKING:
    import plotly.graph_objects as go


def speed_grid(found: Found) -> Grid:
    """One row per model and mode: time, ratio to the baseline with its interval, share of the ceiling, error."""
    what = "backbone and FPN" if found.stage == "backbone" else "whole detector"
    head = (what, "mode", "ms", f"× {found.baseline}", "of peak", "error", "MB")
    return Grid(head, tuple(_cells(row) for row in found.rows))


def _cells(row: Row) -> tuple[str, ...]:
    if row.median_s is None or row.ratio_to_baseline is None or row.ceiling_fraction is None:
        return (row.model, row.mode, "not measured", *["–"] * 4)
    return (
        row.model,
        f"{row.mode} ({row.engine})" if row.mode.startswith("fast") else row.mode,
        f"{1000 * row.median_s:.0f}",
        f"{row.ratio_to_baseline:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]",
        f"{100 * row.ceiling_fraction:.0f} %",
        f"{row.max_rel_error:.0e}" if row.max_rel_error else "–",
        f"{row.peak_memory_mb:.0f}" if row.peak_memory_mb else "–",
    )


def stage_grid(found: Found) -> Grid:
    """Milliseconds by stage, one column per model and mode."""
    rows = [row for row in found.rows if row.stages_s]
    stages = list(dict.fromkeys(stage for row in rows for stage in row.stages_s))
    several = len({row.model for row in rows}) > 1
    head = ("ms by stage", *(f"{row.model}, {row.mode}" if several else row.mode for row in rows))
    return Grid(head, tuple((stage, *(_milliseconds(row, stage) for row in rows)) for stage in stages))


def _milliseconds(row: Row, stage: str) -> str:
    return f"{1000 * row.stages_s[stage]:.1f}" if stage in row.stages_s else "–"


def pareto(found: Found) -> go.Figure:
    """Draws released AP against the time measured here, each released model in its fastest mode.

    Raises:
        ValueError: no model of the benchmark has a released AP, or backbones alone were timed.
    """
    from explorer.figures.speed import SpeedPoint, speed_against_accuracy

    if found.stage != "detector":
        raise ValueError("AP is of whole detectors: time them with --stage detector to draw it.")
    released = {entry.name: entry for entry in entries() if entry.released}
    points = []
    for name in dict.fromkeys(row.model for row in found.rows):
        times = [row.median_s for row in found.rows if row.model == name and row.median_s is not None]
        figures = released[name].released if name in released else None
        if figures:
            points.append(SpeedPoint(released[name].backbone, min(times) / found.batch, float(figures["box_ap"])))
    if not points:
        raise ValueError("None of these models has a released AP: name some of `explorer zoo list`.")
    height, width = found.size
    machine = f"{found.hardware['device']}, {found.threads} threads, {height}×{width} px"
    return speed_against_accuracy(points, accuracy="box AP on COCO val2017, as released", machine=machine)


def speed_document(found: Found, commands: Sequence[str] = ()) -> dict[str, Any]:
    """The benchmark for machines: `results` with a row per model and mode, and how they were measured."""
    document = asdict(found)
    rows = document.pop("rows")
    return {"results": rows, **document, **provenance()} | ({"commands": list(commands)} if commands else {})
