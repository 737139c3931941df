"""The page: a photo and models at the left, what to ask of them at the right."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt
from starlette.middleware import Middleware

from explorer.data.images import ImageError
from explorer.ui.actions.compare import Filters, compare
from explorer.ui.actions.models import MEMORY_MB, MOST_MODELS, ModelChoice, Models, model_choices, own_choice
from explorer.ui.actions.photos import read_photo
from explorer.ui.examples import examples
from explorer.ui.layout.about import about_tab, train_tab
from explorer.ui.layout.compare import MEASURE, compare_tab
from explorer.ui.layout.errors import errors_tab
from explorer.ui.layout.features import features_tab
from explorer.ui.layout.fields import fields_tab
from explorer.ui.layout.intake import MAX_MODEL_BYTES, MAX_PHOTO_BYTES, NoAddresses, ShortOrders, only_photos
from explorer.ui.layout.own_model import own_model
from explorer.ui.layout.session import SHORT, Desk, explained
from explorer.ui.layout.speed import speed_tab

Picture = npt.NDArray[np.uint8]

_INTRO = """# VoVNet Explorer
Which backbone sees what another misses, and why? The demo models were trained on aerial scenes, and one of them on
blood cells, so a photograph from the ground shows how far they carry."""

_M_ARENA_MAX = -8  # of malloc.h
_CACHE_S = (3600, 86400)
"""Every hour, uploads and pictures older than a day are deleted; all of them when the server ends."""
MOST_WAITING = 64
MOST_SESSIONS = 64
"""Each takes some 7 MB: Gradio keeps what every session's components hold."""
THREADS = 8
"""Few, since torch keeps pools and buffers for every thread that ever ran a model."""
THEME = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
"""System fonts only: the page needs nothing from the internet."""
CSS = """
.pictures { min-height: 300px }
.faint { opacity: .75; font-size: .9em }
@media (max-width: 600px) { .gradio-container { padding: 8px !important } }
"""


def serve(
    host: str = "127.0.0.1",
    port: int | None = None,
    extra_models: Sequence[str] = (),
    *,
    weights: str | None = None,
    data: str | None = None,
    memory_mb: float = MEMORY_MB,
    auth: tuple[str, str] | None = None,
    share: bool = False,
    mcp: bool = False,
) -> None:
    """Serves the page until it is interrupted.

    Args:
        host: address to listen on; `0.0.0.0` lets other machines in.
        port: None takes `GRADIO_SERVER_PORT`, else the first free one from 7860 on.
        extra_models: models to offer before the zoo's, as `load_detector` takes them.
        weights: a checkpoint for those, instead of their own.
        data: annotated images for the tab of errors, `PATH[:SPLIT]`; None takes procedural aerial scenes.
        memory_mb: what the weights of loaded models may take.
        auth: name and password that visitors must give.
        share: publish the page through Gradio's relay, for anyone who knows the address.
        mcp: offer the page's functions to language models, too.

    Raises:
        ValueError: a model cannot be found, or `mcp` is asked for and its package is not installed.
    """
    if mcp and find_spec("mcp") is None:
        raise ValueError('--mcp needs a package that is not installed: pip install "gradio[mcp]"')
    _share_arenas()
    alone = is_alone(host, auth=auth is not None, share=share)
    page = build(extra_models, weights=weights, data=data, memory_mb=memory_mb, uploads=alone)
    page.queue(default_concurrency_limit=2, max_size=MOST_WAITING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl+C does, and uploads are deleted
    page.launch(
        server_name=host,
        server_port=port,
        theme=THEME,
        css=CSS,
        footer_links=["api"],
        max_file_size=MAX_MODEL_BYTES if alone else MAX_PHOTO_BYTES,
        state_session_capacity=MOST_SESSIONS,
        max_threads=THREADS,
        app_kwargs={"middleware": [Middleware(NoAddresses), Middleware(ShortOrders)]},
        auth=auth,
        share=share,
        mcp_server=mcp or None,
    )


def _share_arenas() -> None:
    """Lets all threads take memory from two arenas: one for each leaves gaps that add up with every visitor."""
    with suppress(OSError, AttributeError):  # glibc alone has them
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def is_alone(host: str, *, auth: bool, share: bool) -> bool:
    """Whether nobody but who started it is meant to use the page; a password, too, says that others will come."""
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return loopback and not auth and not share


def build(
    extra_models: Sequence[str] = (),
    *,
    weights: str | None = None,
    data: str | None = None,
    memory_mb: float = MEMORY_MB,
    uploads: bool = False,
) -> gr.Blocks:
    """Builds the page.

    Args:
        extra_models: models to offer before the zoo's, as `load_detector` takes them.
        weights: a checkpoint for those, instead of their own.
        data: annotated images for the tab of errors; None takes procedural aerial scenes.
        memory_mb: what the weights of loaded models may take.
        uploads: whether a browser may hand over models.

    Raises:
        ValueError: a model cannot be found.
    """
    own = [own_choice(model, weights) for model in extra_models]
    short = Models(memory_mb / 2, extra_models, weights)
    long = Models(memory_mb / 2, extra_models, weights, lowest_score=None)
    desk = Desk(short, long, data=data)
    choices = model_choices(own)
    ready = [choice.name for choice in choices if choice.ready]
    page: gr.Blocks
    with gr.Blocks(title="VoVNet Explorer", analytics_enabled=False, fill_width=True, delete_cache=_CACHE_S) as page:
        gr.Markdown(_INTRO)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                photo = only_photos(
                    gr.Image(
                        label="Photo",
                        type="filepath",
                        format="png",
                        sources=["upload", "clipboard", "webcam"],
                        height=260,
                    )
                )
                gallery = gr.Gallery(
                    label="Example photos",
                    columns=3,
                    height=330,
                    object_fit="cover",
                    allow_preview=False,
                    buttons=[],
                )
                models = gr.Dropdown(
                    [(choice.label, choice.name) for choice in choices],
                    value=[choice.name for choice in own][:MOST_MODELS] or ready[:2],
                    multiselect=True,
                    max_choices=MOST_MODELS,
                    label=f"Models, up to {MOST_MODELS}",
                    info="weights that are not here are downloaded when the model is used; mind their licence",
                )
                if uploads:
                    own_model(desk, models, choices)
                with gr.Row():
                    run = gr.Button("Compare", variant="primary", min_width=120)
                    stop = gr.Button("Stop", min_width=80)
                gr.Markdown(
                    "Examples: aerial scenes made here, blood cells (BCCD), photos of scikit-image and scikit-learn.",
                    elem_classes="faint",
                )
            with gr.Column(scale=3, min_width=300), gr.Tabs():
                with gr.Tab("Compare"):
                    compared = compare_tab(desk, photo, models)
                with gr.Tab("Features"):
                    features_tab(desk, photo, models, compared)
                with gr.Tab("Receptive field"):
                    fields_tab(desk, photo, models, compared)
                with gr.Tab("Errors"):
                    errors_tab(desk, models, compared.width)
                with gr.Tab("Speed and accuracy"):
                    speed_tab(desk, photo, models, page)
                with gr.Tab("Train"):
                    train_tab()
                with gr.Tab("About") as about:
                    about_tab(about)

        photo.upload(_as_browsers_show, photo, photo, show_progress="hidden", api_visibility="private")
        inputs, outputs = list(compared.inputs), list(compared.outputs)
        on_pictures = compared.outputs[2]
        run.click(compared.ask, inputs, outputs, show_progress_on=on_pictures, api_visibility="private", **SHORT)
        stop.click(desk.stop, queue=False, api_visibility="private")
        page.load(None, None, [compared.width, compared.view], js=MEASURE, api_visibility="private")
        page.load(_thumbnails, outputs=gallery, show_progress="hidden", api_visibility="private")
        gallery.select(_pick, models, [photo, models], show_progress="hidden", api_visibility="private").then(
            compared.ask, inputs, outputs, show_progress_on=on_pictures, api_visibility="private", **SHORT
        )
        page.unload(desk.forget)
        _endpoints(desk, photo, models, choices)
    return page


def _endpoints(desk: Desk, photo: gr.Image, models: gr.Dropdown, choices: Sequence[ModelChoice]) -> None:
    """What programs may call: `detect` with a photo, models and a score, `models` for their names."""
    least = gr.Slider(0.05, 1.0, 0.5, label="lowest_score", visible=False)
    found = gr.JSON(label="detections", visible=False)
    names = gr.JSON(label="names", visible=False)

    @explained
    def detect(image: str | None, of_models: list[str], lowest_score: float) -> Any:
        """Detects objects in a photo with one to four models; COCO results by model."""
        return compare(desk.models, of_models, image, timed=False).coco(Filters(lowest_score))

    def list_models() -> list[str]:
        """Lists the models that can be asked without a download."""
        return [choice.name for choice in choices if choice.ready]

    button = gr.Button(visible=False)
    button.click(detect, [photo, models, least], found, api_name="detect", **SHORT)
    button.click(list_models, None, names, api_name="models")


def _as_browsers_show(image: str | None) -> Any:
    """A TIFF's pixels, since browsers show no TIFF; every other upload stays the file that it is."""
    if image is None or Path(image).suffix.lower() not in (".tif", ".tiff"):
        return gr.skip()
    try:
        return np.ascontiguousarray(read_photo(image)[..., ::-1])
    except ImageError:  # said where it is used
        return gr.skip()


@cache
def _photo(index: int) -> Picture:
    return examples()[index].read()


def _thumbnails() -> list[tuple[Picture, str]]:
    return [(_photo(index), example.caption) for index, example in enumerate(examples())]


def _pick(chosen: list[str], event: gr.SelectData) -> tuple[Picture, list[str]]:
    """An example's photo, and its models in place of another example's; a choice of one's own stays."""
    known = examples()
    example = known[int(event.index)]
    by_an_example = tuple(chosen) in {one.models for one in known}
    return _photo(int(event.index)), list(example.models) if by_an_example else chosen
