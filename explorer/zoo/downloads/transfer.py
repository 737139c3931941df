"""One file from one address over HTTP: resumed where it was cut, never mixed with another file."""

from __future__ import annotations

import json
import re
import ssl
import time
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from explorer.reading import read_json

if TYPE_CHECKING:
    from explorer.types import Progress

MAX_BYTES = 4 * 2**30
"""More than any checkpoint of the zoo, optimiser included: a longer answer is not our file."""

_CHUNK_BYTES = 1 << 18


class TransferError(Exception):
    """The address did not give the file; the text says what it answered."""


class _ConnectionLostError(Exception):
    """The line went while the file was coming: worth another attempt from there."""


@dataclass(frozen=True)
class _Partial:
    """What is known of the file that a `.part` is the beginning of."""

    url: str
    total: int
    validator: str | None

    def write(self, part: Path) -> None:
        _note(part).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, part: Path) -> _Partial | None:
        try:
            return cls(**read_json(_note(part)))
        except (ValueError, TypeError):
            return None


class _SafeRedirects(request.HTTPRedirectHandler):
    """Follows redirects to HTTP(S) only, and never from HTTPS down to HTTP."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new == "http"):
            raise TransferError(f"redirects from {old} to {new}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    url: str,
    part: Path,
    *,
    progress: Progress | None = None,
    attempts: int = 4,
    timeout_s: float = 20.0,
    pause_s: float = 1.0,
) -> None:
    """Downloads `url` into `part`, going on from what an earlier call left there if it is the same file.

    A `.part` is continued only if it came from the same address and the server confirms, by `If-Range` on the
    recorded ETag or date, that the file has not changed; otherwise it starts again.

    Raises:
        TransferError: the server refuses, gives a web page or an endless file, or the line keeps being cut.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise TransferError("is not an HTTP(S) address")
    failed = 0
    while True:
        before = _size(part)
        try:
            return _attempt(url, part, progress, timeout_s)
        except _ConnectionLostError as cut:
            # A slow line that is cut every few megabytes still gets there.
            failed = 1 if _size(part) > before + _CHUNK_BYTES else failed + 1
            if failed >= attempts:
                raise TransferError(f"{cut} ({failed} attempts)") from None
            time.sleep(pause_s * 2 ** (failed - 1))


def discard(part: Path) -> None:
    """Deletes a `.part` and its note."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _attempt(url: str, part: Path, progress: Progress | None, timeout_s: float) -> None:
    known = _Partial.read(part)
    if known is None or known.url != url or known.validator is None or not part.is_file():
        discard(part)
        known = None
    have = _size(part) if known else 0
    if known and have == known.total:
        return
    headers = {"User-Agent": "vovnet-explorer", "Accept-Encoding": "identity"}
    if known and known.validator and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
    try:
        with _opener().open(request.Request(url, headers=headers), timeout=timeout_s) as response:  # noqa: S310 - http(s) only
            _receive(response, url, part, known, have, progress)
    except HTTPError as error:
        if error.code == 416:
            discard(part)
            raise _ConnectionLostError("no longer has the file that was partly downloaded") from None
        raise TransferError(f"answered {error.code} {error.reason}") from None
    except TimeoutError:
        raise _ConnectionLostError(f"timed out after {timeout_s:g} s") from None
    except URLError as error:
        reason = f"timed out after {timeout_s:g} s" if isinstance(error.reason, TimeoutError) else error.reason
        raise TransferError(f"could not be reached: {reason}") from None
    except (HTTPException, ConnectionError, ssl.SSLError) as error:
        raise _ConnectionLostError(f"closed the connection ({type(error).__name__})") from None


def _opener() -> request.OpenerDirector:
    """An opener that knows HTTP(S) and the environment's proxies, and no other kind of address."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        _SafeRedirects(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _receive(
    response: HTTPResponse, url: str, part: Path, known: _Partial | None, have: int, progress: Progress | None
) -> None:
    if response.headers.get_content_type() == "text/html":
        raise TransferError("answered with a web page instead of the file")
    etag = response.headers.get("ETag")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    if response.status == 206:
        total = _continued_total(response, known, have)
        if known is None or total != known.total:
            discard(part)
            raise _ConnectionLostError("continued with another file")
    else:
        have, total = 0, _whole_total(response)
    _Partial(url, total, validator).write(part)

    with part.open("ab" if have else "wb") as file:
        while have < total and (chunk := response.read1(min(_CHUNK_BYTES, total - have))):
            file.write(chunk)
            have += len(chunk)
            if progress:
                progress(have, total)
    if have < total:
        raise _ConnectionLostError(f"closed the connection after {have:,} of {total:,} bytes")


def _continued_total(response: HTTPResponse, known: _Partial | None, have: int) -> int | None:
    """The whole file's length, if a 206 answer starts exactly where we stopped."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    return int(match[2]) if known and match and int(match[1]) == have else None


def _whole_total(response: HTTPResponse) -> int:
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise TransferError("does not send the length of the file, so a dropped connection could not be detected")
    if int(length) > MAX_BYTES:
        raise TransferError(f"offers {int(length):,} bytes, more than any checkpoint of the zoo")
    return int(length)
