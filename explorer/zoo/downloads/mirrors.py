"""The user's own place for the zoo's files: `EXPLORER_MIRROR`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

VARIABLE = "EXPLORER_MIRROR"
_HUB = "https://huggingface.co"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
"""Names of repositories: `user/name`."""


@dataclass(frozen=True)
class Mirror:
    """Where the zoo's files are looked for first.

    Attributes:
        folder: on this machine; None for an address.
        base: the address below which the files lie; empty for a folder.
    """

    folder: Path | None = None
    base: str = ""

    def file(self, names: Sequence[str]) -> Path | None:
        """Returns the first of the files that the folder has."""
        paths = [self.folder / name for name in names] if self.folder else []
        return next((path for path in paths if path.is_file()), None)

    def addresses(self, names: Sequence[str]) -> tuple[str, ...]:
        """Returns where the files would be, to be tried in order."""
        return tuple(f"{self.base}/{quote(name)}" for name in names) if self.base else ()


def hub() -> str:
    """The address of the Hugging Face Hub, or of another hub that `HF_ENDPOINT` names, as huggingface_hub has it."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB


def mirror() -> Mirror | None:
    """Reads `EXPLORER_MIRROR`: a folder, an http(s) address, or a public Hugging Face repository, `user/name`.

    Returns:
        None where it is not set.

    Raises:
        ValueError: it is none of these.
    """
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return None
    if said.startswith(("https://", "http://")):
        return Mirror(base=said.rstrip("/"))
    folder = Path(said).expanduser()
    if folder.is_dir():
        return Mirror(folder)
    if REPOSITORY.fullmatch(said):
        return Mirror(base=f"{hub()}/{said}/resolve/main")
    raise ValueError(
        f"{VARIABLE} is {said!r}: give an existing folder, an http(s) address, or a Hugging Face repository as "
        "user/name."
    )
