"""Video files in, frames out: MP4, MOV, MKV, WebM and AVI, decoded by OpenCV's FFmpeg.

Files from outside are hostile until decoded. The content decides: FFmpeg also reads playlists that name other files and
addresses, which are refused before it sees them. Frames larger than a photo may be are refused, and whatever goes wrong
becomes one `VideoError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np

from explorer.data.images import MAX_PIXELS, ImageError
from explorer.reading import open_file
from explorer.types import Pixels

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""What video files are usually called; the content decides."""
FORMATS_IN_WORDS = "MP4, MOV, MKV, WebM or AVI"

_FILES_ONLY = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file"}
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our errors say what is wrong
_UNKNOWN_FPS = 25.0
_OPENING = Lock()
"""The environment and OpenCV's loglevel are the whole process's; visitors of the page come in threads."""


class VideoError(ImageError):
    """A video that cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class VideoFacts:
    """What a video's header says.

    Attributes:
        size: `(height, width)` of its frames in pixels.
        frames: how many there are; 0 where it does not say.
        fps: frames per second, on average; 25 where it does not say.
    """

    size: tuple[int, int]
    frames: int
    fps: float


class VideoFrame(NamedTuple):
    """A frame of a video.

    Attributes:
        number: it has in the video, from 0.
        time_s: when it is shown, in seconds from the start.
        image_bgr: `(height, width, 3)` uint8, BGR.
    """

    number: int
    time_s: float
    image_bgr: Pixels


def is_video(path: Path) -> bool:
    """Whether a file is called like a video."""
    return path.suffix.lower() in SUFFIXES


def read_facts(path: Path) -> VideoFacts:
    """Reads what a video's header says.

    Raises:
        VideoError: the file is missing, or no video of these formats, or its frames are too large.
    """
    with _opened(path) as (_, facts):
        return facts


def read_frames(path: Path, every: int = 1) -> Iterator[VideoFrame]:
    """Yields every n-th frame of a video, the first one first, upright.

    A video that is cut off ends with its last frame that can be decoded.

    Args:
        path: the file.
        every: take one of so many frames.

    Raises:
        ValueError: `every` is below 1.
        VideoError: the file is missing, or no video of these formats, its frames are too large or change their size,
            or none can be decoded.
    """
    if every < 1:
        raise ValueError(f"The interval between frames is {every}; give 1 or more.")
    with _opened(path) as (capture, facts):
        index = 0
        while capture.grab():
            if index % every == 0:
                decoded, image = capture.retrieve()
                if not decoded or image is None:
                    break
                if image.shape != (*facts.size, 3):
                    raise VideoError(f"{path}: frame {index} has another size than the video. Convert it to MP4.")
                # phones film faster in light than in the dark; a container without times says 0
                time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or index / facts.fps
                yield VideoFrame(index, time_s, np.asarray(image, dtype=np.uint8))
            index += 1
        if index == 0:
            raise VideoError(f"{path}: no frame can be decoded; it is damaged or cut off. Copy or export it again.")


class VideoWriter:
    """Writes an MP4 file, frame by frame."""

    def __init__(self, path: Path, fps: float) -> None:
        """Prepares a file; it is opened with the first frame, whose size all others have."""
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None

    def add(self, image_bgr: Pixels) -> None:
        """Adds a frame `(height, width, 3)`.

        Raises:
            OSError: the file cannot be written.
        """
        if self._writer is None:
            height, width = image_bgr.shape[:2]
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), cv2.CAP_FFMPEG, code, self._fps, (width, height))
        if not self._writer.isOpened():
            raise OSError(f"{self._path.name}: the video cannot be written")
        self._writer.write(image_bgr)

    def close(self) -> None:
        """Finishes the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[cv2.VideoCapture, VideoFacts]]:
    _judge(path)
    with _OPENING, _environment(_FILES_ONLY), _silent():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise VideoError(f"{path}: the video is damaged or uses an unsupported codec. Convert it to MP4.")
        height, width = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        if not 0 < height * width <= MAX_PIXELS:
            raise VideoError(
                f"{path}: its frames have {width} x {height} pixels; at most {MAX_PIXELS / 1e6:g} million are read."
            )
        count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        known = 0.1 <= fps <= 1000
        yield capture, VideoFacts((height, width), max(0, int(count)), fps if known else _UNKNOWN_FPS)
    finally:
        capture.release()


def _judge(path: Path) -> None:
    """Lets only containers through that hold their own pictures.

    Raises:
        VideoError: it is none of them.
    """
    try:
        with open_file(path) as file:
            head = file.read(12)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else "the file cannot be read"
        raise VideoError(f"{path}: {reason}. Check the path.") from error
    if not head:
        raise VideoError(f"{path}: the file is empty (0 bytes). Copy or export it again.")
    mp4, avi = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), head[8:12] == b"AVI "
    if not (mp4 or head[:4] == b"\x1a\x45\xdf\xa3" or (head[:4] == b"RIFF" and avi)):
        raise VideoError(f"{path}: this is not an {FORMATS_IN_WORDS} video. Convert it to MP4.")


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps OpenCV from writing warnings of its own."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables, which is how OpenCV hands options to FFmpeg, and sets them back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
