"""The words and tables of docs/results/accuracy.md, from what `tools/zoo.py` measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, variance
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
    blocks = TEXT.rstrip().format(**words).split("\n\n")
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
        f"Seeds of one backbone lie up to {overall:.1f} points of AP apart ({name}), on small objects {small:.1f} "
        f"({name_small}). One training's standard deviation, over all backbones, is {deviation:.1f} points of AP and "
        f"{deviation_small:.1f} on small objects: what is of one seed below, ablations and necks, may be luck of "
        "that size."
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
    rest = f" Of the other {left}, nothing is claimed." if left and settled else ""
    rest += f" Intervals are not corrected for the number of pairs, {len(pairs)}." if len(pairs) > 3 else ""
    figure = "AP on small objects" if label == "APs" else LABELS[label]
    return f"Pairs whose interval of {figure} excludes zero: {said}.{rest}"


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
([recipes](../../configs/aerial)). Made by `make zoo`, but that the teacher's weights were those from which the shipped
ones were rounded to bytes (0.4 points of AP better); all figures are in [accuracy.json](accuracy.json).

Scenes: `explorer data make aerial`, {scenes}. Lengths and learning rates were chosen on other scenes (those of the
[models' cards](../models.md)); nothing was chosen on these.
COCO's figures in percent. Each backbone was trained with {seeds_each} [seeds](#seeds): figures are their mean, and 95 %
intervals are over images (paired bootstrap, 1,000 resamples) and seeds (Student's t, with the degrees of freedom of
Welch and Satterthwaite). Ablations and necks are of one seed, their intervals over images alone.

## Test scenes

{test_images} images, {test_objects} objects.

{test}

{claims}

## Against MobileNetV2

{to_mobilenet}

## Against R-50

{to_r50}

## Seeds

Another seed gives other initial weights, another order of the data and other crops. The same seed gives the same bits:
V-19-slim-dw, trained twice on one core, had equal losses, and equal weights and figures after its 500 iterations.

{seeds}

{luck}

## What made V2 of V1

V-39 under the same budget, of the first seed: VoVNet-V1, with identity mapping, and with eSE too, which is VoVNet-V2.
(V-19 has one block a stage, so that identity mapping has nothing to connect.)

{ablations}

{to_v2}

{claims_v2}

## FPNLite or FPN

The release's FPNLite has 128 channels where its FPN has 256. Both start from the teacher's trained V-19-slim-dw and new
necks and proposal heads, and have no teacher, whose pyramid has 64.

{necks}

{to_lite}

{claims_necks}

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

The teacher learnt from boxes alone and far longer; Mask R-CNN, CenterMask and Panoptic FPN started from its weights,
with new heads. CenterMask had 1,450 iterations where the other two had 400, and was taken up three times with another
length of its schedule, so that `make zoo` gives other weights. Its masks are ranked by their own scores.

## What this does not say

- A teacher of one architecture may suit those like it; that it is a VoVNet may be part of MobileNetV2's distance. From
  nothing and without a teacher, 1,000 iterations tell another order of the VoVNets, at a fifth of the accuracy:
  [small objects under equal training](small-objects.md). With 800 iterations more, which is what the package ships,
  MobileNetV2 comes to what V-19-slim has: it learns more slowly, and this says nothing of where it ends.
- V-57 and V-99 are not trained, for lack of time on two cores; nor are other seeds of the ablations and the necks,
  whose differences are of one seed each.
- Procedural scenes, not photographs.
"""
