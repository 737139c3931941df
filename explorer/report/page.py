"""Reports as one self-contained HTML page, which opens offline and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from explorer.errors.compare import Comparison
from explorer.figures.autopsy import autopsy_flow
from explorer.figures.calibration import reliability
from explorer.figures.curves import (
    confusion_matrix,
    precision_recall,
    precision_recall_by_class,
    precision_recall_of_runs,
)
from explorer.figures.errors import ap_by_size, error_types, objects_scatter
from explorer.report.analysis import RunAnalysis
from explorer.report.crops import miss_figure
from explorer.report.curves import confusion_grid
from explorer.report.misses import Miss, telling_misses
from explorer.report.scores import best_score_grid, calibration_grid
from explorer.report.suspects import suspect_grid, suspect_sentence
from explorer.report.tables import (
    Grid,
    class_grid,
    difference_grid,
    fate_grid,
    object_grid,
    size_grid,
    verification_grid,
)
from explorer.report.words import autopsy_sentences, found_sentence
from explorer.scoring.protocols import COCO
from explorer.scoring.resampling import FEWEST_UNITS
from explorer.text import NAME_LENGTH, in_html
from explorer.writing import replacing

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #777; --line: #ddd; --page: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #999; --line: #444; --page: #16181c } }
body { max-width: 1180px; margin: 0 auto; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
       background: var(--page) }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.2rem; margin: 2.5rem 0 .3rem }
h1, h2, p, figcaption { overflow-wrap: anywhere }
.main-svg :is([class*="tick"], .infolayer, .legend) text { fill: var(--ink) !important }
p { max-width: 75ch; margin: .3rem 0 } .faint, figcaption { color: var(--faint) }
.wide { overflow-x: auto } .wide [role="img"] { min-width: 680px }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left } th:first-child { white-space: normal } td.sure { font-weight: 600 }
@media (max-width: 900px) { table { font-size: .82rem } th, td { padding-right: .6rem } }
.misses { display: grid; grid-template-columns: repeat(auto-fill, minmax(216px, 1fr)); gap: 1.2rem; margin-top: 1rem }
figure { margin: 0 } figcaption { font-size: .82rem; line-height: 1.35; margin-top: .3rem }
figcaption b { color: var(--ink) }
.misses svg { width: 100%; display: block; border-radius: 4px } .misses rect { fill: none; stroke-width: 1.6 }
.object { stroke: #009e73 } .nearest { stroke: #d55e00; stroke-dasharray: 4 2 }
.bar { stroke: #fff; stroke-width: 3; paint-order: stroke; filter: drop-shadow(0 0 1px #000) }
.misses text { fill: #fff; font-size: 11px; paint-order: stroke; stroke: #000; stroke-width: 2px }
.key span { margin-right: 1.2rem }
.key i { display: inline-block; width: 1.3em; height: .8em; border: 2px solid; margin-right: .4em }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body>
<h1>{title}</h1>
<p class="faint">{below}</p>
{body}
</body>
</html>
"""
_CONFIG = {"displaylogo": False, "responsive": True}


class _Body:
    """The sections of a page, plotly.js written once, with the first figure."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._figures = 0

    def section(self, title: str, text: str = "") -> None:
        self._parts.append(f"<h2>{in_html(title)}</h2>" + (f"<p>{text}</p>" if text else ""))

    def text(self, words: str) -> None:
        if words:
            self._parts.append(f"<p>{in_html(words)}</p>")

    def figure(self, figure: go.Figure, alternative: str, *, wide: bool = False) -> None:
        html = figure.to_html(
            include_plotlyjs=self._figures == 0, full_html=False, config=_CONFIG, div_id=f"figure{self._figures}"
        )
        drawn = f'<div role="img" aria-label="{in_html(alternative)}">{html}</div>'
        self._parts.append(f'<div class="wide">{drawn}</div>' if wide else drawn)
        self._figures += 1

    def grid(self, grid: Grid) -> None:
        lines = ["<tr>" + "".join(f"<th>{in_html(cell, NAME_LENGTH)}</th>" for cell in grid.head) + "</tr>"]
        for place, row in enumerate(grid.rows):
            kind = ' class="sure"' if place in grid.sure else ""
            lines.append("<tr>" + "".join(f"<td{kind}>{in_html(cell, NAME_LENGTH)}</td>" for cell in row) + "</tr>")
        self._parts.append(f'<div class="wide"><table>{"".join(lines)}</table></div>')

    def misses(self, analysis: RunAnalysis, misses: Sequence[Miss]) -> None:
        self._parts.append(
            '<p class="key faint"><span><i style="border-color:#009e73"></i>the object</span>'
            '<span><i style="border-color:#d55e00;border-style:dashed"></i>the detection closest to it</span></p>'
        )
        figures = "".join(miss_figure(analysis.run.truth, miss) for miss in misses)
        self._parts.append(f'<div class="misses">{figures}</div>' if misses else "<p>No object is missed.</p>")

    def write(self, title: str, below: str, path: Path) -> Path:
        page = _PAGE.format(title=in_html(title), below=in_html(below), style=_STYLE, body="\n".join(self._parts))
        with replacing(path) as scratch:
            scratch.write_text(page, encoding="utf-8")
        return path


def write_run_page(analysis: RunAnalysis, path: Path) -> Path:
    """Writes one run's report: figures by size, error types, the autopsy if there is one, and the misses."""
    body, name = _Body(), analysis.run.name
    _sizes(body, [analysis])
    body.section("By class and size", "Average precision in percent; the number of objects is in parentheses.")
    body.grid(class_grid(analysis))
    _errors(body, [analysis])
    _curves(body, [analysis])
    _confusions(body, [analysis])
    _scores(body, analysis)
    _autopsies(body, [analysis])
    _label_errors(body, [analysis])
    body.section(
        "Most informative misses",
        f"Objects that {in_html(name)} does not find, a few for each reason, near misses first. {_found(analysis)}",
    )
    body.misses(analysis, telling_misses(analysis))
    return body.write(f"{name}: what it finds and what it misses", _about(analysis), path)


def write_comparison_page(comparison: Comparison, analyses: Sequence[RunAnalysis], path: Path) -> Path:
    """Writes a comparison: differences with intervals, who finds which objects, error types, the misses of both."""
    body = _Body()
    _sizes(body, analyses)
    for number, pair in enumerate(comparison.pairs):
        a, b = comparison.names[pair.a], comparison.names[pair.b]
        body.section(
            f"{b} against {a}",
            "Differences of the figures on the same images, in percentage points, with 95 % intervals from paired "
            "resamples of the images. Bold: the interval excludes 0.",
        )
        body.grid(difference_grid(comparison, pair, analyses[0].resamples.figures.main_names))
        sides = zip("AB", (analyses[pair.a], analyses[pair.b]), strict=True)
        rules = " ".join(f"{letter} is {in_html(own.run.name)}. {_found(own)}" for letter, own in sides)
        body.section(
            "Who finds which objects",
            f"{rules} McNemar's test assumes that the objects of an image are independent; the interval and the first "
            "p-value do not.",
        )
        body.grid(object_grid(comparison, pair))
        body.figure(
            objects_scatter(comparison, number),
            f"Each object by its scores from {a} and {b}, coloured by size; dashed lines: the score thresholds above "
            "which it counts as found.",
        )
    _errors(body, analyses)
    _curves(body, analyses)
    _confusions(body, analyses)
    _autopsies(body, analyses)
    _label_errors(body, analyses)
    for place, analysis in enumerate(analyses[:2]):
        rival = analyses[1 - place]
        body.section(
            f"Most informative misses of {analysis.run.name}",
            f"Objects that {in_html(rival.run.name)} finds ({in_html(rival.point.words)}) come first, then near "
            f"misses, a few for each reason. {_found(analysis)}",
        )
        body.misses(analysis, telling_misses(analysis, rival, most=12))
    return body.write(" against ".join(comparison.names), _about(*analyses), path)


def _sizes(body: _Body, analyses: Sequence[RunAnalysis]) -> None:
    units = _units(analyses[0])
    body.section(
        "Figures by size",
        f"By {_whose(analyses[0])} rules: objects of other sizes are ignored. Areas are in pixels. "
        f"Intervals are given if at least {FEWEST_UNITS} {units} contain such objects; resamples of fewer {units} are "
        "too similar.",
    )
    body.grid(size_grid(analyses, analyses[0].resamples.figures.main_names))
    resamples = [analysis.resamples for analysis in analyses]
    body.figure(ap_by_size(resamples), "Average precision by object size with 95 % intervals; see the table above.")


def _whose(analysis: RunAnalysis) -> str:
    protocol = analysis.resamples.figures.protocol
    return "COCO's" if protocol == COCO else f"the protocol's ({in_html(str(protocol))})"


def _errors(body: _Body, analyses: Sequence[RunAnalysis]) -> None:
    body.section(
        "Types of error",
        "How much AP50 would gain if only errors of that type were fixed, for each size separately (TIDE, Bolya et al. "
        "2020). The gains do not add up to 100 − AP50, because each depends on the errors that remain.",
    )
    gains = {analysis.run.name: analysis.gains for analysis in analyses}
    body.figure(error_types(gains), "Gain in AP50 by type of error and object size.")


def _curves(body: _Body, analyses: Sequence[RunAnalysis]) -> None:
    body.section(
        "Precision and recall",
        "At each score threshold: the share of detections that are correct (precision) and the share of objects that "
        "they find (recall). The area under a curve is the average precision at this IoU.",
    )
    curves = {own.run.name: own.curves for own in analyses}
    if len(curves) > 1:
        body.figure(precision_recall_of_runs(curves), "Precision by recall, one line per run; the mean over classes.")
        return
    (alone,) = curves.values()
    body.figure(precision_recall(alone), "Precision by recall, one line per size; the mean over classes.")
    if (alone.objects[0] > 0).sum() > 1:
        body.figure(precision_recall_by_class(alone), "Precision by recall, one line per class.")


def _confusions(body: _Body, analyses: Sequence[RunAnalysis]) -> None:
    for own in analyses:
        body.section(
            f"Confusion matrix{_of(own, analyses)}",
            "Each object is matched to the detection that finds it, otherwise to a detection of another class that "
            f"overlaps it; no detection is used twice. {_found(own)}",
        )
        words = "Objects by annotated and detected class; see the table below."
        body.figure(confusion_matrix(own.confusion), words, wide=True)
        body.grid(confusion_grid(own.confusion))


def _label_errors(body: _Body, analyses: Sequence[RunAnalysis]) -> None:
    for own in analyses:
        if own.label_errors:
            body.section(
                f"Likely label errors{_of(own, analyses, 'by')}",
                "Confident detections that contradict the annotations: missing boxes, wrong classes and inaccurate "
                "boxes, most likely errors first (<code>explorer data suspects</code> lists all of them).",
            )
            body.text(suspect_sentence(own.label_errors))
            body.grid(suspect_grid(own.run, own.label_errors))


def _of(analysis: RunAnalysis, analyses: Sequence[RunAnalysis], word: str = "of") -> str:
    """Says of which run a section is, where there are several."""
    return f", {word} {analysis.run.name}" if len(analyses) > 1 else ""


def _scores(body: _Body, analysis: RunAnalysis) -> None:
    if analysis.calibration is not None:
        body.section(
            "Calibration of the scores",
            "Of the detections with a score of 0.8, 80 % should be correct. D-ECE is the mean difference between score "
            "and precision over all reported detections (Küppers et al. 2020).",
        )
        body.figure(reliability(analysis.calibration), "Share of correct detections by score and size.")
        body.grid(calibration_grid(analysis.calibration))
    body.section(
        "Recommended score threshold",
        "The threshold with the lowest LRP error (oLRP, Oksuz et al. 2021): 0 % for a detector that finds each object "
        "with a perfect box and reports nothing else, and 100 % for one that finds no object. Its parts, in "
        "percent: misfit, the mean 1 − IoU of correct boxes; wrong, the share of detections that are false; missed, "
        "the share of objects that are not found. The best F1 is given beside it; it ignores how well boxes fit. "
        "report.json has both for each class and size.",
    )
    body.grid(best_score_grid(analysis.best_scores))


def _autopsies(body: _Body, analyses: Sequence[RunAnalysis]) -> None:
    for analysis in analyses:
        autopsy, whose = analysis.autopsy, f" of {analysis.run.name}" if len(analyses) > 1 else ""
        if autopsy is not None:
            body.section(
                f"Where objects are lost{whose.replace(' of ', ' in ', 1)}",
                f"The best candidate of each object is traced through the detector: {autopsy.chain.path}. The model "
                f"reports detections above its own score threshold of {autopsy.score_threshold:g}. {_found(analysis)}",
            )
            words = "Outcome of the objects of each size; see the table below."
            body.figure(autopsy_flow(autopsy, analysis.matches.protocol.sizes), words, wide=True)
        else:
            body.section(
                f"Outcome of all objects{whose}",
                f"According to the detections alone. {_found(analysis)} To see at which stage the detector lost an "
                "object, run the model with <code>explorer autopsy</code> (for a results file, name the model with "
                "<code>--model</code>).",
            )
        body.grid(fate_grid(analysis))
        if autopsy is not None:
            body.text(" ".join(autopsy_sentences(autopsy)))
        if autopsy is not None and autopsy.verification:
            body.grid(verification_grid(autopsy))


def _found(analysis: RunAnalysis) -> str:
    return in_html(found_sentence(analysis.point))


def _units(analysis: RunAnalysis) -> str:
    unit = analysis.resamples.figures.unit
    return unit if unit == "images" else f"{unit} of images"


def _about(analysis: RunAnalysis, *others: RunAnalysis) -> str:
    figures, facts = analysis.resamples.figures, analysis.run.facts
    notes = dict.fromkeys(note for own in (analysis, *others) for note in own.notes)
    objects = int(figures.objects[0].sum())
    where = f" of {facts['data']}" if facts.get("data") else ""
    resamples = analysis.resamples.by_class.shape[-1]
    about = (
        f"{figures.images:,} images{where}, {objects:,} objects; intervals from {resamples:,} resamples of the "
        f"{_units(analysis)}."
    )
    return " ".join([about, *notes])
