"""What every reader of a format makes: a document in COCO's form, and a list of what it could not take over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from reprlib import repr as shorten
from typing import Any

from explorer.data.ids import Id
from explorer.data.images import SUFFIXES, ImageError, read_size
from explorer.data.problems import Problem
from explorer.reading import open_file, read_bytes

DIFFICULT: Mapping[str, Any] = {"difficult": 1, "iscrowd": 1}
"""Keys of an object that an evaluation neither asks for nor forbids, as COCO has it of crowds."""
_LONGEST_NUMBER = 18
"""Digits of a file name that is taken for a number."""


@dataclass(frozen=True)
class Document:
    """A split's annotations.

    Attributes:
        content: `images`, `categories` and `annotations` as in COCO's files; boxes `[x, y, width, height]` in absolute
            pixels of the upright image.
        problems: what was wrong with the files, and, of kind `format`, what they cannot say.
    """

    content: dict[str, Any]
    problems: list[Problem]


@dataclass(frozen=True)
class ForeignSplit:
    """One split of a data set in a format other than COCO's.

    Attributes:
        format: its name, as people say it.
        images: folder that `file_name`s are relative to.
        list_files: the annotation files, by which a change is noticed.
        read: reads them; raises ValueError where they cannot be read at all.
    """

    format: str
    images: Path
    list_files: Callable[[], tuple[Path, ...]] = field(compare=False, repr=False)
    read: Callable[[], Document] = field(compare=False, repr=False)


@dataclass
class Collector:
    """Collects images and objects by file name, and numbers them at the end.

    Attributes:
        root: folder of the data set; an image outside of it is refused, one that a link leads out to is counted.
        images: folder that names are relative to.
        says: what the format cannot say, for the problem of kind `format`.
    """

    root: Path
    images: Path
    says: str
    problems: list[Problem] = field(default_factory=list)
    _images: dict[str, dict[str, Any]] = field(default_factory=dict)
    _objects: list[dict[str, Any]] = field(default_factory=list)
    _links: list[str] = field(default_factory=list)

    def image(self, name: str, size: tuple[int, int] | None = None, own_id: Id | None = None) -> tuple[int, int] | None:
        """Adds an image and returns its `(height, width)`; None where it cannot be used, which is a problem then.

        Args:
            name: relative to the images' folder; backslashes are taken for slashes where the file lies there.
            size: `(height, width)` as the format says it; else the file's header is read.
            own_id: the format's own id; the same at each call for an image.
        """
        name = clean_name(name, self.images)
        if (known := self._images.get(name)) is not None:
            if known["id"] != own_id:
                what = f"it is the image of both id {known['id']} and id {own_id}: give each a file of its own"
                self.problems.append(Problem("structure", what, file=name))
            return known["height"], known["width"]
        if leads_out(name):
            what = f"image {shorten(name)} would lie outside of the data set's folder"
            self.problems.append(Problem("outside-image", what, file=name))
            return None
        path = self.images / name
        try:
            if not path.resolve().is_relative_to(self.root.resolve()):
                self._links.append(name)
        except ValueError:  # a NUL in it, or half a character
            self.problems.append(Problem("unreadable-image", "no file can have such a name", file=name))
            return None
        if size is None or min(size) < 1:
            try:
                size = read_size(path)
            except ImageError as error:
                missing = isinstance(error.__cause__, FileNotFoundError)
                kind = "missing-image" if missing else "unreadable-image"
                self.problems.append(Problem(kind, str(error), file=name))
                return None
        self._images[name] = {"id": own_id, "file_name": name, "height": size[0], "width": size[1]}
        return size

    def add(self, image: str, category: Id, box_xywh: Sequence[float], **keys: Any) -> None:
        """Adds an object of an image that was added; boxes of any numbers, which are judged with all others."""
        name = clean_name(image, self.images)
        record: dict[str, Any] = {"image": name, "category_id": category, "bbox": list(box_xywh), "iscrowd": 0}
        self._objects.append(record | keys)

    def lose(self, kind: str, what: str, file: str) -> None:
        """Notes what could not be taken over."""
        self.problems.append(Problem(kind, what, file=file))

    def document(self, names: Mapping[Id, str] | Sequence[str] | set[str]) -> Document:
        """Numbers images, categories and objects.

        Args:
            names: of the classes by their ids; or names alone, which objects have as `category_id` and which are then
                numbered from 1 on, in their order or, where they have none, sorted.
        """
        if isinstance(names, Mapping):
            classes, id_of = dict(names), {key: key for key in names}
        else:
            ordered = sorted(names) if isinstance(names, set) else dict.fromkeys(names)
            classes = dict(enumerate(ordered, start=1))
            id_of = {name: key for key, name in classes.items()}
        image_ids = self._number_images()
        annotations = [
            {"id": record.pop("id", number), "image_id": image_ids[record.pop("image")]}
            | {**record, "category_id": id_of.get(record["category_id"], record["category_id"])}
            for number, record in enumerate(self._objects, start=1)
        ]
        if self._links:
            what = f"{len(self._links)} images lie outside of the data set's folder, where links lead"
            self.problems.append(Problem("linked-images", what, file=self._links[0]))
        self.problems.append(Problem("format", self.says))
        images = list(self._images.values())
        categories = [{"id": key, "name": name} for key, name in classes.items()]
        return Document({"images": images, "categories": categories, "annotations": annotations}, self.problems)

    def _number_images(self) -> dict[str, Id]:
        numbered = name_ids([name for name, record in self._images.items() if record["id"] is None])
        for name, record in self._images.items():
            record["id"] = numbered[name] if record["id"] is None else record["id"]
        return {name: record["id"] for name, record in self._images.items()}


def name_ids(names: Sequence[str]) -> dict[str, Id]:
    """Gives images ids after their names: the number that each name is, as in COCO's files, else the name itself.

    Suffixes are left out where the rest is enough to tell images apart, so that results that name images so are
    understood. An id stays what it is when images are added.
    """
    stems = {name: str(PurePosixPath(name).with_suffix("")) for name in names}
    if len(set(stems.values())) < len(stems):
        return {name: name for name in names}
    whole = all(stem.isascii() and stem.isdigit() and len(stem) <= _LONGEST_NUMBER for stem in stems.values())
    numbers: dict[str, Id] = {name: int(stem) for name, stem in stems.items()} if whole else {}
    return numbers if len(set(numbers.values())) == len(stems) else dict(stems)


def clean_name(name: str, folder: Path) -> str:
    """Writes a file name with slashes, as Windows programs do not; a file whose name has a backslash keeps it."""
    if "\\" in name and not exists(folder / name):
        name = name.replace("\\", "/")
    return name.removeprefix("./")


def leads_out(name: str) -> bool:
    """Tells whether a file name, which came with a file, would leave the folder that it is relative to."""
    return not name or name.startswith(("/", "\\", "~")) or ".." in name.split("/") or name[1:3] in {":/", ":\\"}


def exists(path: Path) -> bool:
    """Tells whether there is a file; none has a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False


def begins(path: Path, most: int) -> bytes:
    """Returns so many bytes from a file's start; none where there is no file that can be read."""
    try:
        with open_file(path) as file:
            return file.read(most)
    except OSError:
        return b""


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Yields files with one of these suffixes in a folder and in those inside, by name; links to folders are left."""
    below = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in suffixes and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            below.append(path)
    for path in below:
        yield from files_below(path, suffixes)


def images_below(folder: Path) -> Iterator[Path]:
    """Yields image files in a folder and in those inside, by name."""
    return files_below(folder, SUFFIXES)


def read_text(path: Path) -> str:
    r"""Reads a text file in UTF-8, with or without a byte order mark; each line end becomes `\n`.

    Raises:
        ValueError: it cannot be read, is larger than a gigabyte, or is in another encoding.
    """
    try:
        return read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        where = f"{error.reason} at byte {error.start}"
        raise ValueError(f"{path} is not in UTF-8 ({where}): save it again as UTF-8") from error


def number(text: Any) -> float:
    """Reads a number as files have it; what is none is NaN, which `explorer data check` names."""
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def corner_box(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    """Returns COCO's `[x, y, width, height]` of a box that is given by two corners; `x2` and `y2` are exclusive."""
    return [x1, y1, x2 - x1, y2 - y1]


def scaled(box_xywh: Sequence[float], width: float, height: float) -> list[float]:
    """Takes a box in shares of an image's sides to pixels."""
    return [end * side for end, side in zip(box_xywh, (width, height, width, height), strict=True)]


def polygon_box(points: Sequence[float]) -> list[float]:
    """Returns the smallest box `[x, y, width, height]` around a flat polygon `[x1, y1, x2, y2, …]`.

    It is NaN where the polygon has no point, or one that is NaN.
    """
    xs, ys = points[0::2], points[1::2]
    if not ys or any(value != value for value in points):
        return [float("nan")] * 4
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
