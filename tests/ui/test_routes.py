"""Every route that FastAPI knows of: paths that lead elsewhere, long calls, headers, what the page does not need."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import pytest

from explorer.ui.layout.guards import HEADERS, MAX_CALL_BYTES

PARAMETER = re.compile(r"\{[^}]+\}")
REFUSED = {
    "component_server", "custom_component", "deep_link", "dev", "monitoring", "process_recording", "proxy=",
    "run-history", "runs", "stream", "undo-vibe-edit", "vibe-code", "vibe-edit", "vibe-starter-queries",
}  # fmt: skip
NEEDED = {
    "", "api", "app_id", "assets", "call", "cancel", "config", "favicon.ico", "file", "file=", "heartbeat", "info",
    "login", "login_check", "logout", "manifest.json", "openapi.json", "pwa_icon", "queue", "reset", "robots.txt",
    "run", "startup-events", "static", "svelte", "theme.css", "token", "upload", "upload_progress", "user",
}  # fmt: skip
"""By their first word after `/gradio_api`. A route of a new Gradio belongs to one of these, or these tests fail."""


def all_routes(routes: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of routers within included."""
    for route in routes:
        if router := getattr(route, "original_router", None):
            yield from all_routes(router.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


with gr.Blocks() as _empty:
    pass
ROUTES = sorted(set(all_routes(gr.routes.App.create_app(_empty).routes)))
WAYS = {
    "absolute": "/etc/passwd",
    "doubled slash": "//etc/passwd",
    "up": "../../../../../../../../etc/passwd",
    "up from a folder": "img/../../../../../../../../../etc/passwd",
    "encoded": "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "encoded slash": "..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "encoded absolute": "%2fetc%2fpasswd",
    "encoded twice": "%252e%252e%252f%252e%252e%252f%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "backslash": "..%5c..%5c..%5c..%5c..%5cetc%5cpasswd",
    "too long UTF-8": "%c0%ae%c0%ae%c0%af%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "dots": "....//....//....//....//....//etc/passwd",
    "semicolon": "..;/..;/..;/..;/etc/passwd",
    "null byte": "%2fetc%2fpasswd%00.png",
    "UNC": "%5c%5cevil.example%5cshare%5cpasswd",
    "UNC with slashes": "//evil.example/share/passwd",
    "drive": "C:%5cWindows%5cwin.ini",
    "file address": "file:%2f%2f%2fetc%2fpasswd",
    "home": "~root/.ssh/id_rsa",
    "process": "/proc/self/environ",
    "device": "/dev/zero",
    "line break": "a%0d%0aSet-Cookie:%20stranger=1",
}
SECRETS = (b"root:", b"PATH=", b"[fonts]")


def first_word(path: str) -> str:
    return re.split(r"(?<==)|/", path.removeprefix("/gradio_api").lstrip("/"))[0]


def answered(
    served: Any, method: str, path: str, body: bytes = b"", kind: str = "application/json"
) -> tuple[Any, bytes]:
    """Asks for a path as it stands and reads the beginning of the answer, since some never end."""
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        if method == "POST":
            connection.putheader("Content-Type", kind)
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer, b"" if "heartbeat" in path else answer.read(100_000)
    except http.client.IncompleteRead as cut:  # of events that nobody has
        return answer, cut.partial
    finally:
        connection.close()


def test_every_route_is_known_as_needed_or_refused() -> None:
    assert len(ROUTES) > 80
    assert {first_word(path) for _, path in ROUTES} == NEEDED | REFUSED


def test_no_route_gives_out_a_file_by_its_path(served: Any, record_property: Callable[[str, int], None]) -> None:
    tried = 0
    for method, route in ROUTES:
        for name, way in WAYS.items() if PARAMETER.search(route) else ():
            path = PARAMETER.sub(lambda _, way=way: way, route)
            answer, said = answered(served, method, path, b"{}")
            where = f"{method} {path} ({name}): {answer.status}"
            assert not any(secret in said for secret in SECRETS), where
            assert answer.getheader("Set-Cookie") is None, where
            assert answer.status != 200 or "event-stream" in answer.getheader("Content-Type"), where  # says an error
            assert b"Traceback" not in said, where
            tried += 1
    record_property("paths", tried)
    assert tried > 400
    assert answered(served, "GET", "/config")[0].status == 200


@pytest.mark.parametrize("route", sorted({path for _, path in ROUTES if first_word(path) in REFUSED}))
def test_what_the_page_does_not_need_is_not_there(route: str, served: Any) -> None:
    methods = [method for method, path in ROUTES if path == route]
    for method in methods:
        answer, said = answered(served, method, PARAMETER.sub("x", route), b"{}")
        assert answer.status == 404
        assert said in (b"Not found.", b"")


@pytest.mark.parametrize(
    "route", sorted({path for method, path in ROUTES if method == "POST" and "upload" not in path})
)
def test_no_route_reads_a_long_body(route: str, served: Any) -> None:
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.putrequest("POST", PARAMETER.sub("x", route))
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(MAX_CALL_BYTES + 1))
    connection.endheaders()  # it answers before it has read anything
    assert connection.getresponse().status == (404 if first_word(route) in REFUSED else 413)
    connection.close()


@pytest.mark.parametrize(
    "path",
    ["/", "/config", "/theme.css", "/gradio_api/info", "/gradio_api/file=/etc/passwd", "/no", "/monitoring"],
)
def test_every_answer_has_the_headers_that_browsers_heed(path: str, served: Any) -> None:
    answer, _ = answered(served, "GET", path)
    for name, value in HEADERS.items():
        assert answer.getheader(name) == value
    assert not re.search(r"\d", answer.getheader("Server") or "")  # no version
    assert answer.getheader("X-Powered-By") is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", b"<script>alert(1)</script>"),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("code.js", b"alert(1)"),
        ("page.xhtml", b'<html xmlns="http://www.w3.org/1999/xhtml"/>'),
        ("no_name", b"<html><script>alert(1)</script>"),
    ],
)
def test_an_upload_that_could_run_is_never_shown_as_a_page(name: str, content: bytes, served: Any) -> None:
    head = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + content + b"\r\n--B--\r\n"
    sent, said = answered(served, "POST", "/gradio_api/upload", body, "multipart/form-data; boundary=B")
    if sent.status != 200:
        return
    (path,) = json.loads(said)
    assert Path(path).is_relative_to(served.uploads)
    answer, _ = answered(served, "GET", f"/gradio_api/file={path}")
    shown = (answer.getheader("Content-Disposition") or "").startswith("inline")
    kind = answer.getheader("Content-Type") or ""
    assert answer.status != 200 or not shown or not re.search("html|svg|javascript|xml", kind), (kind, shown)


@pytest.mark.parametrize(
    "name", ["../../stolen.png", "/tmp/stolen.png", "..\\stolen.png", "a\x00b.png", "x" * 300 + ".png"]
)
def test_an_upload_stays_among_the_uploads(name: str, served: Any) -> None:
    head = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + b"bytes\r\n--B--\r\n"
    answer, said = answered(served, "POST", "/gradio_api/upload", body, "multipart/form-data; boundary=B")
    if answer.status == 200:
        (path,) = json.loads(said)
        assert Path(path).resolve().is_relative_to(served.uploads.resolve())
    assert b"Traceback" not in said
    assert answered(served, "GET", "/config")[0].status == 200
