"""What a browser may hand over: uploaded files of bounded size, and no address that is opened for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import gradio as gr
from gradio.data_classes import ImageData

MAX_PHOTO_BYTES = 30_000_000
MAX_MODEL_BYTES = 2_000_000_000
"""Of a checkpoint, where models may be handed over."""
Upload = TypeVar("Upload", gr.Image, gr.File)
_ADDRESS = re.compile(r"\s*\w+://")


def only_photos(picture: gr.Image) -> gr.Image:
    """Makes a picture stay the file that was uploaded: the reader of `explorer.data.images` alone opens it.

    Left to itself, Gradio decodes what it gets with every decoder that Pillow has. (A subclass would do, but Gradio
    writes a stub file beside the module of every subclass.)
    """

    def path_of(payload: ImageData | None) -> str | None:
        if payload and payload.path and Path(payload.path).stat().st_size > MAX_PHOTO_BYTES:
            raise gr.Error(
                f"The photo is larger than {MAX_PHOTO_BYTES / 1000000.0:.0f} MB; upload a smaller file.",
                print_exception=False,
            )
        return payload.path if payload else None

    picture.preprocess = path_of  # type: ignore[method-assign]
    return only_uploads(picture)


def only_uploads(component: Upload) -> Upload:
    """Makes a component take uploads alone; left to itself, Gradio downloads what it is given the address of."""
    take = component.async_move_resource_to_block_cache

    async def take_upload(place: str | Path | None) -> str | None:
        if _ADDRESS.match(str(place)):
            raise gr.Error("URLs are not opened; upload the file instead.", print_exception=False)
        return await take(place)

    component.async_move_resource_to_block_cache = take_upload  # type: ignore[method-assign, assignment]
    return component
