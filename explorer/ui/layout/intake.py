"""What a browser may hand over: uploaded photos of bounded size, and no address or path that is opened for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_UPLOAD = "30mb"
_FETCHING_ROUTE = re.compile(r"/(file|proxy)=\s*\w+:/", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*\w+://")


def only_uploads(picture: gr.Image) -> gr.Image:
    """Makes a picture stay the file that was uploaded: the reader of `explorer.data.images` alone opens it.

    Left to itself, Gradio decodes what it gets with every decoder that Pillow has, and downloads what it is given the
    address of. (A subclass would do, but Gradio writes a stub file beside the module of every subclass.)
    """
    take = picture.async_move_resource_to_block_cache

    async def take_upload(place: str | Path | None) -> str | None:
        if _ADDRESS.match(str(place)):
            raise gr.Error("Addresses are not opened here: upload the photo.", print_exception=False)
        return await take(place)

    def path_of(payload: ImageData | None) -> str | None:
        return payload.path if payload else None

    picture.async_move_resource_to_block_cache = take_upload  # type: ignore[method-assign, assignment]
    picture.preprocess = path_of  # type: ignore[method-assign]
    return picture


class NoAddresses:
    """Refuses the routes by which Gradio fetches an address of the browser's choice."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _FETCHING_ROUTE.search(scope["path"]):
            refusal: Any = PlainTextResponse("Addresses are not opened here.", status_code=403)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)
