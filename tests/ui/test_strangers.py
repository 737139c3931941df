"""Strangers at the page: other sites, forged headers, long calls and connections that never say all."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

EVIL = "https://evil.example"
CALLS = ["queue/join", "call/detect", "run/detect", "api/detect"]
SLOW = 100


def ask(served: Any, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.said = answer.read().decode(errors="replace")  # type: ignore[attr-defined]
    connection.close()
    return answer


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://127.0.0.1.evil.example", "http://localhost.evil.example:7860"]
)
@pytest.mark.parametrize("path", ["config", *(f"gradio_api/{call}" for call in CALLS), "gradio_api/upload"])
def test_another_site_may_neither_ask_nor_read(origin: str, path: str, served: Any) -> None:
    wanted = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    before = ask(served, "OPTIONS", f"/{path}", Origin=origin, **wanted)
    assert before.getheader("Access-Control-Allow-Origin") not in (origin, "*")
    reading = ask(served, "GET", f"/{path}", Origin=origin, Cookie="session=1")
    assert reading.getheader("Access-Control-Allow-Origin") not in (origin, "*")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_another_site_cannot_call_without_asking(kind: str, served: Any) -> None:
    """Browsers send these types to other sites without asking first."""
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": "stranger"}).encode()
    answer = ask(served, "POST", "/gradio_api/queue/join", body, Origin=EVIL, Content_Type=kind)
    assert answer.status >= 400


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_Host": "evil.example"},
        {"X_Forwarded_Proto": "javascript"},
        {"Host": "evil.example"},
        {"Host": '"><script>alert(1)</script>'},
        {"Referer": f"{EVIL}/"},
    ],
    ids=str,
)
def test_forged_headers_change_nothing_that_runs(headers: dict[str, str], served: Any) -> None:
    answer = ask(served, "GET", "/", **headers)
    assert "<script>alert(1)" not in answer.said  # type: ignore[attr-defined]
    assert "javascript://" not in answer.said  # type: ignore[attr-defined]
    assert answer.getheader("Set-Cookie") is None
    assert "evil.example" not in str(answer.getheader("Location"))


def test_headers_are_not_split(served: Any) -> None:
    answer = ask(served, "GET", "/gradio_api/file=a%0d%0aSet-Cookie:%20stranger=1")
    assert answer.status >= 400
    assert answer.getheader("Set-Cookie") is None


@pytest.fixture(scope="module")
def warm(served: Any) -> Any:
    """The page when its models are warm, and its memory no longer grows by itself."""
    last, calm = served.memory_mb, 0
    for _ in range(240):
        time.sleep(0.5)
        now = served.memory_mb
        calm = calm + 1 if abs(now - last) < 1 else 0
        if calm == 8:
            return served
        last = now
    return pytest.fail("its memory has grown for two minutes")


@pytest.mark.parametrize("call", CALLS)
def test_a_long_call_is_refused_before_it_is_read(call: str, warm: Any) -> None:
    served, before = warm, warm.memory_mb
    body = json.dumps({"data": ["x" * 50_000_000], "fn_index": 0, "session_hash": "long"}).encode()
    try:
        answer = ask(served, "POST", f"/gradio_api/{call}", body, Content_Type="application/json")
        assert answer.status == 413
    except ConnectionError:  # it hung up before it had all
        pass
    assert served.memory_mb < before + 30


def test_a_call_of_unknown_length_is_refused(served: Any) -> None:
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.request("POST", "/gradio_api/queue/join", iter([b"{", b"}"]), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 411
    connection.close()


def test_deep_json_is_refused(served: Any) -> None:
    body = b'{"data": ' + 100_000 * b"[" + 100_000 * b"]" + b', "fn_index": 0, "session_hash": "deep"}'
    assert ask(served, "POST", "/gradio_api/queue/join", body, Content_Type="application/json").status >= 400


@pytest.fixture
def slow_connections(served: Any) -> Iterator[list[socket.socket]]:
    """Uploads that have begun and go on byte by byte."""
    address = urlsplit(served.url)
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n"
    )
    with ExitStack() as all_of_them:
        connections = [
            all_of_them.enter_context(socket.create_connection((address.hostname or "", address.port or 0)))
            for _ in range(SLOW)
        ]
        for number, connection in enumerate(connections):
            connection.sendall(head if number % 2 else head[:40])
        yield connections


def test_slow_uploads_keep_nobody_waiting(served: Any, slow_connections: list[socket.socket]) -> None:
    before = served.memory_mb
    for _ in range(5):
        for connection in slow_connections:
            connection.sendall(b"x")
        start = time.monotonic()
        assert ask(served, "GET", "/config").status == 200
        assert time.monotonic() - start < 5
    assert served.memory_mb < before + 50


@pytest.mark.parametrize(
    "session", ["../../etc/passwd", "x" * 5000, "a\r\nSet-Cookie: b=1", "", 7, None, {"a": 1}], ids=str
)
def test_forged_sessions_harm_nobody(session: Any, served: Any) -> None:
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": session}).encode()
    answer = ask(served, "POST", "/gradio_api/queue/join", body, Content_Type="application/json")
    assert answer.getheader("Set-Cookie") is None
    assert "Traceback" not in answer.said  # type: ignore[attr-defined]
    assert ask(served, "GET", "/config").status == 200


def test_a_thousand_calls_are_answered_or_told_that_the_queue_is_full(served: Any) -> None:
    before = served.memory_mb
    functions = json.loads(ask(served, "GET", "/config").said)["dependencies"]  # type: ignore[attr-defined]
    (detect,) = [one["id"] for one in functions if one["api_name"] == "detect"]
    body = json.dumps({"data": [None, [], 0.5], "fn_index": detect, "session_hash": "many"}).encode()
    answers = [
        ask(served, "POST", "/gradio_api/queue/join", body, Content_Type="application/json") for _ in range(1000)
    ]
    assert {answer.status for answer in answers} <= {200, 503}
    assert ask(served, "GET", "/config").status == 200
    assert served.memory_mb < before + 50
