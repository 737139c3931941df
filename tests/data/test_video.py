"""Videos are read frame by frame as they were written; what is no video, or names other files, gets one clear error."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from explorer.data.video import VideoError, VideoWriter, is_video, read_facts, read_frames


def shade(index: int) -> int:
    return 20 + 20 * index


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames of 48 x 64 px, each of another grey."""
    path = tmp_path / "clip.mp4"
    writer = VideoWriter(path, fps=10)
    for index in range(10):
        writer.add(np.full((48, 64, 3), shade(index), np.uint8))
    writer.close()
    return path


@pytest.mark.parametrize("every", [1, 3])
def test_every_nth_frame_comes_in_order(clip: Path, every: int) -> None:
    facts = read_facts(clip)
    assert (facts.size, facts.frames, facts.fps) == ((48, 64), 10, pytest.approx(10))
    frames = list(read_frames(clip, every))
    assert [frame.number for frame in frames] == list(range(0, 10, every))
    for frame in frames:
        assert frame.time_s == pytest.approx(frame.number / 10)
        assert frame.image_bgr.shape == (48, 64, 3)
        assert abs(frame.image_bgr.mean() - shade(frame.number)) < 6


def test_frames_that_last_differently_have_the_file_s_times(clip: Path) -> None:
    clip.write_bytes(with_durations(clip.read_bytes(), [0.5] * 8 + [3, 3]))
    assert read_facts(clip).fps == pytest.approx(10)
    times = [frame.time_s for frame in read_frames(clip)]
    assert times == pytest.approx([*np.arange(9) * 0.05, 0.7], abs=1e-3)


def with_durations(boxes: bytes, durations: list[float]) -> bytes:
    """Writes into an MP4 how long each frame is shown, in the time of one before (ISO/IEC 14496-12, 8.6.1.2)."""
    out, at = b"", 0
    while at < len(boxes):
        (size,), kind = struct.unpack_from(">I", boxes, at), boxes[at + 4 : at + 8]
        body = boxes[at + 8 : at + size]
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            body = with_durations(body, durations)
        elif kind == b"stts":
            unit = struct.unpack_from(">I", body, 12)[0]
            entries = [struct.pack(">II", 1, int(unit * own)) for own in durations]
            body = struct.pack(">II", 0, len(entries)) + b"".join(entries)
        out += struct.pack(">I", 8 + len(body)) + kind + body
        at += size
    return out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not an MP4, MOV, MKV, WebM or AVI video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not an MP4"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not an MP4"),
        (b"\0\0\0\x20ftypisom" + bytes(100), "damaged"),
        (b"\x1a\x45\xdf\xa3" + bytes(200), "damaged"),
        (b"RIFF\x10\0\0\0AVI LIST" + bytes(60), "damaged"),
        (b"RIFF\x10\0\0\0WAVEfmt " + bytes(60), "not an MP4"),
    ],
)
def test_what_is_no_video_gets_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for read in (read_facts, lambda path: list(read_frames(path))):
        with pytest.raises(VideoError, match=says) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_off_video_ends_or_is_refused(clip: Path, share: float) -> None:
    content = clip.read_bytes()
    clip.write_bytes(content[: int(share * len(content))])
    with pytest.raises(VideoError, match=r"clip\.mp4"):  # an MP4's table of contents stands at its end
        list(read_frames(clip))


def test_a_video_with_damaged_pictures_breaks_nothing(clip: Path) -> None:
    content = bytearray(clip.read_bytes())
    start = content.index(b"mdat") + 4
    length = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    noise = np.random.default_rng(0).integers(0, 256, length // 2, dtype=np.uint8).tobytes()
    content[start + length // 2 : start + length // 2 + len(noise)] = noise
    clip.write_bytes(content)
    assert 0 < len(list(read_frames(clip))) <= 10


def test_missing_files_and_wrong_steps(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(VideoError, match="there is no such file"):
        read_facts(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="give 1 or more"):
        list(read_frames(clip, 0))
    assert is_video(Path("a.MOV"))
    assert not is_video(Path("a.jpg"))
