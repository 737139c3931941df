"""The tab of feature maps: what layers say about the photo, and what speaks for an object."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.figures.words import waiting
from explorer.types import Pixels
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.features import (
    COMPONENTS,
    KINDS,
    LAYERS,
    ONE_CHANNEL,
    Kind,
    object_at,
    show_layers,
    what_speaks_for,
)
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.photos import read_photo
from explorer.ui.layout.compare import LEAST_SCORE, CompareTab
from explorer.ui.layout.plots import NARROW_PX, zoomable
from explorer.ui.layout.session import SHORT, Desk, explained
from explorer.ui.words import CHANNEL, SHOW
from explorer.ui.words import LAYERS as LAYERS_LABEL

_SAYS = """How do layers of the selected models respond to the photo? Pyramid levels are `p2` (finest) to `p6`; small
objects are classified from `p2`. Backbone stages are `stage2` to `stage5` (VoVNet), `res2` to `res5` (others). Each
model processes the whole photo at its own input size here, even if **Compare** uses tiles."""
_NO_PHOTO = "Choose a photo to see its feature maps."
_NO_OBJECT = """Click an object in the picture to see
the regions that contribute to its detection
and the pyramid level that it is classified from."""
_SPEAKS = """Which regions contribute to a detection, and which pyramid level is it classified from? Click an object in
the picture or select it from the list, which shows the detections of **Compare** under the same filters."""


def features_tab(desk: Desk, photo: gr.Image, models: gr.Dropdown, compared: CompareTab, tab: gr.Tab) -> None:
    """Lays out the tab, which shows maps when it is opened."""
    first: PhotoComparison | None = compared.comparison.value
    at_first = _objects(first, Filters(LEAST_SCORE)) if first else ([], None)
    gr.Markdown(_SAYS)
    with gr.Row(equal_height=True):
        layers = gr.Dropdown(list(LAYERS), value=["p2", "p4"], multiselect=True, label=LAYERS_LABEL, min_width=260)
        kind = gr.Radio(list(KINDS), value=KINDS[0], label=SHOW, min_width=260)
    channel = gr.Number(0, label=CHANNEL, precision=0, minimum=0, visible=False)
    shared = gr.Checkbox(True, label="Similar features have similar colours in all models", visible=False)
    show = gr.Button("Show maps", variant="primary")
    maps = gr.Plot(
        waiting(_NO_PHOTO),
        label="Feature maps over the photo",
        show_label=False,
        elem_classes="pictures",
    )
    gr.Markdown(_SPEAKS)
    with gr.Row():
        with gr.Column(min_width=280):
            picture = gr.Image(
                at_first[1],
                label="Click an object",
                interactive=False,
                type="numpy",
                format="jpeg",
                buttons=[],
            )
            which = gr.Dropdown(
                at_first[0], value=None, label="Object", info="objects seen by only some models come first"
            )
            sentences = gr.Markdown()
        with gr.Column(min_width=280, scale=2):
            speaks = gr.Plot(
                waiting(_NO_OBJECT),
                label="Regions that contribute to the detection",
                show_label=False,
                elem_classes="pictures",
            )

    @explained
    def draw_maps(
        image: str | None,
        names: list[str],
        wanted: list[str],
        how: Kind,
        number: float,
        alike: bool,
        wide: float,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        if image is None:
            return waiting(_NO_PHOTO)
        maps = show_layers(
            desk.models,
            names,
            read_photo(image),
            wanted,
            how,
            channel=int(number),
            shared=alike,
            width_px=int(wide),
            progress=desk.telling(bar, request),
        )
        return zoomable(maps)

    def offer(found: PhotoComparison | None, *values: Any) -> Any:
        if found is None:
            return gr.skip(), gr.skip()
        objects, drawn = _objects(found, Filters(*values))
        return gr.Dropdown(choices=objects, value=None), drawn

    @explained
    def explain(
        found: PhotoComparison | None,
        score: float,
        of_size: list[str],
        of_class: list[str],
        number: int | None,
        wide: float,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        if found is None or number is None:
            return gr.skip(), gr.skip()
        figure, said = what_speaks_for(
            desk.models,
            found,
            Filters(score, of_size, of_class),
            number,
            width_px=int(wide if wide < NARROW_PX else wide * 2 / 3),  # beside the picture to click in
            progress=desk.telling(bar, request),
        )
        return zoomable(figure), said

    @explained
    def pick(
        found: PhotoComparison | None, score: float, of_size: list[str], of_class: list[str], event: gr.SelectData
    ) -> Any:
        if found is None:
            return gr.skip()
        return object_at(found, Filters(score, of_size, of_class), (float(event.index[0]), float(event.index[1])))

    kind.change(_fitting, kind, [channel, shared], show_progress="hidden", api_visibility="private")
    asked = [photo, models, layers, kind, channel, shared, compared.width]
    for trigger in (tab.select, show.click, kind.input, layers.input):
        trigger(draw_maps, asked, maps, api_visibility="private", trigger_mode="always_last", **SHORT)
    seen = [compared.comparison, *compared.filters]
    gr.on(
        [compared.comparison.change, *(component.change for component in compared.filters)],
        offer,
        seen,
        [which, picture],
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="always_last",
    )
    which.change(
        explain,
        [*seen, which, compared.width],
        [speaks, sentences],
        show_progress_on=speaks,
        api_visibility="private",
        **SHORT,
    )
    picture.select(pick, seen, which, show_progress="hidden", api_visibility="private")


def _fitting(how: Kind) -> Any:
    """Hides the controls of other kinds."""
    return gr.Number(visible=how == ONE_CHANNEL), gr.Checkbox(visible=how == COMPONENTS)


def _objects(found: PhotoComparison, filters: Filters) -> tuple[list[tuple[str, int]], Pixels | None]:
    """The objects to choose from, and the first model's picture of them."""
    objects = [
        (f"{row['class']} {row['size, px']} px · {row['seen by']}", int(row["#"]))
        for row in found.who_sees_what(filters)
    ]
    first = next(iter(found.predictions), None)
    return objects, found.picture(first, filters) if first else None
