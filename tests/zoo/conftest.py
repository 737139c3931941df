"""A web site on the loopback interface that misbehaves as told, and an empty cache."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Page:
    """One file of the site.

    Attributes:
        body: what it holds.
        etag: its validator; empty for none.
        cuts: how many bytes each answer in turn sends before the line goes; whole answers after the last.
        headers: what it says besides.
        resumes: it honours Range and If-Range.
    """

    body: bytes
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    resumes: bool = True

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        start = 0
        if self.resumes and (wanted := handler.headers.get("Range")) and handler.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        rest = self.body[start:]
        handler.send_response(206 if start else 200)
        headers = {"Content-Length": str(len(rest)), "Content-Type": "application/octet-stream"}
        headers |= {"ETag": self.etag} if self.etag else {}
        headers |= {"Content-Range": f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"} if start else {}
        for key, value in (headers | self.headers).items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(rest[: self.cuts.pop(0)] if self.cuts else rest)


@dataclass
class Site:
    """Addresses, what they answer, and the requests that came: (path, Range header)."""

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def add(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return self.url + path

    def status(self, path: str, code: int, **headers: str) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            for key, value in ({"Content-Length": "0"} | headers).items():
                handler.send_header(key, value)
            handler.end_headers()

        return self.add(path, answer)


@contextmanager
def opened_site() -> Iterator[Site]:
    """Serves a site until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append((self.path, self.headers.get("Range")))
            served.answers[self.path](self)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with opened_site() as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder that the zoo uses."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EXPLORER_CACHE", str(folder))
    for name in ("EXPLORER_OFFLINE", "EXPLORER_MIRROR", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder
