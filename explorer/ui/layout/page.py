"""The page: a photo and models at the left, what to ask of them at the right."""

from __future__ import annotations

import ctypes
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.data.images import ImageError, reading_note, swap_channels
from explorer.scoring.protocols import COCO, Protocol
from explorer.text import NAME_LENGTH, in_html, legible
from explorer.types import Pixels
from explorer.ui.actions.compare import compare
from explorer.ui.actions.dataset import data_set
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import (
    MEMORY_MB,
    MOST_MODELS,
    ModelChoice,
    Models,
    model_choices,
    own_choice,
    results_choices,
)
from explorer.ui.actions.number_format import check_inference
from explorer.ui.actions.opening import first_comparison, opening_photo
from explorer.ui.actions.photos import read_photo, thumbnail
from explorer.ui.actions.takeaway import as_coco
from explorer.ui.examples import examples, looked_at, opening
from explorer.ui.layout.about import about_tab, train_tab
from explorer.ui.layout.compare import MEASURE, compare_tab
from explorer.ui.layout.errors import errors_tab
from explorer.ui.layout.features import features_tab
from explorer.ui.layout.fields import fields_tab
from explorer.ui.layout.guards import GUARDS
from explorer.ui.layout.intake import MAX_MODEL_BYTES, MAX_PHOTO_BYTES, only_photos
from explorer.ui.layout.looks import CSS, NAME_PICTURES, THEME
from explorer.ui.layout.own_model import own_model
from explorer.ui.layout.plots import NARROW_PX
from explorer.ui.layout.session import SHORT, Desk, explained
from explorer.ui.layout.share import share_link
from explorer.ui.layout.speed import speed_tab
from explorer.zoo.downloads import DownloadError

_INTRO = """# VoVNet Explorer
Compare detection backbones on a photo: the objects that each model finds, the ones it misses, and the stage of the
detector that loses them."""
_EXAMPLES = """Examples: generated aerial scenes; blood cells (BCCD, MIT); two aerial photographs of Munich (KIT AIS,
Karlsruhe Institute of Technology, CC BY 3.0); photographs of scikit-image and scikit-learn. The demo models detect
only the classes they were trained on; the everyday photographs show how they behave on unfamiliar images."""
_DOWNLOADS = "type to search; missing weights are downloaded when the model is used"

_QUIETLY: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

_M_ARENA_MAX = -8  # of malloc.h
_CAPTION_LENGTH = 10
_CACHE_S = (3600, 86400)
"""Every hour, uploads and pictures older than a day are deleted; all of them when the server ends."""
MOST_WAITING = 64
MOST_SESSIONS = 64
"""Each takes some 7 MB: Gradio keeps what every session's components hold."""
THREADS = 8
"""Few, since torch keeps pools and buffers for every thread that ever ran a model."""


def serve(
    host: str = "127.0.0.1",
    port: int | None = None,
    extra_models: Sequence[str] = (),
    *,
    weights: str | None = None,
    data: str | None = None,
    results: Sequence[str | Path] = (),
    protocol: Protocol = COCO,
    memory_mb: float = MEMORY_MB,
    inference: Mapping[str, Any] | None = None,
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
        data: annotated images, `PATH[:SPLIT]`, for the tab of errors, and what is annotated in a photo of theirs; None
            takes procedural aerial scenes.
        results: other detectors' results on the data, to be chosen beside models.
        protocol: whose sizes, IoU thresholds and limits are gone by.
        memory_mb: what the weights of loaded models may take.
        inference: how models are run; see `Models`.
        auth: name and password that visitors must give.
        share: publish the page through Gradio's relay, for anyone who knows the address.
        mcp: offer the page's functions to language models, too.

    Raises:
        ValueError: a model cannot be found, data or results cannot be read, the number format is not available,
            or `mcp` is asked for and its package is not installed.
    """
    if mcp and find_spec("mcp") is None:
        raise ValueError('--mcp needs a package that is not installed; run pip install "gradio[mcp]"')
    check_inference(inference or {})
    few_arenas()
    alone = is_alone(host, auth=auth is not None, share=share)
    page = build(
        extra_models,
        weights=weights,
        data=data,
        results=results,
        protocol=protocol,
        memory_mb=memory_mb,
        inference=inference,
        uploads=alone,
        warm=True,
    )
    page.queue(default_concurrency_limit=2, max_size=MOST_WAITING)
    page.launch(
        server_name=host,
        server_port=port,
        theme=THEME,
        css=CSS,
        footer_links=["api"],
        max_file_size=MAX_MODEL_BYTES if alone else MAX_PHOTO_BYTES,
        state_session_capacity=MOST_SESSIONS,
        max_threads=THREADS,
        app_kwargs={"middleware": GUARDS},
        auth=auth,
        share=share,
        mcp_server=mcp or None,
        _frontend=False,  # Gradio gives its page 3 s to answer itself, and ends where a cold start takes longer
    )


def few_arenas() -> None:
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
    results: Sequence[str | Path] = (),
    protocol: Protocol = COCO,
    memory_mb: float = MEMORY_MB,
    inference: Mapping[str, Any] | None = None,
    uploads: bool = False,
    warm: bool = False,
) -> gr.Blocks:
    """Builds the page.

    Args:
        extra_models: models to offer before the zoo's, as `load_detector` takes them.
        weights: a checkpoint for those, instead of their own.
        data: annotated images; None takes procedural aerial scenes for the tab of errors.
        results: other detectors' results on the data.
        protocol: whose sizes, IoU thresholds and limits are gone by.
        memory_mb: what the weights of loaded models may take.
        inference: how models are run; see `Models`.
        uploads: whether a browser may hand over models.
        warm: load the models chosen at first in the background, so that the first visitor need not wait for them.

    Raises:
        ValueError: a model cannot be found, or data or results cannot be read.
    """
    import_module("detectron2.engine")  # its modules import one another, which fails where two threads begin at once
    own = [own_choice(model, weights) for model in extra_models]
    given = data_set(data, results, protocol)
    known: dict[str, Any] = {"data": given, "protocol": protocol}
    long = Models(memory_mb, extra_models, weights, lowest_score=None, warm=False, inference=inference, **known)
    short = Models(beside=long, **known)
    desk = Desk(short, long, data=given.source if given else None)
    own += results_choices(given)
    choices = model_choices(own)
    preset = [choice.name for choice in own][:MOST_MODELS] or list(opening().models)
    tried = given.photos() if given else []
    folder = Path(desk.folder.name)
    photo_file = Path(shutil.copy(tried[0], folder)) if tried and own else opening_photo(folder)
    first = first_comparison(short, preset, photo_file)
    if warm:
        threading.Thread(target=_load, args=(short, preset)).start()
    page: gr.Blocks
    with gr.Blocks(title="VoVNet Explorer", analytics_enabled=False, fill_width=True, delete_cache=_CACHE_S) as page:
        gr.Markdown(_INTRO)
        with gr.Row(elem_classes="desk"):
            with gr.Column(elem_classes="ask"):
                photo = only_photos(
                    gr.Image(
                        str(photo_file),
                        label="Photo",
                        type="filepath",
                        format="png",
                        sources=["upload", "clipboard", "webcam"],
                        height=230,
                    )
                )
                models = gr.Dropdown(
                    [(choice.label, choice.name) for choice in choices],
                    value=preset,
                    multiselect=True,
                    max_choices=MOST_MODELS,
                    label=f"Models, up to {MOST_MODELS}",
                    info=_DOWNLOADS,
                )
                facts = gr.HTML(_facts(preset, choices), elem_classes="faint")
                with gr.Row():
                    run = gr.Button("Compare", variant="primary", min_width=120)
                    stop = gr.Button("Stop", elem_classes="stop", min_width=80)
            with gr.Column(elem_classes="more"):
                gallery = gr.Gallery(
                    label="Example photos",
                    columns=3,
                    height="auto",
                    object_fit="cover",
                    allow_preview=False,
                    buttons=[],
                    elem_classes=["captioned", "examples"],
                )
                gr.Markdown(_EXAMPLES, elem_classes="faint")
                if uploads:
                    own_model(desk, models, choices)
                link = gr.Button("Copy a link to these models and filters", size="sm")
            with gr.Column(elem_classes="answers"), gr.Tabs(elem_id="tabs") as tabs:
                with gr.Tab("Compare", id="compare"):
                    compared = compare_tab(desk, photo, models, first)
                with gr.Tab("Features", id="features") as features:
                    features_tab(desk, photo, models, compared, features)
                with gr.Tab("Receptive field", id="fields") as fields:
                    fields_tab(desk, photo, models, compared, fields)
                with gr.Tab("Errors", id="errors") as errors:
                    errors_tab(desk, models, compared.width, errors, uploads=uploads)
                with gr.Tab("Speed and accuracy", id="speed") as speed:
                    speed_tab(desk, photo, models, compared.width, speed)
                with gr.Tab("Train", id="train"):
                    train_tab()
                with gr.Tab("About", id="about") as about:
                    about_tab(about)

        inputs, outputs = list(compared.inputs), list(compared.outputs)
        on_pictures = compared.outputs[2]
        ask: dict[str, Any] = {"show_progress_on": on_pictures, "api_visibility": "private", **SHORT}
        uploaded = photo.upload(_as_browsers_show, photo, photo, show_progress="hidden", api_visibility="private")
        uploaded.then(compared.ask, inputs, outputs, **ask)
        run.click(compared.ask, inputs, outputs, **ask)
        compared.in_tiles.input(compared.ask, inputs, outputs, **ask)
        stop.click(desk.stop, queue=False, api_visibility="private")
        models.change(
            lambda names: _facts(names, choices), models, facts, show_progress="hidden", api_visibility="private"
        )
        page.load(None, None, compared.width, js=MEASURE, api_visibility="private").then(
            _narrow(compared.redraw), list(compared.drawn_by), list(compared.shown), **_QUIETLY
        )
        page.load(None, None, None, js=NAME_PICTURES, api_visibility="private")
        page.load(lambda: _thumbnails(tried), outputs=gallery, show_progress="hidden", api_visibility="private")
        gallery.select(
            _picking(desk, tried), models, [photo, models], show_progress="hidden", api_visibility="private"
        ).then(compared.ask, inputs, outputs, **ask)
        share_link(page, link, models, compared, tabs, [choice.name for choice in choices])
        page.unload(desk.forget)
        _endpoints(desk, photo, models, choices)
    return page


def _narrow(redraw: Callable[..., Any]) -> Callable[..., Any]:
    """Draws what the page opens on again where it is too narrow for it."""

    def draw(*values: Any) -> Any:
        return redraw(*values) if values[-1] < NARROW_PX else gr.skip()

    return draw


def _load(models: Models, names: Sequence[str]) -> None:
    """Loads models; no further one once the program ends, which waits for this thread: PyTorch aborts a left one."""
    for name in names:
        if not threading.main_thread().is_alive():
            return
        with suppress(ValueError, DownloadError):  # said when the model is asked
            models.get(name)


def _endpoints(desk: Desk, photo: gr.Image, models: gr.Dropdown, choices: Sequence[ModelChoice]) -> None:
    """What programs may call: `detect` with a photo, models and a score, `models` for their names."""
    least = gr.Slider(0.05, 1.0, 0.5, label="lowest_score", visible=False)
    found = gr.JSON(label="detections", visible=False)
    names = gr.JSON(label="names", visible=False)

    @explained
    def detect(image: str | None, of_models: list[str], lowest_score: float) -> Any:
        """Detects objects in a photo with one to four models; COCO results by model."""
        return as_coco(compare(desk.models, of_models, image, timed=False), Filters(lowest_score))

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
        if note := reading_note(image):
            gr.Info(f"This TIFF was read as follows: {note}.")
        return swap_channels(read_photo(image))
    except ImageError:  # said where it is used
        return gr.skip()


def _thumbnails(photos: Sequence[Path]) -> list[tuple[Pixels, str]]:
    """Photos of the data set first, then the examples."""
    own = [(thumbnail(photo), _short(legible(photo.stem))) for photo in photos]
    return [*own, *((looked_at(example.caption), example.caption) for example in examples())]


def _short(name: str) -> str:
    """The end of a file's name, which tells photos of a data set apart."""
    return name if len(name) <= _CAPTION_LENGTH else f"…{name[-_CAPTION_LENGTH:]}"


def _picking(desk: Desk, photos: Sequence[Path]) -> Callable[..., Any]:
    def pick(chosen: list[str], request: gr.Request, event: gr.SelectData) -> tuple[Pixels | str, list[str]]:
        """An example's photo, and its models in place of another example's; a choice of one's own stays."""
        place, known = int(event.index), examples()
        if place < len(photos):  # its name tells what is annotated in it
            return str(shutil.copy(photos[place], desk.folder_of(request))), chosen
        example = known[place - len(photos)]
        by_an_example = tuple(chosen) in {one.models for one in known}
        return looked_at(example.caption), list(example.models) if by_an_example else chosen

    return pick


def _facts(names: Sequence[str], choices: Sequence[ModelChoice]) -> str:
    """What is to be known of the models chosen, in small print."""
    known = {choice.name: choice.facts for choice in choices}
    lines = (f"<li><b>{in_html(name, NAME_LENGTH)}</b>: {in_html(known[name])}</li>" for name in names if name in known)
    return f"<ul>{''.join(lines)}</ul>"
