"""The words and tables of docs/results/accuracy.md, from what `tools/zoo.py` measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from speed_page import as_table

from explorer.report.words import interval_words

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "accuracy.md"
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
        "against_r50": against_r50(backbones),
        "iterations": known["iterations"],
        "scenes": ", ".join(f"{name} `--images {n} --seed {seed}`" for name, (n, seed) in known["scenes"].items()),
        "claims": claims(backbones["pairs"]),
        "costs": costs(known),
        "others": others(known["alone"]),
        "device": known["hardware"]["device"],
        "threads": known["times"]["threads"],
        "rounds": known["times"]["rounds"],
    }
    blocks = TEXT.format(**words).split("\n\n")
    return "\n\n".join(block if block.startswith(("|", "-", "#", "!")) else _filled(block) for block in blocks) + "\n"


def _filled(block: str) -> str:
    return fill(block, 120, break_on_hyphens=False)


def figures(group: Document) -> str:
    """AP by size with intervals, one row per backbone, best AP first."""
    ordered = sorted(group["rows"].items(), key=lambda row: -row[1]["AP"][0])
    lines = [(name, *(interval_words(*row[label]) for label in LABELS)) for name, row in ordered]
    return as_table(("backbone", *LABELS.values()), lines)


def differences(group: Document, basis: str) -> str:
    """Each backbone minus one of them, with intervals."""
    lines = []
    for pair in group["pairs"]:
        if basis not in (pair["a"], pair["b"]):
            continue
        sign = 1 if pair["a"] == basis else -1
        cells = []
        for label in LABELS:
            value, low, high, _ = (sign * number for number in pair[label])
            cells.append(interval_words(value, min(low, high), max(low, high), signed=True))
        lines.append((pair["b"] if sign > 0 else pair["a"], *cells))
    return as_table((f"minus {basis}", *(f"Δ {words}" for words in LABELS.values())), lines)


def against_r50(group: Document) -> str:
    """The same against R-50, where it was trained."""
    if "R-50" not in group["rows"]:
        return "R-50 has not been trained under this budget: its row waits."
    return f"## Against R-50\n\n{differences(group, 'R-50')}"


def claims(pairs: Sequence[Document]) -> str:
    """What may be said of small objects: the pairs whose intervals exclude zero, and how many do not."""
    settled = []
    for pair in pairs:
        value, low, high, _ = pair["APs"]
        if low > 0 or high < 0:
            better, worse = (pair["b"], pair["a"]) if value > 0 else (pair["a"], pair["b"])
            settled.append(f"{better} over {worse} by {abs(value):.1f}")
    left = len(pairs) - len(settled)
    said = "; ".join(settled) or "none"
    rest = f" For the other {left}, nothing is claimed." if left else " Those are all pairs."
    return f"Pairs whose interval for small objects excludes zero: {said}.{rest}"


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
TEXT = """# Accuracy of the demo zoo

Which backbone sees small objects, when everything else is equal? Faster R-CNN with a 64-channel FPN and anchors from
16 px on procedural aerial scenes. Every backbone starts from nothing and has the same {iterations} iterations of 4
crops of 256×320 px, in the same order, with the same optimiser; neck and heads start from one trained detector (the
teacher, V-19-slim-dw), whose maps the backbone learns to give while it learns from boxes
([recipes](../../configs/aerial)). Made by `make zoo`; all figures are in [accuracy.json](accuracy.json).

Scenes: `explorer data make aerial`, {scenes}. Lengths and learning rates were chosen on other scenes (those of the
[models' cards](../../README.md#models)); these were looked at once.
COCO's figures in percent, with 95 % intervals over the images (paired bootstrap, 1,000 resamples). One seed each: the
intervals say nothing of the luck of training.

## Test scenes

{test_images} images, {test_objects} objects.

{test}

{claims}

## Against MobileNetV2

{to_mobilenet}

{against_r50}

## What it costs

{costs}

One photo of 480×640 px through the whole detector on {threads} cores of {device}, {rounds} interleaved rounds; 95 %
intervals of the median ratio.

![AP of small objects against time](accuracy-pareto.png)

## Learning

![Loss by iteration](accuracy-curves.png)

The loss includes the distance from the teacher's maps.

## Other detectors

{others}

The teacher learnt from boxes alone and far longer; Mask R-CNN and Panoptic FPN started from its weights, with new
heads.

## What this does not say

- A teacher of one architecture may suit those like it; that it is a VoVNet may be part of MobileNetV2's distance. From
  nothing and without a teacher, 1,000 iterations tell another order of the VoVNets, at a fifth of the accuracy:
  [small objects under equal training](small-objects.md). With 800 iterations more, which is what the package ships,
  MobileNetV2 comes to what V-19-slim has: it learns more slowly, and this says nothing of where it ends.
- One seed each. R-50, V-39, V-57 and a second V-19-slim-dw under this budget, ablations of identity and eSE, and
  FPNLite against FPN are not trained yet, for lack of time on two cores.
- Procedural scenes, not photographs.
"""
