"""Reports as JSON, and as COCO annotations with the outcome of each object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.autopsy.result import Verification
from explorer.engine.artifacts import provenance
from explorer.errors.bootstrap import TOO_FEW, Interval
from explorer.errors.compare import Comparison, Pair
from explorer.errors.oracles import Gains
from explorer.errors.paired import OUTCOMES, FoundBy
from explorer.errors.seeds import SeedComparison
from explorer.errors.taxonomy import ErrorType
from explorer.report.analysis import RunAnalysis
from explorer.report.curves import confusion_document
from explorer.report.fates import fates_of
from explorer.report.scores import scores_document
from explorer.report.suspects import SHOWN, suspect_rows
from explorer.scoring.columns import Run, Truth
from explorer.scoring.matching import NOBODY
from explorer.scoring.metrics import Figures
from explorer.scoring.outcomes import found_by
from explorer.types import Array

if TYPE_CHECKING:
    from explorer.errors.improve import Help

Json = dict[str, Any]


def run_document(analysis: RunAnalysis) -> Json:
    """Returns one run's report: figures in percent by size bin with intervals, by class, error counts and gains.

    `facts` are the run's, of `run.json`; beside them stands what made the report.
    """
    return _run(analysis) | provenance()


def _run(analysis: RunAnalysis) -> Json:
    figures, given = analysis.resamples.figures, analysis.resamples.intervals()
    sizes = [size.name for size in figures.bins]
    own_bins, groups = figures.own_bins, analysis.run.truth.groups
    counts, fates = {size.name: analysis.taxonomy.counts(size) for size in own_bins}, fates_of(analysis)
    document: Json = {
        "name": analysis.run.name,
        "task": analysis.matches.task,
        "facts": dict(analysis.run.facts),
        "images": figures.images,
        "objects": dict(zip(sizes, figures.objects.sum(axis=1).tolist(), strict=True)),
        "protocol": figures.protocol.as_facts(),
        "figures": dict(figures.named()),
        "by_size": {name: _by_size(given, row, figures) for row, name in enumerate(figures.names)},
        "by_class": {
            name: {
                figure: dict(zip(sizes, figures.by_class[row, :, column].tolist(), strict=True))
                for row, figure in enumerate(figures.names)
            }
            for column, name in enumerate(figures.class_names)
        },
        "operating_point": vars(analysis.point),
        "fates": {size.name: fates.counts(size) for size in own_bins},
        "errors": {
            size: {kind.label: int(number.sum()) for kind, number in own.items()} for size, own in counts.items()
        },
        "gains_points": {gains.size.name: _gains(gains.alone) for gains in analysis.gains},
        "scores": scores_document(analysis.calibration, analysis.best_scores),
        "confusion": confusion_document(analysis.confusion)["counts"],
        "label_errors": suspect_rows(analysis.run, analysis.label_errors[:SHOWN]),
        "notes": list(analysis.notes),
        "confidence": given.confidence,
        "resamples": analysis.resamples.by_class.shape[-1],
        "seed": analysis.resamples.seed,
        "groups": groups and {"rule": groups.rule, "number": len(groups)},
    }
    if analysis.autopsy is not None:
        document["autopsy"] = {
            group.bin.name: {verdict.name.lower(): number for verdict, number in group.counts.items()}
            for group in analysis.autopsy.by_size(own_bins)
        }
        if analysis.autopsy.verification:
            document["autopsy_verified"] = {
                verdict.name.lower(): _verified(own) for verdict, own in analysis.autopsy.verification.items()
            }
    return document


def _verified(own: Verification) -> Json:
    after = {verdict.name.lower(): number for verdict, number in sorted(own.after.items())}
    return {"lost": own.lost, "confirmed": own.confirmed, "found": own.found, "after": after}


def comparison_document(comparison: Comparison, analyses: tuple[RunAnalysis, ...]) -> Json:
    """Returns a comparison's report: each run's, and of each pair differences by size and objects by who finds them."""
    return {
        "iou": comparison.rule.iou,
        "runs": [_run(analysis) for analysis in analyses],
        "pairs": [_pair(comparison, pair) for pair in comparison.pairs],
        **provenance(),
    }


def seed_document(comparison: SeedComparison, runs: Sequence[Sequence[Run]]) -> Json:
    """Returns what recipes reach over their seeds and how they differ, and what each training reached.

    Args:
        comparison: of recipes.
        runs: those of each recipe, of which `run.json` says where they come from.
    """
    figures = comparison.means[0].figures
    sizes = [size.name for size in figures.bins]
    names = [mean.figures.run for mean in comparison.means]
    recipes = []
    for mean, own in zip(comparison.means, runs, strict=True):
        given = mean.intervals()
        by_size = {name: _by_size(given, row, figures) for row, name in enumerate(figures.names)}
        seeds = [dict(each.named()) for each in mean.each]
        facts = [dict(run.facts) for run in own]
        recipes.append({"name": mean.figures.run, "by_size": by_size, "seeds": seeds, "facts": facts})
    return {
        "task": figures.task,
        "images": figures.images,
        "objects": dict(zip(sizes, figures.objects.sum(axis=1).tolist(), strict=True)),
        "recipes": recipes,
        "pairs": [
            {
                "a": names[a],
                "b": names[b],
                "differences_b_minus_a": _with(
                    figures,
                    given.points,
                    {"p_value": given.p_values, "settled": given.points.excludes_zero, "seed_share": given.seed_shares},
                ),
            }
            for (a, b), given in comparison.pairs.items()
        ],
        "confidence": comparison.means[0].intervals().confidence,
        "resamples": comparison.means[0].images.by_class.shape[-1],
        "seed": comparison.means[0].images.seed,
        **provenance(),
    }


def help_document(ways: Sequence[Help]) -> Json:
    """Returns what each way of using a detector gives: its figures, differences to the first, and time ratios."""
    results = []
    for way in ways:
        figures = way.resamples.figures
        low, middle, high = way.time_quartiles()
        results.append(
            {
                "name": way.name,
                "says": way.says,
                "detections": way.detections,
                "by_size": {
                    n: _by_size(way.resamples.intervals(), row, figures) for row, n in enumerate(figures.names)
                },
                "difference": {
                    n: _by_size(way.differences.points, row, figures) for row, n in enumerate(figures.names)
                },
                "median_s": float(np.median(way.seconds)),
                "time_ratio": {"median": middle, "low": low, "high": high},
            }
        )
    resamples = ways[0].resamples
    return {
        "images": resamples.figures.images,
        "results": results,
        "confidence": resamples.intervals().confidence,
        "resamples": resamples.by_class.shape[-1],
        "seed": resamples.seed,
    }


def annotations_with(truth: Truth, columns: Mapping[str, list[Any]]) -> Json:
    """Returns the objects as COCO annotations, each with its outcome, for any tool that reads COCO.

    Args:
        truth: the objects.
        columns: further fields by name, one value per object.
    """
    image_ids, category_ids, ids = (own.tolist() for own in (truth.image_ids, truth.category_ids, truth.ids))
    return {
        "images": [
            {"id": image_id, "file_name": name, "height": height, "width": width}
            for image_id, name, (height, width) in zip(
                image_ids, truth.file_names, truth.image_sizes.tolist(), strict=True
            )
        ],
        "categories": [
            {"id": category, "name": name} for category, name in zip(category_ids, truth.class_names, strict=True)
        ],
        "annotations": [
            {
                "id": ids[row],
                "image_id": image_ids[truth.images[row]],
                "category_id": category_ids[truth.classes[row]],
                "bbox": truth.boxes_xywh[row].tolist(),
                "area": float(truth.areas_px[row]),
                "iscrowd": int(truth.crowds[row]),
                **{name: column[row] for name, column in columns.items()},
            }
            for row in range(len(truth))
        ],
    }


def found_by_columns(comparison: Comparison) -> dict[str, list[Any]]:
    """Returns, for `annotations_with`, the runs that find each object, and with which scores."""
    names = comparison.names
    scores = [np.append(matches.run.found.scores, np.nan) for matches in comparison.matches]
    finders = [
        {
            name: float(own[detection])
            for name, own, detection in zip(names, scores, detections, strict=True)
            if detection >= 0
        }
        for detections in comparison.found_by.T.tolist()
    ]
    return {"found_by": finders}


def fate_columns(analysis: RunAnalysis) -> dict[str, list[Any]]:
    """Returns, for `annotations_with`, whether each object is found, its error type and, by an autopsy, its verdict."""
    columns: dict[str, list[Any]] = {
        "found": (found_by(analysis.matches, analysis.point) != NOBODY).tolist(),
        "error_type": [ErrorType(kind).label for kind in analysis.taxonomy.object_types.tolist()],
    }
    if analysis.autopsy is not None:
        columns["verdict"] = [finding.verdict.name.lower() for finding in analysis.autopsy.findings]
        columns["fpn_level"] = [analysis.autopsy.level_names[f.fpn_level] for f in analysis.autopsy.findings]
    return columns


def _pair(comparison: Comparison, pair: Pair) -> Json:
    given, figures = pair.differences, comparison.resamples[0].figures
    more = {"p_value": given.p_values, "settled": given.points.excludes_zero, "more_images": given.more_images}
    return {
        "a": comparison.names[pair.a],
        "b": comparison.names[pair.b],
        "differences_b_minus_a": _with(figures, given.points, more),
        "objects": [_tally(tally, figures.unit) for tally in pair.tallies.values()],
        "outcomes": list(OUTCOMES),
    }


def _with(figures: Figures, points: Interval, columns: Mapping[str, Array]) -> Json:
    """By figure and size: differences with their intervals, and what else is known of them; null for what is not."""
    return {
        name: {
            size: entry | {column: _known(values[row, place].item()) for column, values in columns.items()}
            for place, (size, entry) in enumerate(_by_size(points, row, figures).items())
        }
        for row, name in enumerate(figures.names)
    }


def _by_size(given: Interval, row: int, figures: Figures) -> dict[str, Json]:
    columns = {name: getattr(given, name)[row].tolist() for name in ("value", "low", "high", "objects", "images")}
    return {
        size.name: _interval(
            {name: column[place] for name, column in columns.items()}, bool(given.too_few[row, place]), figures.unit
        )
        for place, size in enumerate(figures.bins)
    }


def _interval(entry: Json, too_few: bool, unit: str) -> Json:
    """Null for what is not known, and why there is a figure and no interval; groups are counted as such."""
    known = {unit if name == "images" else name: _known(value) for name, value in entry.items()}
    return known | ({"no_interval": TOO_FEW.format(unit)} if too_few else {})


def _tally(tally: FoundBy, unit: str) -> Json:
    too_few = bool(tally.objects) and math.isnan(tally.low_points)
    return _interval(vars(tally) | {"objects": tally.objects}, too_few, unit)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _gains(gains: Gains) -> Json:
    return {"ap50": gains.mean_ap, **gains.mean}
