"""Which image and which class of a data set a result means: by id, or by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from reprlib import repr as shorten
from typing import Any, Literal, get_args

import numpy as np

from explorer.data.ids import Id
from explorer.scoring.columns import Truth
from explorer.types import Ints

MatchBy = Literal["id", "file_name"]
"""How images are told: by id, or by the file's path, name, stem or number."""
LACKING = -1
"""The class row of a class that the data does not have."""

_BY_ID = "match by id (match_by='id', --match-by id)"
_BY_NAME = "match by file name (match_by='file_name', --match-by file_name)"


def check_match_by(given: str | None) -> MatchBy | None:
    """Returns what is given.

    Raises:
        ValueError: it is no way of matching.
    """
    for known in get_args(MatchBy):
        if given == known:
            return known  # type: ignore[no-any-return]
    if given is not None:
        raise ValueError(f"images cannot be matched by {given!r}: give {' or '.join(get_args(MatchBy))}, or nothing")
    return None


class FileNames:
    """The images of a data set by what their files are called."""

    def __init__(self, truth: Truth) -> None:
        self._paths = [PurePosixPath(name) for name in truth.file_names]
        self._rows: dict[Id, list[int]] = {}
        for row, path in enumerate(self._paths):
            keys: set[Id] = {path.name, path.stem}
            if path.stem.isascii() and path.stem.isdigit():
                keys.add(int(path.stem))
            for key in keys:
                self._rows.setdefault(key, []).append(row)

    def row(self, name: Id) -> int | None:
        """Finds an image; among several of one name, the one that shares most folders with the name.

        Args:
            name: as in `val/000007.jpg`, `000007.jpg`, `000007`, or 7.

        Raises:
            ValueError: it may be several.
        """
        if isinstance(name, int):
            rows = self._rows.get(name, [])
        else:
            wanted = _path(name)
            rows = self._rows.get(wanted.name, [])
            if len(rows) > 1:
                shared = [_shared_folders(self._paths[row], wanted) for row in rows]
                rows = [row for row, number in zip(rows, shared, strict=True) if number == max(shared)]
        if len(rows) > 1:
            files = " or ".join(str(self._paths[row]) for row in rows[:2])
            raise ValueError(f"is on image {name!r}, which may be {files}: name more of the path, or {_BY_ID}")
        return rows[0] if rows else None


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _shared_folders(path: PurePosixPath, other: PurePosixPath) -> int:
    pairs = list(zip(reversed(path.parts[:-1]), reversed(other.parts[:-1]), strict=False))
    return next((number for number, (own, its) in enumerate(pairs) if own != its), len(pairs))


class Images(dict[Any, int]):
    """Image rows by the `image_id` of results; one that is not there raises ValueError with words for it.

    Ids tell images wherever they fit. Otherwise names do: a text that is no id is a file's name (one that reads like an
    id may be either, and is refused), and images that the results list go by the names that they are listed with where
    their ids belong to other files in the data.

    Args:
        truth: the images.
        match_by: "id" or "file_name" for one of the ways alone.
        listed: the file name of each image that the results list, by their own id.
    """

    def __init__(self, truth: Truth, match_by: MatchBy | None, listed: Mapping[Id, str]) -> None:
        self._truth, self._match_by, self._listed = truth, match_by, listed
        if match_by == "id" or (match_by is None and self._ids_fit()):
            super().__init__(truth.row_of_image)

    def __missing__(self, own: Id) -> int:
        row = self._by_name(own)
        if row is None:
            name = f" ({self._listed[own]!r})" if own in self._listed else ""
            advice = _BY_ID if self._listed else _BY_NAME
            raise ValueError(
                f"is on image {shorten(own)}{name}, which is not among the {len(self._truth.image_ids)} images "
                f"evaluated{'' if self._match_by else f'; or {advice}'}"
            )
        self[own] = row
        return row

    def row_listed(self, own: Id) -> int | None:
        """The image that one which the results list is; None where the data does not have it."""
        row = self.get(own)
        return self._by_name(own) if row is None else row

    def rows_listed(self) -> Ints:
        """The images of the data set that the results list, ascending.

        Raises:
            ValueError: two that they list are one.
        """
        found: dict[int, Id] = {}
        for own, name in self._listed.items():
            row = self.row_listed(own)
            if row is not None and found.setdefault(row, own) != own:
                raise ValueError(
                    f"its images {shorten(found[row])} and {shorten(own)} ({name}) are both "
                    f"{self._truth.file_names[row]}"
                )
        return np.array(sorted(found), dtype=np.int64)

    def _by_name(self, own: Id) -> int | None:
        if own in self._listed:
            return None if self._match_by == "id" else self._names.row(self._listed[own])
        if self._match_by is None and own in self._id_texts:
            raise ValueError(
                f"is on image {own!r}, a string, but this id is a number in the data: write a number, or {_BY_NAME}"
            )
        by_name = self._match_by == "file_name" or (self._match_by is None and isinstance(own, str))
        return self._names.row(own) if by_name else None

    @cached_property
    def _names(self) -> FileNames:
        return FileNames(self._truth)

    @cached_property
    def _id_texts(self) -> frozenset[str]:
        return frozenset(map(str, self._truth.row_of_image))

    def _ids_fit(self) -> bool:
        rows, files = self._truth.row_of_image, self._truth.file_names
        shared = [(name, files[rows[own]]) for own, name in self._listed.items() if own in rows]
        return all(_path(name).name == _path(file).name for name, file in shared) and bool(shared or not self._listed)


class Classes(dict[Any, int]):
    """Class rows by the `category_id` of results, or by `(category_id, category_name)`.

    Where results name their categories, names decide, and one that the data does not have is `LACKING`. Ultralytics
    numbers in its results from 1 on the classes that its own data sets, and so these here, number from 0 on.

    Args:
        truth: the classes.
        match_by: "id" lets ids decide.
        listed: the name of each category that the results list, by their own id.
        ultralytics: the results are its own.

    Attributes:
        lacking: the names of those that the data does not have, by key.

    Raises:
        ValueError: the results list categories, and share none with the data.
    """

    def __init__(
        self, truth: Truth, match_by: MatchBy | None, listed: Mapping[Id, str], *, ultralytics: bool = False
    ) -> None:
        self.lacking: dict[Any, str] = {}
        self._by_id = match_by == "id"
        self._rows = {name: row for row, name in enumerate(truth.class_names)}
        ids = truth.category_ids.tolist()
        from_one = ultralytics and not self._by_id and ids == list(range(len(ids)))
        by_id: dict[Id, int] = {own + 1 if from_one else own: row for row, own in enumerate(ids)}
        if listed and not self._by_id:
            by_id = {own: self._named(own, own, name) for own, name in listed.items()}
            if max(by_id.values()) == LACKING:
                raise ValueError(
                    f"none of its classes ({some(listed.values())}) is one of the data's ({some(self._rows)}): "
                    f"if they are the same under other names, {_BY_ID}"
                )
        super().__init__(by_id)

    def __missing__(self, key: Any) -> int:
        category_id, name = key if isinstance(key, tuple) else (key, None)
        if isinstance(name, str) and not self._by_id:
            row = self._named(key, category_id, name)
        elif category_id in self:
            row = self[category_id]
        else:
            known = some(own for own in self if not isinstance(own, tuple))
            raise ValueError(
                f"has category_id {shorten(category_id)}, which the data set does not have; its ids are {known}"
            )
        self[key] = row
        return row

    def _named(self, key: Any, category_id: Id, name: str) -> int:
        # the second is how categories of one name are told apart
        for known in (name, f"{name} (id {category_id})"):
            if known in self._rows:
                return self._rows[known]
        self.lacking[key] = name
        return LACKING


def some(values: Iterable[Any]) -> str:
    """Lists the first eight."""
    shown = [str(value) for value in values]
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")
