"""The picture that people take away: every word is found again among its pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from explorer.engine.colors import class_color
from explorer.figures.sheet import labelled_sheet
from explorer.types import Detections

GREY = np.full((240, 320, 3), 128, np.uint8)
CLASSES = ("car", "plane")


def times_written(picture_bgr: npt.NDArray[np.uint8], words: str, font_px: int) -> int:
    """How often words stand in a picture: places that are as good as equal to the words drawn by themselves."""
    font = ImageFont.load_default(font_px)
    left, top, right, bottom = map(int, font.getbbox(words, anchor="lm"))
    drawn = Image.new("L", (right - left, bottom - top), 255)
    ImageDraw.Draw(drawn).text((-left, -top), words, 0, font, anchor="lm")
    grey = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY)
    alike = np.abs(cv2.matchTemplate(grey, np.asarray(drawn), cv2.TM_CCOEFF_NORMED))
    alike[~np.isfinite(alike)] = 0
    peaks = (alike >= 0.97) & (alike == cv2.dilate(alike, np.ones((9, 9))))
    return int(peaks.sum())


def found(*objects: tuple[int, float, tuple[int, int, int, int]]) -> Detections:
    classes, scores, boxes = zip(*objects, strict=True)
    arrays: Any = (np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes))
    return Detections(*arrays, CLASSES, (240, 320))


def test_names_of_models_legend_and_every_label_are_in_the_picture() -> None:
    crowd = [(0, 0.51 + 0.01 * place, (20 + 2 * place, 20, 60 + 2 * place, 50)) for place in range(10)]
    sheet = labelled_sheet(GREY, {"A · one": found(*crowd), "B · two": found((1, 0.97, (9, 9, 90, 90)))})
    assert [times_written(sheet, name, 18) for name in ("A · one", "B · two", "C · three")] == [1, 1, 0]
    assert [times_written(sheet[-40:], name, 18) for name in ("car", "plane", "ship")] == [1, 1, 0]
    size = round(3 * 320 / 55)
    assert [times_written(sheet, f"car {score}", size) for score in range(51, 61)] == [1] * 10
    assert [times_written(sheet, words, size) for words in ("plane 97", "plane 79", "car 61")] == [1, 0, 0]
    assert (sheet == class_color(0)[::-1]).all(axis=2).sum() > 100
