import functools
import hashlib
import json
import threading
import time

import pytest

from explorer.zoo import downloads
from explorer.zoo.downloads import DownloadError, adopt, cache_dir, transfer
from tests.zoo.conftest import Page

BODY = bytes(range(256)) * 40
OTHER = bytes(reversed(BODY))
SHA = hashlib.sha256(BODY).hexdigest()

fetch = functools.partial(downloads.fetch, name="a/model", pause_s=0.001)


@pytest.fixture
def path(cache):
    return cache / "weights/model.pth"


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("EXPLORER_CACHE")
    assert cache_dir().parts[-2:] == (".cache", "vovnet-explorer")


def test_a_file_arrives_whole_with_its_sha256_recorded(site, path):
    seen = []
    url = site.add("/f", Page(BODY))
    assert fetch(path, [url], progress=lambda *at: seen.append(at)) == path
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    record = json.loads(path.with_name("model.pth.json").read_text())
    assert record == {"sha256": SHA, "size": len(BODY), "source": url}
    assert not list(path.parent.glob("*.part*"))
    fetch(path, [url])
    assert len(site.requests) == 1


def test_sources_are_tried_in_order(site, path):
    urls = [site.status("/forbidden", 403), site.add("/good", Page(BODY)), site.add("/never", Page(OTHER))]
    fetch(path, urls)
    assert path.read_bytes() == BODY
    assert [request for request, _ in site.requests] == ["/forbidden", "/good"]


@pytest.mark.parametrize("cuts", [[1], [5000], [5000, 100, 1], [len(BODY) - 1]])
def test_a_cut_line_is_resumed_where_it_was_cut(site, path, cuts):
    fetch(path, [site.add("/f", Page(BODY, cuts=list(cuts)))])
    assert path.read_bytes() == BODY
    starts = [None] + [f"bytes={sum(cuts[: i + 1])}-" for i in range(len(cuts))]
    assert [wanted for _, wanted in site.requests] == starts


def test_a_later_call_goes_on_from_the_first_ones_part(site, path):
    page = Page(BODY, cuts=[4000, 0, 0, 0])
    with pytest.raises(DownloadError, match="closed the connection after 4,000 of 10,240 bytes"):
        fetch(path, [site.add("/f", page)])
    assert not path.exists()
    fetch(path, [site.url + "/f"])
    assert path.read_bytes() == BODY
    assert site.requests[-1] == ("/f", "bytes=4000-")


def test_a_slow_line_may_be_cut_more_often_than_attempts(site, path, monkeypatch):
    monkeypatch.setattr(transfer, "_CHUNK_BYTES", 256)
    fetch(path, [site.add("/f", Page(BODY, cuts=[1000] * 9))])
    assert path.read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_never_mixed(site, path):
    with pytest.raises(DownloadError):
        fetch(path, [site.add("/f", Page(BODY, cuts=[4000, 0, 0, 0]))])
    site.add("/f", Page(OTHER, etag='"two"'))
    fetch(path, [site.url + "/f"])
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize(
    "said",
    ["bytes 0-10239/10240", "bytes 4000-10239/99999", "bytes 4000-10239/*", "nonsense", "bytes 3999-10239/10240"],
)
def test_a_server_that_continues_wrongly_is_asked_anew(site, path, said):
    def lie(handler):
        page = Page(BODY, headers={"Content-Range": said}) if handler.headers.get("Range") else Page(BODY)
        if not lied:
            lied.append(page.cuts.append(4000))
        page(handler)

    lied = []
    fetch(path, [site.add("/f", lie)])
    assert path.read_bytes() == BODY
    assert [wanted for _, wanted in site.requests] == [None, "bytes=4000-", None]


def test_without_a_validator_a_download_starts_again(site, path):
    fetch(path, [site.add("/f", Page(BODY, etag="", cuts=[4000]))])
    assert path.read_bytes() == BODY
    assert [wanted for _, wanted in site.requests] == [None, None]


def test_a_part_of_one_source_is_not_continued_from_another(site, path):
    urls = [site.add("/one", Page(OTHER, cuts=[4000] + [0] * 3)), site.add("/two", Page(BODY))]
    fetch(path, urls)
    assert path.read_bytes() == BODY
    assert site.requests[-1] == ("/two", None)


def test_when_all_fail_one_message_names_each_answer(site, path):
    page = {"Content-Type": "text/html; charset=utf-8"}
    urls = [
        site.status("/forbidden", 403),
        site.add("/page", Page(b"<!DOCTYPE html>", headers=page)),
        site.add("/disguised", Page(b"\n <html><body>log in</body>")),
        site.add("/cut", Page(BODY, cuts=[10, 0, 0, 0])),
        site.add("/wrong", Page(OTHER)),
        site.add("/empty", Page(b"")),
        site.add("/huge", Page(BODY, headers={"Content-Length": str(10**13)})),
        "http://127.0.0.1:9/",
        "file:///etc/passwd",
    ]
    with pytest.raises(DownloadError) as failure:
        fetch(path, urls, sha256=SHA)
    message = str(failure.value)
    for url, answer in zip(
        urls,
        [
            "answered 403 Forbidden",
            "answered with a web page",
            "returned a web page",
            "closed the connection after 10 of 10,240 bytes",
            f"returned another file: its sha256 is {hashlib.sha256(OTHER).hexdigest()}, expected {SHA}",
            "returned an empty file",
            "offers 10,000,000,000,000 bytes",
            "could not be reached",
            "is not an HTTP(S) address",
        ],
        strict=True,
    ):
        (line,) = [line for line in message.splitlines() if line.startswith(f"  {url} ")]
        assert answer in line
    assert "explorer zoo fetch a/model --from FILE" in message
    assert "--weights FILE" in message
    assert not path.exists()


def test_a_silent_server_is_given_up(site, path):
    def sleep(handler):
        time.sleep(0.3)

    with pytest.raises(DownloadError, match=r"timed out after 0.05 s \(4 attempts\)"):
        fetch(path, [site.add("/f", sleep)], timeout_s=0.05)


def test_a_length_is_demanded(site, path):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY)

    with pytest.raises(DownloadError, match="does not send the length"):
        fetch(path, [site.add("/f", endless)])


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_lead_to_http_only(site, path, target):
    with pytest.raises(DownloadError, match=r"not followed|not allowed|answered 302"):
        fetch(path, [site.status("/f", 302, Location=target)])


def test_https_never_leads_down_to_http():
    asked = transfer.request.Request("https://example.org/f")
    with pytest.raises(transfer.TransferError, match="redirects from https to http, which is not followed"):
        transfer._SafeRedirects().redirect_request(asked, None, 302, "Found", {}, "http://example.org/f")


def test_http_redirects_are_followed(site, path):
    site.add("/real", Page(BODY, cuts=[4000]))
    fetch(path, [site.status("/f", 302, Location="/real")])
    assert path.read_bytes() == BODY
    assert site.requests[-1] == ("/real", "bytes=4000-")


def test_a_damaged_file_is_downloaded_again(site, path):
    url = site.add("/f", Page(BODY))
    fetch(path, [url])
    path.write_bytes(OTHER)
    fetch(path, [url])
    assert path.read_bytes() == BODY


def test_a_source_whose_file_changed_since_first_use_is_refused(site, path):
    url = site.add("/f", Page(BODY))
    fetch(path, [url])
    path.unlink()
    site.add("/f", Page(OTHER))
    with pytest.raises(DownloadError, match=r"another file.*recorded on first use; delete .*model.pth.json"):
        fetch(path, [url])
    path.with_name("model.pth.json").unlink()
    fetch(path, [url])
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline_opens_no_connection(site, path, by, monkeypatch):
    url = site.add("/f", Page(BODY))
    offline = by == "argument"
    if not offline:
        monkeypatch.setenv("EXPLORER_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"disabled.*does not exist.*--from FILE"):
        fetch(path, [url], offline=offline)
    assert not site.requests
    adopt_from = path.parent.parent / "mine.pth"
    adopt_from.parent.mkdir(parents=True)
    adopt_from.write_bytes(BODY)
    adopt(path, adopt_from, name="a/model")
    assert fetch(path, [url], offline=offline) == path
    path.write_bytes(OTHER)
    with pytest.raises(DownloadError, match="is not the file recorded"):
        fetch(path, [url], offline=offline)
    assert not site.requests


def test_a_file_handed_in_is_checked(path, tmp_path):
    mine = tmp_path / "mine.pth"
    with pytest.raises(ValueError, match="is not a file"):
        adopt(path, mine, name="a/model")
    mine.write_bytes(b"<!doctype html><p>404")
    with pytest.raises(DownloadError, match="returned a web page"):
        adopt(path, mine, name="a/model")
    mine.write_bytes(OTHER)
    with pytest.raises(DownloadError, match="returned another file"):
        adopt(path, mine, name="a/model", sha256=SHA)
    assert not path.exists()
    mine.write_bytes(BODY)
    assert adopt(path, mine, name="a/model", sha256=SHA.upper()).read_bytes() == BODY


def test_two_at_once_download_once(site, path):
    def slow(handler):
        time.sleep(0.1)
        Page(BODY)(handler)

    url = site.add("/f", slow)
    threads = [threading.Thread(target=fetch, args=(path, [url])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == BODY
    assert len(site.requests) == 1
