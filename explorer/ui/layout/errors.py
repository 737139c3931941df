"""The tab of errors: what models miss on annotated images, and where each missed object was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from explorer.figures.words import waiting
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.scoring.protocols import COCO, IOU_THRESHOLDS, protocol_of
from explorer.text import in_markdown, legible
from explorer.ui.actions.errors import (
    IMAGES,
    SIZE_BINS,
    USUAL_IMAGES,
    Examination,
    annotated_images,
    examine,
    explain_miss,
)
from explorer.ui.actions.opening import recorded_examination
from explorer.ui.examples import opening
from explorer.ui.layout.intake import only_uploads
from explorer.ui.layout.plots import NARROW_PX, zoomable
from explorer.ui.layout.session import LONG, SHORT, Desk, explained
from explorer.ui.tables import html_table
from explorer.ui.words import MISSES, MODEL

if TYPE_CHECKING:
    from explorer.report.tables import Grid

_SAYS = """Which objects do the selected models miss on annotated images, and which stage of the detector loses them?
Intervals are 95 % confidence intervals over images, given for at least ten images with such objects. *Verify* relaxes,
for each lost object, only the stage that lost it, and counts the objects that then pass it."""
_AERIAL = "generated aerial scenes"
_AERIAL_INFO = "Generated scenes are new to the demo models: none of them was used in training."
_UPLOAD = """A zip archive with annotations and images in any format that `explorer data check` reads, such as COCO. It
is unpacked within limits, checked, and deleted when the page is closed. To use a folder, start the page with `python
app.py --data FOLDER`."""
_MISSES = """**The most informative misses** for each reason; the object is green. Click one to see the boxes that
decided its outcome: the anchor or location, its proposal or regressed box, the box that suppressed it, and the
detections."""
_RECORDED = """These results were recorded: the models that the page opens with, on forty generated scenes. Everything
below can be clicked. **Examine** runs the selected models on the selected data set."""
_NOTHING_YET = """Press Examine to start; 40 images take about 20 seconds. This will show:
AP by size with intervals · the most costly types of errors
the stage that lost each missed object · the most informative misses"""
_NO_MISS_YET = "Click a miss."
_OWN_SCORE = "at precision 0.5"
"""The score of a rule that leaves it to each model."""
_SCORES = [round(0.05 * step, 2) for step in range(1, 20)]


def errors_tab(desk: Desk, models: gr.Dropdown, width: gr.Number, tab: gr.Tab, *, uploads: bool = False) -> None:
    """Lays out the tab, which opens on a recorded examination of the models that the page opens with."""
    examination = gr.State(None, time_to_live=3600)
    gr.Markdown(_SAYS)
    given = desk.models.protocol
    data, bins, known = _data_controls(desk, uploads=uploads)
    with gr.Row(equal_height=True):
        images = gr.Dropdown(list(IMAGES), value=USUAL_IMAGES, label="Images", min_width=120)
        levels = [round(level, 2) for level in IOU_THRESHOLDS]
        iou = gr.Dropdown(levels, value=FOUND.iou, label="Found from IoU", min_width=120)
        score = gr.Dropdown([_OWN_SCORE, *_SCORES], value=_OWN_SCORE, label="Found from score", scale=2, min_width=220)
        verify = gr.Checkbox(False, label="Verify", min_width=90)
        run = gr.Button("Examine", variant="primary", scale=0, min_width=120)
        stop = gr.Button("Stop", elem_classes="stop", scale=0, min_width=120)
    recorded = gr.Markdown(_RECORDED, visible=False, elem_classes="faint")
    table = gr.HTML(visible=False, elem_classes="results", padding=False)
    sizes = gr.Plot(waiting(_NOTHING_YET), label="AP by object size with 95 % intervals", show_label=False)
    with gr.Column(visible=False) as results:
        types = gr.Plot(label="Gain in AP from fixing each error type", show_label=False, visible=False)
        name = gr.Dropdown([], label=MODEL)
        rule = gr.Markdown()
        flow = gr.Plot(label="Where objects are lost", show_label=False, visible=False)
        fates = gr.HTML(elem_classes="results", padding=False)
        confused = gr.Plot(label="Confusion matrix", show_label=False, visible=False)
        curves = gr.Plot(label="Precision and recall by size", show_label=False, visible=False)
        by_class = gr.HTML(elem_classes="results", padding=False)
        gr.Markdown(_MISSES)
        gallery = gr.Gallery(
            label=MISSES,
            columns=6,
            format="jpeg",
            height="auto",
            object_fit="contain",
            allow_preview=False,
            buttons=[],
            elem_classes=["captioned", "misses"],
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
        tell = desk.telling(bar, request)
        wanted, protocol = _rule(least_iou, least_score), given if sized == given.name else protocol_of(sized)
        truth = annotated_images(sources.get(chosen, desk.data), int(most), tell)
        found = examine(desk.models_for_long, names, truth, tell, found=wanted, verify=check, protocol=protocol)
        return found, gr.Markdown(visible=False), *_overview(found, wide)

    @explained
    def open_on_record(
        known: Examination | None,
        names: list[str],
        chosen: str,
        sized: str,
        wide: float,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        """Shows the record where nothing has been examined and it is of what is chosen."""
        if known or (tuple(names), chosen, sized, given) != (opening().models, _AERIAL, COCO.name, COCO):
            return [gr.skip()] * (len(answers) + len(looked))
        found = recorded_examination(desk.telling(bar, request))
        overview = found, gr.Markdown(visible=True), *_overview(found, wide)
        return *overview, *_inside(found, found.names[0], wide)

    @explained
    def judge_again(found: Examination | None, least_score: float | str) -> Any:
        if found is None:
            return gr.skip()
        return found.judged(_rule(found.analyses[0].point.iou, least_score))

    def look_into(found: Examination | None, model: str | None, wide: float) -> Any:
        if found is None or model not in found.names:
            return [gr.skip()] * len(looked)
        return _inside(found, model, wide)

    @explained
    def explain(found: Examination | None, model: str | None, event: gr.SelectData) -> Any:
        from explorer.figures.explain import explained as drawn

        if found is None or model is None:
            return gr.skip(), gr.skip()
        story = explain_miss(desk.models_for_long, found, model, int(event.index))
        _, title = found.crop(model, int(event.index))
        said = [f"**{in_markdown(title)}**", "", *(f"- {in_markdown(sentence)}" for sentence in story.sentences)]
        return zoomable(drawn(story)), "\n".join(said)

    looked = [rule, flow, fates, confused, curves, by_class, gallery, drawing, story]
    answers = [examination, recorded, table, sizes, types, name, results]
    inputs = [models, data, bins, known, images, iou, score, verify, width]
    asked = run.click(examine_models, inputs, answers, show_progress_on=sizes, api_visibility="private", **LONG)
    asked.then(look_into, [examination, name, width], looked, api_visibility="private")
    tab.select(
        open_on_record,
        [examination, models, data, bins, width],
        [*answers, *looked],
        show_progress_on=sizes,
        api_visibility="private",
        **SHORT,
    )
    judged = score.input(judge_again, [examination, score], examination, api_visibility="private")
    judged.then(look_into, [examination, name, width], looked, api_visibility="private")
    name.input(look_into, [examination, name, width], looked, api_visibility="private")
    gallery.select(
        explain, [examination, name], [drawing, story], show_progress_on=drawing, api_visibility="private", **SHORT
    )
    stop.click(desk.stop, queue=False, api_visibility="private")


def _overview(found: Examination, wide: float) -> tuple[Any, ...]:
    """Tables and figures of all models, then those to choose from."""
    from explorer.figures.errors import ap_by_size, error_types

    gains = {analysis.run.name: analysis.gains for analysis in found.analyses}
    return (
        gr.update(value=_tables(*found.tables()), visible=True),
        ap_by_size([analysis.resamples for analysis in found.analyses], upright=wide < NARROW_PX),
        gr.update(value=error_types(gains, columns=1 if wide < NARROW_PX else 4), visible=True),
        gr.update(choices=[(legible(name), name) for name in found.names], value=found.names[0]),
        gr.update(visible=True),
    )


def _inside(found: Examination, model: str, wide: float) -> tuple[Any, ...]:
    """What one model misses and where it is lost, and the most informative misses."""
    from explorer.figures.autopsy import autopsy_flow
    from explorer.figures.curves import confusion_matrix, precision_recall
    from explorer.report.tables import class_grid, fate_grid, verification_grid
    from explorer.report.words import autopsy_sentences, found_sentence

    analysis = found.analyses[found.names.index(model)]
    followed = analysis.autopsy
    sizes = analysis.matches.protocol.sizes
    figure = autopsy_flow(followed, sizes, width_px=int(wide)) if followed else None
    outcomes = [("Outcome of all objects", fate_grid(analysis))]
    if followed and followed.verification:
        outcomes.append(("Verification: only the losing stage relaxed", verification_grid(followed)))
    crops = [found.crop(model, number) for number in range(len(found.misses[model]))]
    says = (found_sentence(analysis.point), *analysis.notes, *(autopsy_sentences(followed) if followed else ()))
    return (
        " ".join(map(in_markdown, says)),
        gr.update(value=figure, visible=figure is not None),
        _tables(*outcomes),
        gr.update(value=confusion_matrix(analysis.confusion), visible=True),
        gr.update(value=precision_recall(analysis.curves), visible=True),
        _tables(("AP in percent by class and size", class_grid(analysis))),
        gr.update(value=crops, selected_index=None),
        waiting(_NO_MISS_YET),
        "",
    )


def _tables(*titled: tuple[str, Grid]) -> str:
    """Lays tables out one below the other."""
    return "".join(html_table(grid.head, grid.rows, caption=title, bold=grid.sure) for title, grid in titled)


def _rule(iou: float, score: float | str) -> FoundRule:
    """What counts as found by what is chosen."""
    return FoundRule(iou, None if score == _OWN_SCORE else float(score))


def _data_controls(desk: Desk, *, uploads: bool) -> tuple[gr.Dropdown, gr.Dropdown, gr.State]:
    """Lays out the data set, its size bins, and where data sets that were handed over are."""
    known, at_start = gr.State({}, time_to_live=3600), _at_start(desk)
    given, benchmarks = desk.models.protocol, list(SIZE_BINS)
    if given.name not in (name for _, name in benchmarks):
        benchmarks.insert(0, (f"sides between {given.name.replace(',', ', ')} px", given.name))
    with gr.Row(equal_height=True):
        data = gr.Dropdown(
            [at_start],
            value=at_start,
            label="Data set",
            info=None if desk.data else _AERIAL_INFO,
            interactive=True,
            min_width=300,
        )
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
    return data, bins, known


def _at_start(desk: Desk) -> str:
    """What to call the data set that the page starts with."""
    given = desk.models.data
    return given.name if given else _AERIAL


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
        return gr.Dropdown(choices=[_at_start(desk), *sources], value=list(sources)[-1]), sources, None

    add.click(take, [file, known], [data, known, file], api_visibility="private", **SHORT)
