"""Where names stand on a picture, so that none covers another, or another object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FONT_PX = 11
_LETTER_PX, _LINE_PX, _GAP_PX = 6.4, 15.0, 2.0
_MOST_WIDTHS = 3
"""Of a box, that a label may have."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A label and its lower left corner, in the picture's pixels.

    Attributes:
        index: of the box that it names.
        x: from the left.
        y: from the top, of the label's lower edge.
    """

    index: int
    x: float
    y: float


def place_labels(boxes_xyxy: Sequence[Box], words: Sequence[str], view_xyxy: Box, scale: float) -> list[Label]:
    """Finds room above, below or inside each box; those without room get no label, and earlier boxes come first.

    Boxes much narrower than their label get none where the word stands already: it would hide what is beside them.

    Args:
        boxes_xyxy: in the picture's pixels.
        words: of each box.
        view_xyxy: the part of the picture that is seen.
        scale: pixels of the screen to one of the picture.
    """
    left, top, right, bottom = view_xyxy
    high = _LINE_PX / scale
    placed: list[Label] = []
    taken: list[Box] = []
    for index, (box, text) in enumerate(zip(boxes_xyxy, words, strict=True)):
        wide = (_LETTER_PX * len(text) + 2 * _GAP_PX) / scale
        if wide > _MOST_WIDTHS * (box[2] - box[0]) and any(words[own.index] == text for own in placed):
            continue
        others = [own for place, own in enumerate(boxes_xyxy) if place != index and not _contains(own, box)]
        for x, y in _corners(box, wide, high, _GAP_PX / scale):
            x = min(max(x, left), right - wide)
            own = (x, y - high, x + wide, y)
            seen = left <= own[0] and own[2] <= right and top <= own[1] and own[3] <= bottom
            near = box[0] < right and box[2] > left and box[1] < bottom and box[3] > top
            if seen and near and not any(_meet(own, other) for other in (*taken, *others)):
                placed.append(Label(index, x, y))
                taken.append(own)
                break
    return placed


def name_points(
    points_xy: Sequence[tuple[float, float]],
    words: Sequence[str],
    frame_xyxy: Box,
    obstacles: Sequence[Box] = (),
    *,
    letter_px: float = _LETTER_PX,
    mark_px: float = 14,
) -> list[tuple[float, float]]:
    """Finds room for a name beside each mark of a plot, farther away where it is crowded.

    Args:
        points_xy: in pixels, y from the top.
        words: of each point.
        frame_xyxy: within which names have to stay.
        obstacles: what no name may cover, such as lines.
        letter_px: how wide a letter is.
        mark_px: the side of a mark.

    Returns:
        From each point, how many pixels its name's left lower corner lies to the right and down.
    """
    half = mark_px / 2
    marks = [(x - half, y - half, x + half, y + half) for x, y in points_xy]
    taken: list[Box] = [*marks, *obstacles]
    offsets: list[tuple[float, float]] = []
    for (x, y), text in zip(points_xy, words, strict=True):
        wide = letter_px * len(text) + 2 * _GAP_PX
        best, fewest = (half + _GAP_PX, _LINE_PX / 2), len(taken) + 1
        for right, down in _around(wide, half):
            own = (x + right, y + down - _LINE_PX, x + right + wide, y + down)
            inside = frame_xyxy[0] <= own[0] and own[2] <= frame_xyxy[2]
            inside &= frame_xyxy[1] <= own[1] and own[3] <= frame_xyxy[3]
            met = sum(_meet(own, other) for other in taken)
            if inside and met < fewest:
                best, fewest = (right, down), met
            if not fewest:
                break
        offsets.append(best)
        taken.append((x + best[0], y + best[1] - _LINE_PX, x + best[0] + wide, y + best[1]))
    return offsets


def _around(wide: float, half: float) -> Iterator[tuple[float, float]]:
    """Where a name may stand, the nearest places first: its left lower corner, from its point."""
    for far in (half + _GAP_PX, 2 * half + 8, 3 * half + 20, 4 * half + 40):
        middle, below = _LINE_PX / 2, far + _LINE_PX
        yield far, middle
        yield -far - wide, middle
        for right in (-wide / 2, far - half, half - far - wide):
            yield right, -far
            yield right, below


def _corners(box: Box, wide: float, high: float, gap: float) -> Iterator[tuple[float, float]]:
    x1, y1, x2, y2 = box
    yield x1, y1 - gap
    yield x1, y2 + gap + high
    yield x2 - wide, y1 - gap
    yield x2 - wide, y2 + gap + high
    yield x2 + gap, y1 + high
    yield x1 - gap - wide, y1 + high
    if x2 - x1 > wide and y2 - y1 > 3 * high:
        yield x1 + gap, y1 + high + gap


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _contains(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]
