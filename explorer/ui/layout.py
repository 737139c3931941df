"""The page: two models, one photo, both answers side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from explorer.ui.actions import Comparison, Models, compare, model_choices
from explorer.ui.examples import examples

Photo = npt.NDArray[np.uint8]

_INTRO = """# VoVNet Explorer
Two detectors, one photo: what does one see that the other misses? The demo models were trained on the aerial scenes
alone, so a photograph from the ground shows how far they carry."""
_EMPTY = "Choose two models and a photo, then press **Compare**."

THEME = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
"""System fonts only: the page needs nothing from the internet."""


def serve(host: str = "127.0.0.1", port: int | None = None, extra_models: Sequence[str] = ()) -> None:
    """Serves the page until it is interrupted.

    Args:
        host: address to listen on; `0.0.0.0` lets other machines in.
        port: None takes `GRADIO_SERVER_PORT`, else the first free one from 7860 on.
        extra_models: config files or zoo names to offer beside the models whose weights are on this machine.
    """
    page = build(extra_models).queue(default_concurrency_limit=1, max_size=64)
    page.launch(server_name=host, server_port=port, theme=THEME, footer_links=["api"])


def build(extra_models: Sequence[str] = ()) -> gr.Blocks:
    """Builds the page.

    Args:
        extra_models: config files or zoo names to offer beside the models whose weights are on this machine.
    """
    models = Models()
    choices = [(choice.label, choice.name) for choice in model_choices(extra_models)]
    names = [name for _, name in choices]
    page: gr.Blocks
    with gr.Blocks(title="VoVNet Explorer", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.Markdown(_INTRO)
        comparison = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                photo = gr.Image(
                    label="Photo",
                    type="filepath",
                    image_mode=None,  # the file as it came: our own reader opens it
                    format="png",
                    sources=["upload", "clipboard", "webcam"],
                    height=260,
                )
                first = gr.Dropdown(choices, value=names[0] if names else None, label="Model A")
                second = gr.Dropdown(choices, value=names[1] if len(names) > 1 else None, label="Model B")
                threshold = gr.Slider(0.05, 1.0, 0.5, step=0.05, label="Least score to show")
                run = gr.Button("Compare", variant="primary")
            with gr.Column(scale=3, min_width=300):
                figure = gr.Plot(label="Detections", show_label=False)
                note = gr.Markdown(_EMPTY)
                table = gr.Dataframe(label="Objects by COCO size, and time", interactive=False, visible=False)
        gr.Markdown("Example photos: aerial scenes made here, photographs from scikit-image and scikit-learn.")
        gallery = gr.Gallery(
            label="Example photos",
            show_label=False,
            columns=7,
            height=190,
            object_fit="cover",
            allow_preview=False,
            buttons=[],
        )

        answers = [comparison, figure, table, note]
        ask = _explained(lambda image, a, b, least: _answer(compare(models, _chosen(a, b), image), least))
        run.click(ask, [photo, first, second, threshold], answers, api_name="compare")
        threshold.change(
            _redraw, [comparison, threshold], [figure, table], show_progress="hidden", api_visibility="private"
        )
        page.load(_thumbnails, outputs=gallery, api_visibility="private")
        gallery.select(_pick, outputs=photo, api_visibility="private").then(
            ask, [photo, first, second, threshold], answers, api_visibility="private"
        )
    return page


def _chosen(*names: str | None) -> list[str]:
    return [name for name in names if name]


def _explained(action: Callable[..., Any]) -> Callable[..., Any]:
    """Shows a user's mistake as a message on the page instead of a trace in the log."""

    def explained(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except ValueError as error:
            raise gr.Error(str(error), title="That did not work") from error

    return explained


def _answer(result: Comparison, threshold: float) -> tuple[Comparison, Any, Any, Any]:
    figure, table = _redraw(result, threshold)
    return result, figure, table, gr.Markdown(visible=False)


def _redraw(result: Comparison | None, threshold: float) -> tuple[Any, Any]:
    """Draws what the models already said at another threshold; no model runs."""
    if result is None:
        return gr.skip(), gr.skip()
    rows = result.table(threshold)
    cells = [list(row.values()) for row in rows]
    return result.figure(threshold), gr.Dataframe(value=cells, headers=list(rows[0]), visible=True)


@cache
def _photo(index: int) -> Photo:
    return examples()[index].read()


def _thumbnails() -> list[tuple[Photo, str]]:
    return [(_photo(index), example.caption) for index, example in enumerate(examples())]


def _pick(event: gr.SelectData) -> Photo:
    return _photo(int(event.index))
