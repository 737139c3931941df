"""A data set in a zip archive, unpacked within bounds: it fills no disk and leaves its folder nowhere."""

from __future__ import annotations

import errno
import stat
import zipfile
from pathlib import Path, PurePosixPath
from zlib import error as ZlibError

MAX_FILES = 20_000
MAX_BYTES = 2_000_000_000
"""Of all files together, as they are when unpacked."""
_SUFFIXES = {
    ".json",
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".txt",
    ".yaml",
    ".yml",
    ".xml",
    ".csv",
}
_IGNORED = {"__MACOSX", ".DS_Store"}
_LONGEST_NAME = 200
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""With these the archive is not to blame."""
_STEP = 2**20


def unpack(archive: Path, folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> Path:
    """Unpacks a data set.

    Only annotations and images are written, under the names that they have in the archive, and not a byte more than is
    allowed, whatever the archive says of their sizes.

    Args:
        archive: the zip file.
        folder: an empty folder to unpack into.
        max_files: how many files it may have.
        max_bytes: how large they may be together.

    Returns:
        The data set's folder: `folder`, or the one that everything is in.

    Raises:
        ValueError: the disk is full, or it is no zip archive, is damaged or encrypted, has links or names that lead
            elsewhere or differ in case alone, or is too large; nothing is said of where it was unpacked.
    """
    left = max_bytes
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.filename.endswith("/")]
            members = [member for member in members if _IGNORED.isdisjoint(PurePosixPath(member.filename).parts)]
            if len(members) > max_files:
                raise ValueError(f"The archive has {len(members):,} files; at most {max_files:,} are unpacked.")
            _check_names(members)
            for member in members:
                left -= _write(opened, member, folder / member.filename, left)
    except (zipfile.BadZipFile, ZlibError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _DISK_FAULTS:
            raise ValueError(
                f"The archive cannot be unpacked here: {error.strerror}. Make room, and try again."
            ) from error
        raise ValueError(
            "The file is not a readable zip archive: it is damaged, encrypted or in another format."
        ) from (error)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and not _is_split(inside[0]) else folder


def _is_split(path: Path) -> bool:
    """Whether a lone folder is a part of a data set, as `train` is, and not the folder of one."""
    return path.name in {"annotations", "train", "val", "valid", "test"}


def _check_names(members: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for member in members:
        name = member.filename
        path = PurePosixPath(name)
        shown = repr(name[:60])
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in member.orig_filename:
            raise ValueError(
                f"The archive has a file {shown}, whose name leads out of its folder; nothing is unpacked."
            )
        if len(name.encode()) > _LONGEST_NAME or not name.isprintable():
            raise ValueError(f"The archive has a file {shown}, a name that is too long or cannot be read.")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ValueError(f"The archive has {shown}, which is a link or no file; nothing is unpacked.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"The archive has {shown} compressed by an unsupported method; create it with `zip`.")
        if member.flag_bits & 1:
            raise ValueError("The archive is encrypted; upload it without a password.")
        if path.suffix.lower() not in _SUFFIXES:
            raise ValueError(f"The archive has a file {shown}; only annotations and images are taken.")
        if name.lower() in seen:
            raise ValueError(f"The archive has two files {shown}; nothing is unpacked.")
        seen.add(name.lower())


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, left: int) -> int:
    """Writes one file, and returns its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, path.open("xb") as target:
        while content := source.read(_STEP):
            written += len(content)
            if written > left:
                raise ValueError("The archive's files are larger than is allowed when they are unpacked.")
            target.write(content)
    if written != member.file_size:
        raise zipfile.BadZipFile("a file has another size than the archive says")
    return written
