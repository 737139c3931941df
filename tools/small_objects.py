r"""Compares evaluated runs on small objects with the first one, and writes docs/results/small-objects.{json,md}.

    for model in Mv2 V_19_slim_dw V_19_slim V_19_dw V_19; do
        explorer train --config-file configs/aerial/faster_rcnn_$model.yaml OUTPUT_DIR output/$model \
            SOLVER.TEACHER.NAME "" SOLVER.MAX_ITER 1000 INPUT.CROP.SIZE [240,320] INPUT.CROP.AROUND_OBJECT False \
            INPUT.MIN_SIZE_TRAIN "(208,240,272)"
        explorer evaluate configs/aerial/faster_rcnn_$model.yaml --weights output/$model/model_final.pth \
            --data aerial:val --out runs/$model
        explorer autopsy runs/$model
    done
    python tools/small_objects.py runs/Mv2 runs/V_19_slim_dw runs/V_19_slim runs/V_19_dw runs/V_19

The tables of the page are generated from the runs. Its text in `templates/small-objects.md.j2` quotes figures: check it
after every new run.
"""

from __future__ import annotations

import argparse

from pages import RESULTS, as_table, rendered

import explorer as ex
from explorer.autopsy.result import Autopsy
from explorer.autopsy.verdicts import Verdict
from explorer.errors.compare import Comparison
from explorer.report.words import interval_words
from explorer.writing import write_json

PREFIX = "faster_rcnn_"


def main() -> None:
    """Reads the runs and writes the page."""
    parser = argparse.ArgumentParser(description="Compare evaluated runs on small objects with the first one.")
    parser.add_argument("runs", nargs="+", help="folders written by explorer evaluate --out and explorer autopsy")
    report = ex.compare(*parser.parse_args().runs)
    comparison, document = report.comparison, report.to_dict()
    document["pairs"] = [pair for pair in document["pairs"] if pair["a"] == comparison.names[0]]
    for run in document["runs"]:
        del run["by_class"]
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(document, RESULTS / "small-objects.json", indent=1)
    words = {
        "figures": figures(comparison),
        "differences": differences(comparison),
        "found": found(comparison),
        "verdicts": verdicts([analysis.autopsy for analysis in report.analyses if analysis.autopsy]),
    }
    (RESULTS / "small-objects.md").write_text(rendered("small-objects", **words))


def named(name: str) -> str:
    """A run's backbone, from its config's name."""
    return name.removeprefix(PREFIX).replace("_", "-").replace("Mv2", "MobileNetV2")


def figures(comparison: Comparison) -> str:
    """AP by size with intervals, one row per run."""
    lines = []
    columns = [("AP", 0), ("AP50", 0), ("AP", 1), ("AP", 2), ("AP", 3), ("AR100", 1)]
    for resamples in comparison.resamples:
        given, names = resamples.intervals(), resamples.figures.names
        cells = [
            interval_words(*(float(ends[names.index(name), size]) for ends in (given.value, given.low, given.high)))
            for name, size in columns
        ]
        lines.append((named(resamples.figures.run), *cells))
    head = ("backbone", "AP", "AP50", "AP small", "AP medium", "AP large", "AR100 small")
    return as_table(head, lines, "---")


def differences(comparison: Comparison) -> str:
    """Each run minus the first one, with intervals and p-values."""
    lines = []
    names = comparison.resamples[0].figures.names
    for pair in (pair for pair in comparison.pairs if pair.a == 0):
        points, p = pair.differences.points, pair.differences.p_values

        def cell(name: str, size: int) -> str:
            row = names.index(name)
            ends = (points.value, points.low, points.high)  # noqa: B023 - called at once
            return interval_words(*(float(end[row, size]) for end in ends), signed=True)

        cells = [cell("AP", 0), cell("AP", 1), f"{p[0, 1]:.3f}", cell("AP", 2), cell("AP", 3), cell("AR100", 1)]
        lines.append((named(comparison.names[pair.b]), *cells))
    head = ("backbone", "Δ AP", "Δ AP small", "p", "Δ AP medium", "Δ AP large", "Δ AR100 small")
    return as_table(head, lines, "---")


def found(comparison: Comparison) -> str:
    """Small objects by who finds them, each run against the first one."""
    lines = []
    for pair in (pair for pair in comparison.pairs if pair.a == 0):
        tally = pair.tallies["small", None]
        points = interval_words(tally.recall_difference_points, tally.low_points, tally.high_points, signed=True)
        numbers = (tally.both, tally.only_a, tally.only_b, tally.neither)
        cells = [*(f"{number:,}" for number in numbers), points, f"{tally.mcnemar_p_value:.2g}"]
        lines.append((named(comparison.names[pair.b]), *cells))
    head = ("backbone", "both", "only MobileNetV2", "only it", "neither", "difference, %", "McNemar's p")
    return as_table(head, lines, "---")


def verdicts(autopsies: list[Autopsy]) -> str:
    """Where small objects end, in percent, in the detector's order."""
    small = [autopsy.by_size()[1] for autopsy in autopsies]
    lines = []
    ends: dict[str, tuple[Verdict, ...]] = {
        verdict.label: (verdict,) for verdict in autopsies[0].chain.verdicts if verdict < Verdict.LOW_SCORE
    }
    ends[f"detected, score > {autopsies[0].score_threshold:g}"] = (Verdict.LOW_SCORE, Verdict.FOUND)
    for label, verdicts in ends.items():
        counts = [sum(group.counts[verdict] for verdict in verdicts) for group in small]
        if any(counts):
            shares = (f"{100 * n / group.objects:.1f}" for n, group in zip(counts, small, strict=True))
            lines.append((label, *shares))
    return as_table(("small objects, %", *(named(autopsy.model) for autopsy in autopsies)), lines)


if __name__ == "__main__":
    main()
