"""The tab of receptive fields: what a unit at a point of the photo can see, and what it does see."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.data.images import ImageError
from explorer.figures.words import waiting
from explorer.ui.actions.comparison import PhotoComparison
from explorer.ui.actions.fields import fields_and_objects, fields_at
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import MOST_MODELS
from explorer.ui.actions.photos import read_photo
from explorer.ui.actions.progress import part_of
from explorer.ui.layout.compare import CompareTab
from explorer.ui.layout.plots import NARROW_PX, zoomable
from explorer.ui.layout.session import SHORT, Desk, explained
from explorer.ui.words import EFFECTIVE, GATES, LAYERS, X, Y

_SAYS = """How much of the photo can a unit see (theoretical field, thin line), and how much influences it in practice
(effective field, thick line: a square with the area of the pixels that hold 95 % of the energy)? Click a point of the
photo or type its coordinates. The figure below compares the fields with each level's anchors and, after **Compare**,
with the detected objects. The first measurement of a model takes some seconds."""
_NOTHING_YET = "The receptive fields in the middle of the photo appear here. Click a point to move them."
_NO_PHOTO = "Choose a photo first, then click a point in it."
_LAYERS = ("stage2", "stage3", "stage4", "stage5", "res2", "res3", "res4", "res5", "p2", "p3", "p4", "p5", "p6")


def fields_tab(desk: Desk, photo: gr.Image, models: gr.Dropdown, compared: CompareTab, tab: gr.Tab) -> None:
    """Lays out the tab, which shows the fields in the middle of the photo when it is opened."""
    gr.Markdown(_SAYS)
    height, width = read_photo(compared.first_photo).shape[:2] if compared.first_photo else (480, 640)
    middle = (width // 2, height // 2)
    with gr.Row():
        with gr.Column(min_width=280):
            picture = gr.Image(
                compared.first_photo, label="Click a point", interactive=False, type="filepath", buttons=[]
            )
        with gr.Column(min_width=280):
            with gr.Row():
                x = gr.Number(middle[0], label=X, precision=0, minimum=0, min_width=90)
                y = gr.Number(middle[1], label=Y, precision=0, minimum=0, min_width=90)
            layers = gr.Dropdown(list(_LAYERS), value=["p2", "p3", "p4"], multiselect=True, label=LAYERS)
            with gr.Row():
                effective = gr.Checkbox(True, label=EFFECTIVE, min_width=120)
                gates = gr.Checkbox(True, label=GATES, min_width=120)
            show = gr.Button("Show fields", variant="primary")
    over: list[gr.Plot] = []
    beside: list[gr.Plot] = []
    for _ in range(MOST_MODELS // 2):
        with gr.Row():
            for _ in range(2):
                with gr.Column(min_width=300):
                    visible = not over
                    over.append(
                        gr.Plot(
                            waiting(_NOTHING_YET),
                            label="Receptive fields on the photo",
                            show_label=False,
                            visible=visible,
                            elem_classes="pictures",
                        )
                    )
                    beside.append(
                        gr.Plot(label="Receptive fields, anchors and objects", show_label=False, visible=False)
                    )

    @explained
    def draw_fields(
        image: str | None,
        names: list[str],
        at_x: float,
        at_y: float,
        wanted: list[str],
        seen: bool,
        working: bool,
        found: PhotoComparison | None,
        score: float,
        of_size: list[str],
        of_class: list[str],
        wide: float,
        request: gr.Request,
        bar: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for this default
    ) -> Any:
        if image is None:
            unused = [gr.update(value=None, visible=False)] * (2 * MOST_MODELS - 1)
            return [gr.update(value=waiting(_NO_PHOTO), visible=True), *unused]
        image_bgr, tell = read_photo(image), desk.telling(bar, request)
        known = desk.models.networks(names)
        objects = found.shown(Filters(score, of_size, of_class)) if found else {}
        pictures, sides = [], []
        for place, name in enumerate(known):
            detector = desk.models.get(name, part_of(tell, place, len(known), name))
            at = (float(at_x), float(at_y))
            figure = fields_at(
                desk.fields,
                detector,
                image_bgr,
                at,
                wanted,
                effective=seen,
                gates=working,
                width_px=int(wide if wide < NARROW_PX else wide / 2),
                progress=tell,
            )
            pictures.append(gr.update(value=zoomable(figure), visible=True))
            own = objects.get(detector.name)
            beneath = fields_and_objects(desk.fields, detector, own, gates=working, progress=tell) if seen else None
            sides.append(gr.update(value=beneath, visible=seen))
        unused = [gr.update(value=None, visible=False)] * (MOST_MODELS - len(known))
        return [*pictures, *unused, *sides, *unused]

    def show_photo(image: str | None) -> Any:
        if image is None:
            return None, gr.skip(), gr.skip()
        try:
            height, width = read_photo(image).shape[:2]
        except ImageError:  # said where it is used
            return None, gr.skip(), gr.skip()
        return image, width // 2, height // 2

    asked = [photo, models, x, y, layers, effective, gates, compared.comparison, *compared.filters, compared.width]
    for trigger in (tab.select, show.click):
        trigger(draw_fields, asked, [*over, *beside], show_progress_on=over[0], api_visibility="private", **SHORT)
    effective.change(
        lambda seen: gr.Checkbox(visible=seen), effective, gates, show_progress="hidden", api_visibility="private"
    )
    photo.change(show_photo, photo, [picture, x, y], show_progress="hidden", api_visibility="private")
    picture.select(_place, None, [x, y], show_progress="hidden", api_visibility="private").then(
        draw_fields, asked, [*over, *beside], show_progress_on=over[0], api_visibility="private", **SHORT
    )


def _place(event: gr.SelectData) -> tuple[int, int]:
    """Where the photo was clicked."""
    return int(event.index[0]), int(event.index[1])
