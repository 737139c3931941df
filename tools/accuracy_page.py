"""Generates the tables of docs/results/accuracy.md from the measurements of `tools/zoo.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import Any

from pages import RESULTS, as_table, rendered

from explorer.report.words import interval_words

PAGE = RESULTS / "accuracy.md"
LABELS = {"AP": "AP", "AP50": "AP50", "APs": "AP small", "APm": "AP medium", "APl": "AP large"}
Document = Mapping[str, Any]


def page(known: Document) -> str:
    """Returns the page."""
    backbones = known["compared"]["backbones"]
    words = {
        "test": figures(backbones),
        "test_images": f"{backbones['images']:,}",
        "test_objects": f"{backbones['objects']:,}",
        "to_mobilenet": differences(backbones, "MobileNetV2"),
        "to_r50": differences(backbones, "R-50"),
        "seeds": seeds(known["seeds"]),
        "luck": luck(known["seeds"]),
        "ablations": variants(known, "ablations"),
        "to_v2": differences(known["compared"]["ablations"], "V-39"),
        "claims_v2": claims(known["compared"]["ablations"]["pairs"], "AP"),
        "necks": variants(known, "necks"),
        "to_lite": differences(known["compared"]["necks"], "FPNLite, 128 channels"),
        "claims_necks": claims(known["compared"]["necks"]["pairs"], "AP"),
        "seeds_each": len(next(iter(known["seeds"].values()))["AP"]),
        "iterations": known["iterations"],
        "scenes": ", ".join(f"{name} `--images {n} --seed {seed}`" for name, (n, seed) in known["scenes"].items()),
        "claims": claims(backbones["pairs"], "APs"),
        "costs": costs(known),
        "others": others(known["alone"]),
        "device": known["hardware"]["device"],
        "threads": known["times"]["threads"],
        "rounds": known["times"]["rounds"],
    }
    return rendered("accuracy", **words)


def figures(group: Document) -> str:
    """AP by size with intervals, one row per backbone, best AP first."""
    ordered = sorted(group["rows"].items(), key=lambda row: -row[1]["AP"][0])
    labels = [label for label in LABELS if label in ordered[0][1]]
    lines = [(name, *(interval_words(*row[label]) for label in labels)) for name, row in ordered]
    return as_table(("backbone", *(LABELS[label] for label in labels)), lines)


def differences(group: Document, basis: str) -> str:
    """Each backbone minus one of them, with intervals."""
    lines = []
    labels = [label for label in LABELS if label in group["pairs"][0]]
    for pair in group["pairs"]:
        if basis not in (pair["a"], pair["b"]):
            continue
        sign = 1 if pair["a"] == basis else -1
        cells = []
        for label in labels:
            value, low, high, _ = (sign * number for number in pair[label])
            cells.append(interval_words(value, min(low, high), max(low, high), signed=True))
        lines.append((pair["b"] if sign > 0 else pair["a"], *cells))
    return as_table((f"minus {basis}", *(f"Δ {LABELS[label]}" for label in labels)), lines)


def variants(known: Document, name: str) -> str:
    """One row per variant of a group: what it costs, and its figures."""
    rows = known["compared"][name]["rows"]
    lines = []
    for variant, row in rows.items():
        size = known["sizes"][variant]
        figures = (interval_words(*row[label]) for label in ("AP", "AP50", "APs"))
        lines.append((variant, f"{size['parameters_m']:.1f}", f"{size['gmac']:.1f}", *figures))
    return as_table(("detector", "M parameters", "GMAC", "AP", "AP50", "AP small"), lines)


def seeds(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """AP by seed."""
    lines = []
    for name, own in rows.items():
        cells = []
        for label in ("AP", "APs"):
            values = own[label]
            cells += [" · ".join(f"{value:.1f}" for value in values), f"{fmean(values):.1f}"]
        lines.append((name, *cells))
    return as_table(("backbone", "AP by seed", "mean", "AP small by seed", "mean"), lines)


def luck(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """How far seeds lie apart: the widest, and the standard deviation of one training."""
    words = []
    for label in ("AP", "APs"):
        spans = {name: max(own[label]) - min(own[label]) for name, own in rows.items()}
        widest = max(spans, key=lambda name: spans[name])
        deviation = fmean(variance(own[label]) for own in rows.values()) ** 0.5
        words.append((spans[widest], widest, deviation))
    (overall, name, deviation), (small, name_small, deviation_small) = words
    return (
        f"Seeds of the same backbone differ by up to {overall:.1f} points of AP ({name}), and by up to {small:.1f} on "
        f"small objects ({name_small}). The standard deviation of one training, over all backbones, is "
        f"{deviation:.1f} points of AP and {deviation_small:.1f} on small objects."
    )


def claims(pairs: Sequence[Document], label: str) -> str:
    """What may be said of these trainings: the pairs whose intervals exclude zero, and how many do not."""
    settled = []
    for pair in pairs:
        value, low, high, _ = pair[label]
        if low > 0 or high < 0:
            better, worse = (pair["b"], pair["a"]) if value > 0 else (pair["a"], pair["b"])
            settled.append(f"{better} over {worse} by {abs(value):.1f}")
    left = len(pairs) - len(settled)
    said = "; ".join(settled) or "none"
    rest = f" The other {left} pairs are not settled." if left and settled else ""
    rest += f" Intervals are not corrected for multiple comparisons ({len(pairs)} pairs)." if len(pairs) > 3 else ""
    figure = "AP on small objects" if label == "APs" else LABELS[label]
    return f"Pairs whose interval of the difference in {figure} excludes zero: {said}.{rest}"


def costs(known: Document) -> str:
    """Parameters, multiplications and times."""
    times = known["times"]
    lines = []
    for name, own in times["rows"].items():
        size = known["sizes"][name]
        ratios = [f"{middle:.2f} [{low:.2f}, {high:.2f}]" for middle, low, high in (own[w]["by_first"] for w in WAYS)]
        lines.append((name, f"{size['parameters_m']:.1f}", f"{size['gmac']:.1f}", *ratios))
    first = times["first"]
    return as_table(("backbone", "M parameters", "GMAC", *(f"{words} / {first}'s" for words in WAYS.values())), lines)


WAYS = {"eager": "time, eager", "fast": "time, fast"}


def others(alone: Document) -> str:
    """The detectors that are compared with no other."""
    lines = []
    for name, written in alone.items():
        values = written["values"]
        cells = [f"{values[task][figure]:.1f}" if figure in values.get(task, {}) else "–" for task, figure in _SHOWN]
        lines.append((name, *cells))
    return as_table(("detector", "box AP", "AP50", "AP small", "mask AP", "AP50", "PQ", "mIoU"), lines)


_SHOWN = (
    ("bbox", "AP"),
    ("bbox", "AP50"),
    ("bbox", "APs"),
    ("segm", "AP"),
    ("segm", "AP50"),
    ("panoptic_seg", "PQ"),
    ("sem_seg", "mIoU"),
)
