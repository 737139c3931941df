"""The first tab: one photo, up to four models, what each sees that another misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.figures.words import waiting
from explorer.text import in_html
from explorer.types import SIZES
from explorer.ui.actions.compare import WIDTH_PX, Comparison, Filters, compare
from explorer.ui.layout.plots import zoomable
from explorer.ui.layout.session import Desk, explained

SIDE_BY_SIDE, STACKED, SLIDER = "side by side", "one below the other", "slider between A and B"
MEASURE = f"""() => {{
    const width = Math.round(document.querySelector('.pictures')?.clientWidth || {WIDTH_PX});
    return [width, width < 600 ? '{STACKED}' : '{SIDE_BY_SIDE}'];
}}"""
"""Script for a browser: how wide pictures can be on its page, and how they had better stand there."""
_NOTHING_YET = "Click an example, or drop a photo of your own."
_COUNTS_HEAD = ["", "model", "objects", *SIZES]
_TABLE_HEAD = ["#", "seen by", "class", "size, px"]
_NOTE = "Drag to pan, scroll to zoom: all pictures move together. Point at a box to read what it is."


@dataclass(frozen=True, eq=False)
class CompareTab:
    """The components that other tabs use.

    Attributes:
        comparison: what was found.
        filters: least score, sizes and classes, as inputs.
        width: how wide pictures can be, in pixels.
        view: how the pictures stand.
        ask: runs the models.
        inputs: what it takes.
        outputs: what it gives; the third one is the figure.
    """

    comparison: gr.State
    filters: tuple[Any, ...]
    width: gr.Number
    view: gr.Radio
    ask: Callable[..., Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


def compare_tab(desk: Desk, photo: gr.Image, models: gr.Dropdown) -> CompareTab:
    """Lays out the tab."""
    comparison = gr.State(None, time_to_live=3600)
    with gr.Row(equal_height=True):
        least = gr.Slider(0.05, 1.0, 0.5, step=0.05, label="Least score to show", min_width=260)
        classes = gr.Dropdown([], value=[], multiselect=True, label="Classes to show (all if none)", min_width=260)
    with gr.Row(equal_height=True):
        sizes = gr.CheckboxGroup(list(SIZES), value=list(SIZES), label="Sizes to show (COCO)", min_width=260)
        view = gr.Radio([SIDE_BY_SIDE, STACKED, SLIDER], value=SIDE_BY_SIDE, label="Pictures", min_width=260)
    width = gr.Number(WIDTH_PX, visible=False)
    figure = gr.Plot(
        waiting(_NOTHING_YET), label="Objects found, one picture per model", show_label=False, elem_classes="pictures"
    )
    slider = gr.ImageSlider(label="Model A, model B", visible=False, interactive=False, elem_classes="pictures")
    gr.Markdown(_NOTE, elem_classes="faint")
    counts = gr.Dataframe(headers=_COUNTS_HEAD, label="Objects by COCO size, and time", interactive=False)
    table = gr.Dataframe(
        headers=_TABLE_HEAD,
        label="Who sees what: click a row to zoom every picture to it",
        interactive=False,
        max_height=320,
    )
    with gr.Row():
        json_file = gr.DownloadButton("Download as COCO JSON", interactive=False)
        png_file = gr.DownloadButton("Download as PNG", interactive=False)

    filters = (least, sizes, classes)
    shown = (figure, slider, counts, table)
    files = (json_file, png_file)

    @explained
    def compare_models(
        image: str | None,
        names: list[str],
        score: float,
        of_size: list[str],
        of_class: list[str],
        how: str,
        wide: float,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        found = compare(desk.models, names, image, desk.telling(bar, request))
        for why in found.unavailable.values():
            gr.Warning(in_html(f"{why} It is left out."))
        kept = [name for name in of_class if name in found.class_names]
        choices = gr.Dropdown(choices=found.class_names, value=kept)
        return found, choices, *_draw(found, Filters(score, of_size, kept), how, int(wide))

    def redraw(
        found: Comparison | None, score: float, of_size: list[str], of_class: list[str], how: str, wide: float
    ) -> Sequence[Any]:
        """Draws what the models already said under other filters; no model runs."""
        if found is None:
            return [gr.skip()] * len(shown)
        return _draw(found, Filters(score, of_size, of_class), how, int(wide))

    def write(
        found: Comparison | None, score: float, of_size: list[str], of_class: list[str], request: gr.Request
    ) -> Sequence[Any]:
        if found is None:
            return [gr.skip()] * len(files)
        written = found.write(Filters(score, of_size, of_class), desk.folder_of(request))
        return [gr.DownloadButton(value=str(path), interactive=True) for path in written]

    @explained
    def zoom(
        found: Comparison | None,
        score: float,
        of_size: list[str],
        of_class: list[str],
        how: str,
        wide: float,
        event: gr.SelectData,
    ) -> Any:
        if found is None or how == SLIDER:
            return gr.skip()
        chosen = Filters(score, of_size, of_class)
        around = found.view_of(chosen, int(event.row_value[0]))
        return zoomable(found.figure(chosen, around, stacked=how == STACKED, width_px=int(wide)))

    outputs = (comparison, classes, *shown)
    drawn_by = (*filters, view, width)
    inputs = (photo, models, *drawn_by)
    for component in (*filters, view):
        component.change(
            redraw,
            [comparison, *drawn_by],
            list(shown),
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="always_last",
        )
    table.select(zoom, [comparison, *drawn_by], figure, show_progress="hidden", api_visibility="private")
    counts.change(write, [comparison, *filters], list(files), show_progress="hidden", api_visibility="private")
    return CompareTab(comparison, filters, width, view, compare_models, inputs, outputs)


def _draw(found: Comparison, filters: Filters, how: str, width_px: int) -> list[Any]:
    rows, seen = found.counts(filters), found.who_sees_what(filters)
    two = how == SLIDER and len(found.predictions) > 1
    names = list(found.predictions)
    pictures = (found.picture(names[0], filters), found.picture(names[1], filters)) if two else None
    head = [*_TABLE_HEAD, *found.letters.values()]
    figure = None if two else zoomable(found.figure(filters, stacked=how == STACKED, width_px=width_px))
    return [
        gr.Plot(visible=False) if two else gr.Plot(value=figure, visible=True),
        gr.ImageSlider(value=pictures, visible=two),
        gr.Dataframe(value=[list(row.values()) for row in rows], headers=list(rows[0])),
        gr.Dataframe(value=[list(row.values()) for row in seen], headers=head),
    ]
