"""Which image files of the folders that a user names are taken, and why the others are not."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from explorer.data.images import SUFFIXES

_NAMED = 3
_WITH_IMAGES = "a folder with images; --recursive includes it"


@dataclass(frozen=True)
class ImageFiles:
    """The files to read, and those that were passed over.

    Attributes:
        taken: images, in the order of the sources and sorted within each folder; each once.
        skipped: the reason by file or folder.
    """

    taken: list[Path] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What was passed over in one line: numbers and first names by reason; empty where nothing was."""
        names = defaultdict(list)
        for path, reason in self.skipped.items():
            names[reason].append(path.name)
        parts = (
            f"{len(own)} × {reason} ({', '.join(own[:_NAMED])}{', …' if len(own) > _NAMED else ''})"
            for reason, own in names.items()
        )
        return f"Skipped: {'; '.join(parts)}." if names else ""


def find_images(
    sources: Iterable[str | Path], *, recursive: bool = False, results: Collection[Path] = ()
) -> ImageFiles:
    """Lists image files: files as they are, existing or not, and of folders those whose suffix is an image's.

    Args:
        sources: files and folders.
        recursive: take the images of folders within folders too; links to folders are not followed.
        results: files and folders that the caller writes, which are passed over.

    Raises:
        ValueError: a folder holds no image, or nothing is named at all.
    """
    taken: dict[Path, Path] = {}
    skipped: dict[Path, str] = {}
    own = {path.resolve() for path in results}
    for source in map(Path, sources):
        found = [source]
        if source.is_dir():
            passed: dict[Path, str] = {}
            found = list(_images_in(source, recursive, own, passed))
            if not found:
                why = ImageFiles([], passed).summary
                raise ValueError(f"Folder {source} holds no images: looked for {', '.join(SUFFIXES)}. {why}".strip())
            skipped |= passed
        for path in found:
            if taken.setdefault(path.resolve(), path) != path:
                skipped[path] = "a second path to the same file"
    if not taken:
        raise ValueError("No images were given: name image files or folders of images.")
    return ImageFiles(list(taken.values()), skipped)


def _images_in(folder: Path, recursive: bool, results: Collection[Path], skipped: dict[Path, str]) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        skipped[folder] = f"a folder that cannot be read: {error.strerror}"
        return
    for entry in entries:
        if entry.resolve() in results:
            skipped[entry] = "a result of this command"
        elif recursive and entry.is_dir() and not entry.is_symlink():
            yield from _images_in(entry, recursive, results, skipped)
        elif reason := _reason_against(entry, results):
            skipped[entry] = reason
        elif not entry.is_dir():
            yield entry


def _reason_against(entry: Path, results: Collection[Path]) -> str | None:
    if entry.is_dir():
        if entry.is_symlink():
            return "a link to a folder"
        return _WITH_IMAGES if _holds_images(entry, results) else None
    if not entry.is_file():
        return "a broken link" if entry.is_symlink() else "neither a file nor a folder"
    suffix = entry.suffix.lower()
    return None if suffix in SUFFIXES else f"{suffix} file" if suffix else "file without a suffix"


def _holds_images(folder: Path, results: Collection[Path]) -> bool:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if (Path(place) / name).resolve() not in results]
        if any(Path(name).suffix.lower() in SUFFIXES for name in files):
            return True
    return False
