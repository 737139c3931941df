"""What stands before Gradio: routes that the page does not need, calls that are too long, and headers for browsers."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CALL_BYTES = 4 * 2**20
"""Of any call but an upload: photos are uploaded, not sent as text."""
_FETCHING = re.compile(r"/(file|proxy)=\s*\w+:/", re.IGNORECASE)
"""Routes by which Gradio fetches an address of the browser's choice."""
_NEEDLESS = re.compile(
    r"/(proxy=.*|custom_component/.*|component_server|process_recording|stream/.*|deep_link|dev/reload"
    r"|monitoring(/.*)?|runs|run-history/.*|(undo-)?vibe-.*)/?$",
    re.DOTALL,
)
"""Routes of Gradio for what the page does not have: components of others, sound, code edited in a browser, records."""
_UNLIMITED = re.compile(r"/(upload|mcp(/.*)?)/?$")
"""Uploads have a limit of their own, and language models may send photos as text."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'self' http://localhost:* http://127.0.0.1:* https://localhost:*",
}
"""Files are what they are called, links tell nobody the address, other sites embed neither parts nor the whole page;
notebooks and editors of this machine may show it in a frame."""


class Guard:
    """Refuses what the page does not need before it is read, and adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (_refusal(scope) or self._app)(scope, receive, send_with_headers)


def _refusal(scope: Scope) -> Any:
    path = scope["path"]
    if _FETCHING.search(path):
        return PlainTextResponse("URLs are not opened here.", status_code=403)
    if _NEEDLESS.search(path):
        return PlainTextResponse("Not found.", status_code=404)
    if scope["method"] in ("POST", "PUT", "PATCH") and not _UNLIMITED.search(path):
        said = Headers(scope=scope).get("content-length", "")
        if not said.isdecimal():
            return PlainTextResponse("The request needs a Content-Length header.", status_code=411)
        if int(said[:20]) > MAX_CALL_BYTES:
            return PlainTextResponse(f"A request may have at most {MAX_CALL_BYTES:,} bytes.", status_code=413)
    return None


GUARDS = [Middleware(Guard)]
