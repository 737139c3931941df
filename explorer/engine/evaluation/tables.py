"""Evaluation figures as tables for a terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from explorer.text import NAME_LENGTH, on_terminal
from explorer.types import Metrics

_COLUMNS = {
    "panoptic": ("PQ", "SQ", "RQ", "PQ_th", "PQ_st"),
    "semantic": ("mIoU", "fwIoU", "mACC", "pACC"),
}
TITLES = {
    "bbox": ("detection", "boxes"),
    "segm": ("detection", "masks"),
    "panoptic_seg": ("panoptic", "panoptic"),
    "sem_seg": ("semantic", "semantic"),
}


def figure_tables(metrics: Metrics) -> list[Table]:
    """Lays the figures out, one table per kind of figure, one row per task."""
    tables: dict[str, Table] = {}
    for task, values in metrics.values.items():
        kind, title = TITLES[task]
        columns = columns_of(kind, values)
        if kind not in tables:
            tables[kind] = Table(box=None, pad_edge=False, header_style="bold")
            tables[kind].add_column("")
            for name in columns:
                tables[kind].add_column(name, justify="right")
        tables[kind].add_row(title, *(number(values[name]) for name in columns))
    return list(tables.values())


def columns_of(kind: str, values: Mapping[str, float]) -> tuple[str, ...]:
    """Names the figures of a table: of detections average precision by threshold and size, then recall by limit.

    Args:
        kind: of figure, as in `TITLES`.
        values: the figures of a task by name, in the order of their protocol.
    """
    if kind in _COLUMNS:
        return _COLUMNS[kind]
    precision = [name for name in values if name.startswith("AP")]
    return (*precision, *(name for name in values if name.startswith("AR") and name[2:].isdigit()))


def as_text(table: Table) -> str:
    """Draws a table without colours, for a log."""
    console = Console(file=io.StringIO(), width=120, color_system=None, force_jupyter=False)
    with console.capture() as drawn:
        console.print(table)
    return drawn.get()


def class_table(per_class: Mapping[str, Mapping[str, float]], shown: int = 10) -> Table | None:
    """Lays out the figures of single classes, best first, or None where no class has any.

    Args:
        per_class: percentages by task and class name; NaN where the ground truth lacks the class.
        shown: how many classes to show.
    """
    tasks = [task for task, figures in per_class.items() if any(not math.isnan(f) for f in figures.values())]
    if not tasks:
        return None
    first = per_class[tasks[0]]
    ranked = sorted((name for name in first if not math.isnan(first[name])), key=lambda name: -first[name])
    title = f"best {shown} of {len(ranked)} classes" if len(ranked) > shown else "class"
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title)
    for task in tasks:
        table.add_column(TITLES[task][1], justify="right")
    for name in ranked[:shown]:
        table.add_row(
            on_terminal(name, most=NAME_LENGTH), *(number(per_class[task].get(name, math.nan)) for task in tasks)
        )
    return table


def number(value: float) -> str:
    """Formats a percentage; a dash where there was nothing to measure."""
    return "–" if math.isnan(value) else f"{value:.2f}"
