"""What every format comes to: a box on an image, of a class, with a score; and COCO results made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from reprlib import repr as shorten
from typing import Any, NamedTuple

from explorer.data.formats.document import corner_box, scaled
from explorer.data.ids import Id, as_id
from explorer.scoring.columns import Truth
from explorer.scoring.identify import FileNames, some

_WHOLE = re.compile(r"\d{1,15}(\.0+)?")


class IdOrName(str):
    """An image as a column `image_id` has it: by its id in the data, or by what its file is called."""


class NameOrPlace(str):
    """A class as a table has it: by a name that the data has or, where it is a whole number, else by its place."""


class CategoryId(str):
    """A class as a column `category_id` has it: by its id in the data."""


class Box(NamedTuple):
    """A detection.

    Attributes:
        image: what its file is called: a path, a name or a stem; or `IdOrName`.
        label: the class's name, or its place among the data's classes, from 0; or `NameOrPlace`, or `CategoryId`.
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
    image_ids, category_ids = truth.image_ids.tolist(), truth.category_ids.tolist()
    image_of, class_of = ({str(own): row for row, own in enumerate(ids)} for ids in (image_ids, category_ids))
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
                rows[box.image] = _row(names, truth, image_of, box.image)
            row = rows[box.image]
            height, width = truth.image_sizes[row].tolist() if box.relative else (1, 1)
            corners = [_number(end, "coordinate") for end in box.corners]
            result: dict[str, Any] = {
                "image_id": image_ids[row],
                "bbox": scaled(corner_box(*corners), width, height),
                "score": _number(box.score, "score"),
            }
            label = box.label if not isinstance(box.label, CategoryId) else _by_id(class_of, box.label)
            result |= _category(label, category_ids, truth.class_names)
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


def _row(names: FileNames, truth: Truth, image_of: Mapping[str, int], image: Any) -> int:
    if not isinstance(image, (str, int)) or isinstance(image, bool):
        raise ValueError(f"is on image {shorten(image)}, which must be the name of a file")
    by_id = _by_text(image_of, image) if isinstance(image, IdOrName) else None
    row = names.row(image)
    if row is not None and by_id is not None and row != by_id:
        raise ValueError(
            f"is on image_id {image}, which is the id of {truth.file_names[by_id]} and the name of "
            f"{truth.file_names[row]}: name images in a column file_name"
        )
    row = by_id if row is None else row
    if row is None:
        raise ValueError(f"is on image {shorten(image)}, and the data set has no file of that name")
    return row


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"has {what} {shorten(value)}, which must be a number") from error


def _by_text(row_of: Mapping[str, int], text: str) -> int | None:
    """The row of the id that is written so; numbers may have zeros in front, or behind the point as pandas has them."""
    own = str(as_id(float(text))) if _WHOLE.fullmatch(text) else text
    return row_of.get(text, row_of.get(own))


def _by_id(class_of: Mapping[str, int], given: CategoryId) -> int:
    row = _by_text(class_of, given)
    if row is None:
        raise ValueError(
            f"has category_id {shorten(str(given))}, which is no id of the data; its ids are {some(class_of)}. "
            "Places among the classes, from 0 on, belong in a column class_id"
        )
    return row


def _category(label: Any, categories: Sequence[Id], class_names: Sequence[str]) -> dict[str, Any]:
    if isinstance(label, NameOrPlace) and label not in class_names and label.isascii() and label.isdigit():
        label = int(label)
    if isinstance(label, str):
        return {"category_id": str(label), "category_name": str(label)}
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(categories):
        raise ValueError(
            f"has class {shorten(label)}; the data has {len(categories)} classes, 0 ({class_names[0]!r}) to "
            f"{len(categories) - 1} ({class_names[-1]!r}), in the order of their ids"
            if categories
            else f"has class {shorten(label)}, and the data has no classes"
        )
    return {"category_id": categories[label]}
