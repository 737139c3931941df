"""Prints the tables of docs/models.md from the zoo's records: `python tools/model_table.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.zoo.cards import Card
from explorer.zoo.registry import ZooEntry, detectors, remarks

COLUMNS = (
    "model",
    "box AP (S / M / L)",
    "mask AP (S / M / L)",
    "PQ",
    "s",
    "params, M",
    "weights' licence",
    "ours: detector, M",
    "ours: backbone + FPN, M",
)


def table() -> str:
    """Returns the rows of the releases' tables as Markdown: released numbers left, numbers measured here right."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(entry) for entry in detectors() if entry.released)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def demo_table() -> str:
    """Returns the bundled models as Markdown, from their cards."""
    figures = ("box AP, 95 % interval", "AP50", "S / M / L", "mask AP (AP50)", "PQ")
    head = ("model", *figures, "measured on", "params, M", "licence")
    rows = [head, ("---",) * len(head), *(_demo_cells(entry, entry.card) for entry in detectors() if entry.card)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _demo_cells(entry: ZooEntry, card: Card) -> tuple[str, ...]:
    box, mask, panoptic = card.measured.box, card.measured.mask, card.measured.panoptic
    value, low, high = box["AP"]
    return (
        f"`{entry.name}`",
        f"{value:.1f} [{low:.1f}, {high:.1f}]",
        f"{box['AP50'][0]:.1f}",
        " / ".join(f"{box[label][0]:.1f}" if label in box else "–" for label in ("APs", "APm", "APl")),
        f"{mask['AP'][0]:.1f} ({mask['AP50'][0]:.1f})" if mask else "–",
        f"{panoptic['PQ']:.1f}" if panoptic else "–",
        f"{card.measured.images} images",
        f"{entry.params_m:.1f}",
        entry.licence,
    )


def _cells(entry: ZooEntry) -> tuple[str, ...]:
    released, (seconds, gpu) = entry.released or {}, entry.released_time or (float("nan"), "V100")
    return (
        f"`{entry.name}`",
        _ap(released, "box"),
        _ap(released, "mask"),
        str(released.get("pq", "–")),
        f"{seconds:.3f}" if gpu == "V100" else f"{seconds:.3f} ({gpu})",
        str(released.get("params_m", "–")),
        entry.licence,
        f"{entry.params_m:.1f}",
        f"{entry.backbone_fpn_params_m:.1f}",
    )


def _ap(released: Mapping[str, Any], kind: str) -> str:
    if f"{kind}_ap" not in released:
        return "–"
    sizes = [released.get(f"{kind}_ap_{size}") for size in ("small", "medium", "large")]
    by_size = f" ({' / '.join(map(str, sizes))})" if all(sizes) else ""
    return f"{released[f'{kind}_ap']}{by_size}"


if __name__ == "__main__":
    print(demo_table(), table(), "\n".join(f"- {remark}" for remark in remarks()), sep="\n\n")
