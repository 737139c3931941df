"""Videos that are cut off, lie about their size, or are lists of other files and addresses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from tests.hostile.attacks import Attack, cut

_NONE, _DAMAGED = "not an MP4, MOV, MKV, WebM or AVI video", "damaged|cut off|no frame|at most 64 million|another size"
_LISTS = {
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
    "a playlist of an address": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
    "a playlist with a key": b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:9/k"\n#EXTINF:1,\nx.ts\n',
    "a list to join": b"ffconcat version 1.0\nfile /etc/passwd\nfile http://127.0.0.1:9/x.mp4\n",
    "a manifest": b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>',
    "a session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "subtitles": b"[Script Info]\nTitle: x\n",
    "a script": b"#!/bin/sh\ntouch RAN\n",
    "pictures by number": b"%03d.png",
    "a GIF": b"GIF89a\1\0\1\0\0\0\0;",
    "nothing": b"",
}


@cache
def clip(code: str, suffix: str) -> bytes:
    """Five frames of 48 x 64 px."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10, (64, 48))
        noise = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
        for frame in noise:
            writer.write(frame)
        writer.release()
        return path.read_bytes()


def _box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", len(content) + 8 if size is None else size) + kind + content


_HEAD = _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")


def _larger(content: bytes, side: int) -> bytes:
    """Motion JPEG whose pictures say another size."""
    return content.replace(struct.pack(">2H", 48, 64), struct.pack(">2H", side, side))


def attacks() -> Iterator[Attack]:
    for title, content in _LISTS.items():
        for suffix in (".mp4", ".avi"):
            yield Attack(f"{title}, a video{suffix}", "video", {f"x{suffix}": content}, f"{_NONE}|0 bytes")
    mp4, avi = clip("mp4v", ".mp4"), clip("MJPG", ".avi")
    for title, content in cut("an MP4", mp4, times=12):
        yield Attack(title, "video", {"x.mp4": content}, _DAMAGED + "|0 bytes")
    for title, content in cut("an AVI", avi[:4000], times=6):
        yield Attack(title, "video", {"x.avi": content}, f"{_DAMAGED}|0 bytes|{_NONE}")
    made = {
        "a list behind an MP4's first bytes": _HEAD + _LISTS["a playlist"],
        "a list in an MP4": _HEAD + _box(b"free", _LISTS["a list to join"]) + _box(b"mdat", _LISTS["a playlist"]),
        "a box of 4 GB": _HEAD + _box(b"moov", bytes(64), 2**32 - 1),
        "a box that is shorter than its head": _HEAD + _box(b"moov", bytes(64), 3),
        "boxes 10,000 levels deep": _HEAD + b"".join(_box(b"moov", b"", 8 * n) for n in range(10_000, 0, -1)),
        "boxes of zeros": _HEAD + bytes(10_000),
        "a MKV of noise": b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 9,
        "an AVI of noise": b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrl" + bytes(range(256)) * 9,
    }
    for title, content in made.items():
        yield Attack(f"{title}, a video", "video", {"x.mp4": content}, _DAMAGED)
    for side in (9_000, 30_000, 65_500):
        yield Attack(f"an AVI of {side:,} x {side:,}", "video", {"x.avi": _larger(avi, side)}, _DAMAGED)
    yield Attack("a pipe as a video", "video", {"x.mp4": None}, "cannot be read")
    yield Attack("a device as a video", "video", {"x.mp4": "/dev/zero"}, "cannot be read")
    yield Attack("a folder as a video", "video", {"x.mp4": "/etc"}, "cannot be read")
