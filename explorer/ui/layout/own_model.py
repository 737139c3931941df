"""The box in which a model is handed over: a checkpoint and its config, read as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from explorer.ui.actions.models import MOST_MODELS, ModelChoice
from explorer.ui.layout.intake import only_uploads
from explorer.ui.layout.session import SHORT, Desk, explained

_SAYS = """Two files from the folder of a training run: `model_best.pth` and `config.yaml`. They are read as data and
deleted when the page is closed. To keep the model, start the page with `python app.py --model RUN_FOLDER`."""


def own_model(desk: Desk, models: gr.Dropdown, choices: Sequence[ModelChoice]) -> None:
    """Lays out the box."""
    listed = [(choice.label, choice.name) for choice in choices]
    mine = gr.State([])
    with gr.Accordion("Your own model", open=False):
        gr.Markdown(_SAYS, elem_classes="faint")
        files = only_uploads(gr.File(label="Checkpoint and config.yaml", file_count="multiple", height=120))
        add = gr.Button("Add to the list")

    @explained
    def take(paths: list[str] | None, before: list[str], chosen: list[str], request: gr.Request) -> Any:
        name = desk.take_model(paths, request)
        known = [*before, name]
        dropdown = gr.Dropdown(
            choices=[*((own, own) for own in known), *listed], value=[*chosen[: MOST_MODELS - 1], name]
        )
        return dropdown, known, None

    add.click(take, [files, mine, models], [models, mine, files], api_visibility="private", **SHORT)
