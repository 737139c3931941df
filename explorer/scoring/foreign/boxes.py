"""What every format comes to: a box on an image, of a class, with a score; and COCO results made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from reprlib import repr as shorten
from typing import Any, NamedTuple

from explorer.data.formats.document import corner_box, scaled
from explorer.data.ids import Id
from explorer.scoring.columns import Truth
from explorer.scoring.identify import FileNames


class Box(NamedTuple):
    """A detection.

    Attributes:
        image: what its file is called: a path, a name or a stem.
        label: the class's name, or its place among the data's classes, from 0.
        corners: `x1, y1, x2, y2`, in pixels of the original image, or in shares of its sides.
        score: of the detection.
        relative: corners are shares.
        where: what to call it in errors, as in `line 3`.
    """

    image: Any
    label: Any
    corners: Sequence[Any]
    score: Any
    relative: bool = False
    where: str = ""


class Looked(NamedTuple):
    """An image that a detector was run on, whether it found something or not.

    Attributes:
        image: what its file is called, as of `Box`.
    """

    image: Any


def results_of(
    boxes: Iterable[Box | Looked], truth: Truth, source: object, looked: set[Id] | None = None
) -> Iterator[dict[str, Any]]:
    """Turns detections into COCO results, with the data's ids.

    Args:
        boxes: the detections, among images that were looked at.
        truth: the images and classes that they are on.
        source: what to call them in errors.
        looked: to which the ids of the latter are added.

    Raises:
        ValueError: an image or a class is not in the data, or a value is no number.
    """
    names = FileNames(truth)
    image_ids, categories = truth.image_ids.tolist(), truth.category_ids.tolist()
    rows: dict[Any, int] = {}
    number = -1
    for box in boxes:
        if isinstance(box, Looked):
            row = names.row(box.image) if isinstance(box.image, (str, int)) else None
            if looked is not None and row is not None:
                looked.add(image_ids[row])
            continue
        number += 1
        try:
            if box.image not in rows:
                rows[box.image] = _row(names, box.image)
            row = rows[box.image]
            height, width = truth.image_sizes[row].tolist() if box.relative else (1, 1)
            corners = [_number(end, "coordinate") for end in box.corners]
            result: dict[str, Any] = {
                "image_id": image_ids[row],
                "bbox": scaled(corner_box(*corners), width, height),
                "score": _number(box.score, "score"),
            }
            result |= _category(box.label, categories, truth.class_names)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}: {box.where or f'detection {number} (counted from 0)'} {error}") from error
        yield result


def named(label: Any, class_names: Mapping[int, str] | Sequence[str]) -> Any:
    """Returns the name of a class by its index; without names, the index.

    Raises:
        ValueError: there are names, and none for this index.
    """
    if not class_names:
        return int(label)
    try:
        return str(class_names[int(label)])
    except (KeyError, IndexError) as error:
        raise ValueError(f"a detection has class {int(label)}, which class_names does not name") from error


def _row(names: FileNames, image: Any) -> int:
    if not isinstance(image, (str, int)) or isinstance(image, bool):
        raise ValueError(f"is on image {shorten(image)}, which must be the name of a file")
    row = names.row(image)
    if row is None:
        raise ValueError(f"is on image {shorten(image)}, and the data has no file that is called so")
    return row


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"has {what} {shorten(value)}, which must be a number") from error


def _category(label: Any, categories: Sequence[Id], class_names: Sequence[str]) -> dict[str, Any]:
    if isinstance(label, str):
        return {"category_id": label, "category_name": label}
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(categories):
        raise ValueError(
            f"has class {shorten(label)}; the data has {len(categories)} classes, 0 ({class_names[0]!r}) to "
            f"{len(categories) - 1} ({class_names[-1]!r}), in the order of their ids"
            if categories
            else f"has class {shorten(label)}, and the data has no classes"
        )
    return {"category_id": categories[label]}
