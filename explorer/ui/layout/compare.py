"""The first tab: one photo, up to four models, what each sees that another misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.figures.words import waiting
from explorer.text import in_html
from explorer.ui.actions.compare import compare
from explorer.ui.actions.comparison import WIDTH_PX, PhotoComparison
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.takeaway import write_files
from explorer.ui.actions.tiles import LABEL, fits_no_tile
from explorer.ui.layout.plots import NARROW_PX, zoomable
from explorer.ui.layout.session import Desk, explained
from explorer.ui.tables import html_table
from explorer.ui.words import MINIMUM_SCORE, called, sizes_of

PICTURES, SLIDER = "one per model", "slider between A and B"
MEASURE = f"() => Math.round(document.querySelector('.pictures')?.clientWidth || {WIDTH_PX})"
"""Script for a browser: how wide pictures can be on its page."""
LEAST_SCORE = 0.5
_NOTHING_YET = "Click an example or drop a photo; the models start immediately."
_TABLE_HEAD = ["#", "seen by", "class", "size, px"]
_MOVE = "Drag to pan and scroll to zoom; all pictures move together. Hover over a box to see its score and size."
_SLIDE = "Drag the line: model A's detections are on the left, model B's on the right."
_TILES = "The photo is processed in overlapping tiles. This finds small objects but takes longer."
_HELP = """- **Pictures**: each class has the same colour for every model. Dotted white outlines mark annotated
  objects, which are known for the generated scenes, the blood cells, and photos of the data set that the page was
  started with (`--data`) or that you uploaded in Errors, recognised by their file name and size.
- **Results from a file** (`--results`) are drawn beside models, for photos of the data set that they are on.
- **Found** counts the annotated objects that a model finds. It has the same meaning in every tab: a detection of the
  object's class with IoU ≥ 0.5 and at least the score of the slider.
- **Time** is that of the whole detector on this machine, at its own input size, after a warm-up run: median, minimum
  and maximum of three runs. Slow models run once.
- **Seen by** groups detections of the same class that overlap with IoU ≥ 0.5. Unless the photo is annotated, this does
  not tell which model is right.
- **Sizes** are those of the protocol that the page was started with (`--sizes`). COCO's are areas below 32² px
  (small), below 96² px (medium), and above (large). Objects below 32² px are magnified."""


@dataclass(frozen=True, eq=False)
class CompareTab:
    """The components that other tabs use.

    Attributes:
        comparison: what was found.
        filters: least score, sizes and classes, as inputs.
        width: how wide pictures can be, in pixels.
        redraw: draws what was found again.
        drawn_by: what it takes.
        shown: what it gives.
        in_tiles: whether a large photo is looked at in tiles.
        ask: runs the models.
        inputs: what it takes.
        outputs: what it gives; the third one is the figure.
        first_photo: what the page opens on.
    """

    comparison: gr.State
    filters: tuple[Any, ...]
    width: gr.Number
    redraw: Callable[..., Any]
    drawn_by: tuple[Any, ...]
    shown: tuple[Any, ...]
    in_tiles: gr.Checkbox
    ask: Callable[..., Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    first_photo: str | None


def compare_tab(desk: Desk, photo: gr.Image, models: gr.Dropdown, first: PhotoComparison | None) -> CompareTab:
    """Lays out the tab, which shows `first` until the models are asked."""
    comparison = gr.State(first, time_to_live=3600)
    protocol = desk.models.protocol
    at_first = _seen(first, Filters(LEAST_SCORE), PICTURES, WIDTH_PX) if first else _NOTHING_SEEN
    warnings = gr.HTML(at_first.warnings, visible=bool(at_first.warnings), elem_classes="warnings")
    figure = gr.Plot(
        at_first.figure,
        label="Objects found, one picture per model",
        show_label=False,
        elem_classes="pictures",
    )
    slider = gr.ImageSlider(label="Model A, model B", visible=False, interactive=False, elem_classes="pictures")
    note = gr.Markdown(_MOVE, elem_classes="faint")
    large = first is not None and fits_no_tile(first.image_size)
    in_tiles = gr.Checkbox(False, label=LABEL, info=_TILES, visible=large)
    with gr.Row(equal_height=True, elem_classes="controls"):
        least = gr.Slider(0.05, 1.0, LEAST_SCORE, step=0.05, label=MINIMUM_SCORE, min_width=210)
        named = list(protocol.size_labels)
        sizes = gr.CheckboxGroup(named, value=named, label=sizes_of(protocol.name), min_width=330, visible=bool(named))
        classes = gr.Dropdown(
            first.class_names if first else [],
            value=[],
            multiselect=True,
            label="Classes (all if none)",
            min_width=190,
        )
        view = gr.Radio([PICTURES, SLIDER], value=PICTURES, label="Pictures", min_width=230)
    width = gr.Number(WIDTH_PX, visible=False)
    counts = gr.HTML(at_first.counts, elem_classes="results", padding=False)
    magnified = gr.Gallery(
        at_first.small,
        label="Small objects, magnified (one square per model); click one to zoom all pictures to it",
        columns=4,
        format="jpeg",
        height="auto",
        object_fit="contain",
        allow_preview=False,
        buttons=[],
        visible=bool(at_first.small),
        elem_classes=["captioned", "magnified"],
    )
    table = gr.Dataframe(
        at_first.objects[1],
        headers=at_first.objects[0],
        label="Who sees what (click a row to zoom all pictures to it)",
        interactive=False,
        max_height=320,
    )
    with gr.Row():
        written_first = write_files(first, Filters(LEAST_SCORE), Path(desk.folder.name)) if first else (None, None)
        json_file, png_file = (
            gr.DownloadButton(f"Download as {kind}", value=str(path) if path else None, interactive=bool(path))
            for kind, path in zip(("COCO JSON", "PNG"), written_first, strict=True)
        )
    with gr.Accordion("? What do these terms mean", open=False):
        gr.Markdown(_HELP)

    filters = (least, sizes, classes)
    shown = (figure, slider, magnified, counts, table, note, warnings, in_tiles)
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
        tiles: bool,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        own = desk.data_of(request)
        found = compare(
            desk.models, names, image, desk.telling(bar, request), tiles=tiles, even_none=True, more_data=own
        )
        kept = [name for name in of_class if name in found.class_names]
        choices = gr.Dropdown(choices=found.class_names, value=kept)
        return found, choices, *_draw(found, Filters(score, of_size, kept), how, int(wide))

    def redraw(
        found: PhotoComparison | None, score: float, of_size: list[str], of_class: list[str], how: str, wide: float
    ) -> Sequence[Any]:
        """Draws what the models already said under other filters; no model runs."""
        if found is None:
            return [gr.skip()] * len(shown)
        return _draw(found, Filters(score, of_size, of_class), how, int(wide))

    def write(
        found: PhotoComparison | None, score: float, of_size: list[str], of_class: list[str], request: gr.Request
    ) -> Sequence[Any]:
        if found is None or not found.predictions:
            return [gr.DownloadButton(interactive=False)] * len(files)
        written = write_files(found, Filters(score, of_size, of_class), desk.folder_of(request))
        return [gr.DownloadButton(value=str(path), interactive=True) for path in written]

    @explained
    def zoom(
        found: PhotoComparison | None,
        score: float,
        of_size: list[str],
        of_class: list[str],
        how: str,
        wide: float,
        event: gr.SelectData,
    ) -> Any:
        chosen = Filters(score, of_size, of_class)
        number = _number_of(event, found, chosen) if found else None
        if found is None or number is None or how == SLIDER:
            return gr.skip()
        around = found.view_of(chosen, number)
        return zoomable(found.figure(chosen, around, stacked=wide < NARROW_PX, width_px=int(wide)))

    outputs = (comparison, classes, *shown)
    drawn_by = (comparison, *filters, view, width)
    inputs = (photo, models, *drawn_by[1:], in_tiles)
    for component in (*filters, view):
        component.change(
            redraw,
            list(drawn_by),
            list(shown),
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="always_last",
        )
    quietly: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    table.select(zoom, list(drawn_by), figure, **quietly)
    magnified.select(zoom, list(drawn_by), figure, **quietly)
    counts.change(write, [comparison, *filters], list(files), **quietly)
    opened_on = str(first.photo) if first else None
    return CompareTab(
        comparison, filters, width, redraw, drawn_by, shown, in_tiles, compare_models, inputs, outputs, opened_on
    )


def _number_of(event: gr.SelectData, found: PhotoComparison, chosen: Filters) -> int | None:
    """The number of the object that is chosen: a row of the table has it, a picture in the gallery has a place."""
    if event.row_value:
        return int(event.row_value[0])
    known, place = found.magnified_numbers(chosen), int(event.index)
    return known[place] if place < len(known) else None


@dataclass(frozen=True)
class _Seen:
    """What is shown of a comparison: a figure or two pictures, small objects, two tables, warnings."""

    figure: Any
    pictures: Any
    small: list[Any]
    counts: str
    objects: tuple[list[str], list[list[Any]]]
    warnings: str = ""


_NOTHING_SEEN = _Seen(waiting(_NOTHING_YET), None, [], "", (_TABLE_HEAD, []))


def _seen(found: PhotoComparison, filters: Filters, how: str, width_px: int) -> _Seen:
    rows, objects = found.counts(filters), found.who_sees_what(filters)
    two, names = how == SLIDER and len(found.predictions) > 1, list(found.predictions)
    return _Seen(
        None if two else zoomable(found.figure(filters, stacked=width_px < NARROW_PX, width_px=width_px)),
        (found.picture(names[0], filters), found.picture(names[1], filters)) if two else None,
        found.magnified(filters),
        html_table(
            list(rows[0]),
            [list(row.values()) for row in rows],
            caption=f"Objects by {called(found.protocol.name)} size, and time",
        )
        + f"<!-- {found.digest(filters)} -->",  # other objects of the same numbers are another value: files are written
        ([*_TABLE_HEAD, *found.letters.values()], [list(row.values()) for row in objects]),
        _warnings(found),
    )


def _warnings(found: PhotoComparison) -> str:
    """What is to be known before the boxes are believed, as HTML."""
    sentences = "".join(f"<li>{in_html(one)}</li>" for one in found.cautions)
    return f"<ul>{sentences}</ul>" if sentences else ""


def _draw(found: PhotoComparison, filters: Filters, how: str, width_px: int) -> list[Any]:
    """What changes: as `gr.update`, since a component with a value would write every picture twice."""
    own = _seen(found, filters, how, width_px)
    two = own.pictures is not None
    return [
        gr.update(visible=False) if two else gr.update(value=own.figure, visible=True),
        gr.update(value=own.pictures, visible=two),
        gr.update(value=own.small, visible=bool(own.small), selected_index=None),
        own.counts,
        gr.update(value=own.objects[1], headers=own.objects[0]),
        _SLIDE if two else _MOVE,
        gr.update(value=own.warnings, visible=bool(own.warnings)),
        gr.update(visible=fits_no_tile(found.image_size)),
    ]
