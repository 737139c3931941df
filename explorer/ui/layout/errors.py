"""The tab of errors: what models miss on annotated images, and where each missed object was lost."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.figures.words import waiting
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import IOU_THRESHOLDS, protocol_of
from explorer.text import in_markdown, legible
from explorer.ui.actions.errors import IMAGES, SIZE_BINS, Examination, annotated_images, examine, explain_miss
from explorer.ui.layout.intake import only_uploads
from explorer.ui.layout.plots import NARROW_PX, zoomable
from explorer.ui.layout.session import LONG, SHORT, Desk, explained

_SAYS = """Which objects do the selected models miss on annotated images, and which stage of the detector loses them?
Intervals are 95 % confidence intervals over images, given for at least ten images with such objects. *Verify* relaxes,
for each lost object, only the stage that lost it, and counts the objects that then pass it."""
_AERIAL = "generated aerial scenes that the demo models were not trained on"
_UPLOAD = """A zip archive with annotations and images in any format that `explorer data check` reads, such as COCO. It
is unpacked within limits, checked, and deleted when the page is closed. To use a folder, start the page with `python
app.py --data FOLDER`."""
_MISSES = """**The most informative misses** for each reason; the object is green. Click one to see the boxes that
decided its outcome: the anchor or location, its proposal or regressed box, the box that suppressed it, and the
detections."""
_NOTHING_YET = """Press Examine to start; 40 images take about 20 seconds. This will show:
AP by size with intervals · the most costly types of errors
the stage that lost each missed object · the most informative misses"""
_NO_MISS_YET = "Click a miss."
_OWN_SCORE = "at precision 0.5"
"""The score of a rule that leaves it to each model."""
_SCORES = [round(0.05 * step, 2) for step in range(1, 20)]


def errors_tab(desk: Desk, models: gr.Dropdown, width: gr.Number, *, uploads: bool = False) -> None:
    """Lays out the tab."""
    examination = gr.State(None, time_to_live=3600)
    gr.Markdown(_SAYS)
    known = gr.State({}, time_to_live=3600)
    at_start = legible(desk.data) if desk.data else _AERIAL
    given = desk.models.protocol
    benchmarks = list(SIZE_BINS)
    if given.name not in (name for _, name in benchmarks):
        benchmarks.insert(0, (f"sides between {given.name.replace(',', ', ')} px", given.name))
    with gr.Row(equal_height=True):
        data = gr.Dropdown([at_start], value=at_start, label="Data set", interactive=True, min_width=300)
        bins = gr.Dropdown(
            benchmarks,
            value=given.name,
            label="Size bins",
            info="A benchmark, whose IoU thresholds and limits count, too, or sides in pixels: 8,16,32",
            allow_custom_value=True,
            interactive=True,
            min_width=300,
        )
    if uploads:
        _own_data(desk, data, known)
    with gr.Row(equal_height=True):
        images = gr.Dropdown(list(IMAGES), value=IMAGES[1], label="Images", min_width=120)
        levels = [round(level, 2) for level in IOU_THRESHOLDS]
        iou = gr.Dropdown(levels, value=FOUND.iou, label="Found from IoU", min_width=120)
        score = gr.Dropdown([_OWN_SCORE, *_SCORES], value=_OWN_SCORE, label="Found from score", scale=2, min_width=220)
        verify = gr.Checkbox(False, label="Verify", min_width=90)
        run = gr.Button("Examine", variant="primary", scale=0, min_width=120)
        stop = gr.Button("Stop", elem_classes="stop", scale=0, min_width=120)
    table = gr.Dataframe(label="By size, in percent", interactive=False, visible=False, wrap=True)
    difference = gr.Dataframe(label="Difference, in points", interactive=False, visible=False, wrap=True)
    sizes = gr.Plot(waiting(_NOTHING_YET), label="AP by object size with 95 % intervals", show_label=False)
    with gr.Column(visible=False) as results:
        types = gr.Plot(label="Gain in AP from fixing each error type", show_label=False, visible=False)
        name = gr.Dropdown([], label="Model to analyse")
        rule = gr.Markdown()
        flow = gr.Plot(label="Where objects are lost", show_label=False, visible=False)
        fates = gr.Dataframe(label="Outcome of all objects", interactive=False, visible=False, wrap=True)
        verified = gr.Dataframe(
            label="Verification: only the losing stage relaxed", interactive=False, visible=False, wrap=True
        )
        confused = gr.Plot(label="Confusion matrix", show_label=False, visible=False)
        curves = gr.Plot(label="Precision and recall by size", show_label=False, visible=False)
        by_class = gr.Dataframe(label="AP in percent by class and size", interactive=False, visible=False, wrap=True)
        gr.Markdown(_MISSES)
        gallery = gr.Gallery(
            label="Most informative misses",
            columns=6,
            height="auto",
            object_fit="contain",
            allow_preview=False,
            buttons=[],
            elem_classes="captioned",
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                drawing = gr.Plot(
                    waiting(_NO_MISS_YET),
                    label="Boxes that decided the outcome",
                    show_label=False,
                    elem_classes="pictures",
                )
            with gr.Column(min_width=240):
                story = gr.Markdown()

    @explained
    def examine_models(
        names: list[str],
        chosen: str,
        sized: str,
        sources: dict[str, str],
        most: int,
        least_iou: float,
        least_score: float | str,
        check: bool,
        wide: float,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        from explorer.figures.errors import ap_by_size, error_types

        tell = desk.telling(bar, request)
        wanted, protocol = _rule(least_iou, least_score), given if sized == given.name else protocol_of(sized)
        truth = annotated_images(sources.get(chosen, desk.data), int(most), tell)
        found = examine(desk.models_for_long, names, truth, tell, found=wanted, verify=check, protocol=protocol)
        (title, by_size), *pairs = [(legible(title), grid.legible()) for title, grid in found.tables()]
        gains = {analysis.run.name: analysis.gains for analysis in found.analyses}
        return (
            found,
            gr.Dataframe(
                value=[list(row) for row in by_size.rows], headers=list(by_size.head), label=title, visible=True
            ),
            gr.Dataframe(
                value=[list(row) for row in pairs[0][1].rows] if pairs else None,
                headers=list(pairs[0][1].head) if pairs else None,
                label=pairs[0][0] if pairs else None,
                visible=bool(pairs),
            ),
            ap_by_size([analysis.resamples for analysis in found.analyses], upright=wide < NARROW_PX),
            gr.Plot(value=error_types(gains, columns=1 if wide < NARROW_PX else 4), visible=True),
            gr.Dropdown(choices=[(legible(name), name) for name in found.names], value=found.names[0]),
            gr.Column(visible=True),
        )

    @explained
    def judge_again(found: Examination | None, least_score: float | str) -> Any:
        if found is None:
            return gr.skip()
        return found.judged(_rule(found.analyses[0].point.iou, least_score))

    def look_into(found: Examination | None, model: str | None, wide: float) -> Any:
        if found is None or model not in found.names:
            return [gr.skip()] * len(looked)
        from explorer.figures.autopsy import autopsy_flow
        from explorer.figures.curves import confusion_matrix, precision_recall
        from explorer.report.tables import class_grid, fate_grid, verification_grid
        from explorer.report.words import autopsy_sentences, found_sentence

        analysis = found.analyses[found.names.index(model)]
        followed = analysis.autopsy
        sizes = analysis.matches.protocol.sizes
        figure = autopsy_flow(followed, sizes, width_px=int(wide)) if followed else None
        grid, classes = fate_grid(analysis), class_grid(analysis).legible()
        crops = [found.crop(model, number) for number in range(len(found.misses[model]))]
        says = (found_sentence(analysis.point), *analysis.notes, *(autopsy_sentences(followed) if followed else ()))
        checked = verification_grid(followed) if followed and followed.verification else None
        return (
            " ".join(map(in_markdown, says)),
            gr.Plot(value=figure, visible=figure is not None),
            gr.Dataframe(value=[list(row) for row in grid.rows], headers=list(grid.head), visible=True),
            gr.Dataframe(
                value=[list(row) for row in checked.rows] if checked else None,
                headers=list(checked.head) if checked else None,
                visible=checked is not None,
            ),
            gr.Plot(value=confusion_matrix(analysis.confusion), visible=True),
            gr.Plot(value=precision_recall(analysis.curves), visible=True),
            gr.Dataframe(value=[list(row) for row in classes.rows], headers=list(classes.head), visible=True),
            gr.Gallery(value=crops, selected_index=None),
            waiting(_NO_MISS_YET),
            "",
        )

    @explained
    def explain(found: Examination | None, model: str | None, event: gr.SelectData) -> Any:
        from explorer.figures.explain import explained as drawn

        if found is None or model is None:
            return gr.skip(), gr.skip()
        story = explain_miss(desk.models_for_long, found, model, int(event.index))
        _, title = found.crop(model, int(event.index))
        said = [f"**{in_markdown(title)}**", "", *(f"- {in_markdown(sentence)}" for sentence in story.sentences)]
        return zoomable(drawn(story)), "\n".join(said)

    looked = [rule, flow, fates, verified, confused, curves, by_class, gallery, drawing, story]
    answers = [examination, table, difference, sizes, types, name, results]
    inputs = [models, data, bins, known, images, iou, score, verify, width]
    asked = run.click(examine_models, inputs, answers, show_progress_on=sizes, api_visibility="private", **LONG)
    asked.then(look_into, [examination, name, width], looked, api_visibility="private")
    judged = score.input(judge_again, [examination, score], examination, api_visibility="private")
    judged.then(look_into, [examination, name, width], looked, api_visibility="private")
    name.input(look_into, [examination, name, width], looked, api_visibility="private")
    gallery.select(
        explain, [examination, name], [drawing, story], show_progress_on=drawing, api_visibility="private", **SHORT
    )
    stop.click(desk.stop, queue=False, api_visibility="private")


def _rule(iou: float, score: float | str) -> FoundRule:
    """What counts as found by what is chosen."""
    return FoundRule(iou, None if score == _OWN_SCORE else float(score))


def _own_data(desk: Desk, data: gr.Dropdown, known: gr.State) -> None:
    """The box in which a data set is handed over."""
    with gr.Accordion("Your own data set", open=False):
        gr.Markdown(_UPLOAD, elem_classes="faint")
        file = only_uploads(gr.File(label="Zip archive of a data set", file_types=[".zip"], height=120))
        add = gr.Button("Check and use")

    @explained
    def take(
        archive: str | None,
        before: dict[str, str],
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        sources = {**before, **desk.take_data(archive, request, desk.telling(bar, request))}
        at_start = legible(desk.data) if desk.data else _AERIAL
        return gr.Dropdown(choices=[at_start, *sources], value=list(sources)[-1]), sources, None

    add.click(take, [file, known], [data, known, file], api_visibility="private", **SHORT)
