"""The first tab: one photo, up to four models, what each sees that another misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.ui.actions.compare import SIZES, Comparison, Filters, compare
from explorer.ui.layout.session import Desk, explained

SIDE_BY_SIDE, STACKED, SLIDER = "side by side", "one below the other", "slider between A and B"
VIEW_FOR_WIDTH = f"() => window.innerWidth < 700 ? '{STACKED}' : '{SIDE_BY_SIDE}'"
"""Script for a browser that chooses how pictures stand on its page."""
_NOTE = "Drag to pan, scroll to zoom: all pictures move together. Point at a box to read what it is."


@dataclass(frozen=True, eq=False)
class CompareTab:
    """The components that other tabs use.

    Attributes:
        comparison: what was found.
        filters: least score, sizes and classes, as inputs.
        view: how the pictures stand.
        ask: runs the models.
        inputs: what it takes.
        outputs: what it gives; the third one is the figure.
    """

    comparison: gr.State
    filters: tuple[Any, ...]
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
    figure = gr.Plot(label="Objects found, one picture per model", show_label=False, elem_classes="pictures")
    slider = gr.ImageSlider(label="Model A, model B", visible=False, interactive=False, elem_classes="pictures")
    gr.Markdown(_NOTE, elem_classes="faint")
    counts = gr.Dataframe(label="Objects by COCO size, and time", interactive=False)
    table = gr.Dataframe(
        label="Who sees what: click a row to zoom every picture to it", interactive=False, max_height=320
    )
    with gr.Row():
        json_file = gr.DownloadButton("Download as COCO JSON", interactive=False)
        png_file = gr.DownloadButton("Download as PNG", interactive=False)

    filters = (least, sizes, classes)
    shown = (figure, slider, counts, table)
    files = (json_file, png_file)

    @explained
    def ask(
        image: str | None,
        names: list[str],
        score: float,
        of_size: list[str],
        of_class: list[str],
        how: str,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        found = compare(desk.models, names, image, desk.telling(bar, request))
        kept = [name for name in of_class if name in found.class_names]
        choices = gr.Dropdown(choices=found.class_names, value=kept)
        return found, choices, *_draw(found, _filters(score, of_size, kept), how)

    def redraw(
        found: Comparison | None, score: float, of_size: list[str], of_class: list[str], how: str
    ) -> Sequence[Any]:
        """Draws what the models already said under other filters; no model runs."""
        if found is None:
            return [gr.skip()] * len(shown)
        return _draw(found, _filters(score, of_size, of_class), how)

    def write(
        found: Comparison | None, score: float, of_size: list[str], of_class: list[str], request: gr.Request
    ) -> Sequence[Any]:
        if found is None:
            return [gr.skip()] * len(files)
        written = found.write(_filters(score, of_size, of_class), desk.folder_of(request))
        return [gr.DownloadButton(value=str(path), interactive=True) for path in written]

    @explained
    def zoom(
        found: Comparison | None,
        score: float,
        of_size: list[str],
        of_class: list[str],
        how: str,
        event: gr.SelectData,
    ) -> Any:
        if found is None or how == SLIDER:
            return gr.skip()
        chosen = _filters(score, of_size, of_class)
        around = found.view_of(chosen, int(event.row_value[0]))
        return found.figure(chosen, around, stacked=how == STACKED)

    outputs = (comparison, classes, *shown)
    inputs = (photo, models, *filters, view)
    for component in (*filters, view):
        component.change(
            redraw,
            [comparison, *filters, view],
            list(shown),
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="always_last",
        )
    table.select(zoom, [comparison, *filters, view], figure, show_progress="hidden", api_visibility="private")
    counts.change(write, [comparison, *filters], list(files), show_progress="hidden", api_visibility="private")
    return CompareTab(comparison, filters, view, ask, inputs, outputs)


def _filters(score: float, sizes: Sequence[str], classes: Sequence[str]) -> Filters:
    return Filters(score, tuple(sizes), tuple(classes))


def _draw(found: Comparison, filters: Filters, how: str) -> list[Any]:
    rows, seen = found.counts(filters), found.who_sees_what(filters)
    two = how == SLIDER and len(found.predictions) > 1
    names = list(found.predictions)
    pictures = (found.picture(names[0], filters), found.picture(names[1], filters)) if two else None
    head = list(seen[0]) if seen else ["#", "found by", "class", "size, px", *found.letters.values()]
    return [
        gr.Plot(visible=False) if two else gr.Plot(value=found.figure(filters, stacked=how == STACKED), visible=True),
        gr.ImageSlider(value=pictures, visible=two),
        gr.Dataframe(value=[list(row.values()) for row in rows], headers=list(rows[0])),
        gr.Dataframe(value=[list(row.values()) for row in seen], headers=head),
    ]
