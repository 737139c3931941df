"""What a run's scores are worth, as tables: calibration by size, and the score from which to use it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from explorer.errors.calibration import Calibration
from explorer.errors.lrp import BestScores
from explorer.report.tables import Grid
from explorer.report.words import interval_words
from explorer.scoring.metrics import mean_over_classes


def calibration_grid(measured: Calibration) -> Grid:
    """D-ECE by size in percent with its interval, and what it rests on."""
    error = measured.error
    rows = tuple(
        (
            f"{size.name} ({error.objects[place]:,} in {error.images[place]:,})",
            interval_words(float(error.value[place]), float(error.low[place]), float(error.high[place])),
        )
        for place, size in enumerate(measured.sizes)
    )
    return Grid(("(detections in images)", "D-ECE, %"), rows)


def best_score_grid(best: BestScores) -> Grid:
    """The least LRP error, its parts and its score, and the best F1 and its score: means by size, and each class."""
    columns = (best.olrp, best.localisation, best.false_positives, best.false_negatives, best.f1)
    rows = []
    for place, size in enumerate(best.sizes):
        if number := int(best.objects[place].sum()):
            olrp, *parts, f1 = (_percent(float(mean_over_classes(own[place], axis=0))) for own in columns)
            rows.append((f"mean over classes, {size.name} ({number:,})", olrp, "", *parts, f1, ""))
    for row in np.flatnonzero(best.objects[0]).tolist():
        olrp, *parts, f1 = (_percent(float(own[0, row])) for own in columns)
        at, at_f1 = (_score(float(own[0, row])) for own in (best.olrp_score, best.f1_score))
        rows.append((f"{best.class_names[row]} ({best.objects[0, row]:,})", olrp, at, *parts, f1, at_f1))
    head = ("(objects)", "oLRP, %", "from score", "misfit", "wrong", "missed", "best F1, %", "from score")
    return Grid(head, tuple(rows))


def scores_document(measured: Calibration | None, best: BestScores) -> dict[str, Any]:
    """Returns both as plain data, by size and class; None for what is not known."""
    document: dict[str, Any] = {"iou": best.iou, "mean_olrp": {}, "best_scores": {}}
    named = ("olrp", "olrp_score", "localisation", "false_positives", "false_negatives", "f1", "f1_score")
    for place, size in enumerate(best.sizes):
        document["mean_olrp"][size.name] = _known(float(best.mean_olrp[place]))
        document["best_scores"][size.name] = {
            name: {figure: _known(float(getattr(best, figure)[place, row])) for figure in named}
            for row, name in enumerate(best.class_names)
            if best.objects[place, row]
        }
    if measured is not None:
        error = measured.error
        document["calibration"] = {
            size.name: {
                "d_ece": _known(float(error.value[place])),
                "low": _known(float(error.low[place])),
                "high": _known(float(error.high[place])),
                "detections": int(error.objects[place]),
                "images": int(error.images[place]),
                "bins": [
                    {"detections": number, "score": _known(score), "precision": _known(right)}
                    for number, score, right in zip(
                        measured.detections[place].tolist(),
                        measured.scores[place].tolist(),
                        measured.precision[place].tolist(),
                        strict=True,
                    )
                ],
            }
            for place, size in enumerate(measured.sizes)
        }
    return document


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"


def _score(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
