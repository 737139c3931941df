"""Models on the Hugging Face Hub, or on another hub that `HF_ENDPOINT` names, over huggingface_hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from explorer.types import Progress
from explorer.zoo.downloads.cache import DownloadError, offline_wanted
from explorer.zoo.downloads.mirrors import REPOSITORY, hub, mirror

PREFIX = "hf-hub:"
"""Begins MODEL arguments that mean a repository: `hf-hub:user/name`, or `hf-hub:user/name@revision`, as timm has it."""
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def repository_of(model: str | Path) -> str | None:
    """Returns the repository that a MODEL argument names, with its revision; None where it names something else.

    Raises:
        ValueError: it begins as one, and is none.
    """
    if not str(model).startswith(PREFIX):
        return None
    named = str(model).removeprefix(PREFIX)
    if not REPOSITORY.fullmatch(named.partition("@")[0]) or named.endswith("@"):
        raise ValueError(f"{str(model)!r} names no repository: give {PREFIX}user/name, or {PREFIX}user/name@revision.")
    return named


def fetch_repository(
    named: str, files: Sequence[str], *, offline: bool = False, progress: Progress | None = None
) -> Path:
    """Returns a folder with files of a repository, downloaded where huggingface_hub's cache has them not.

    A folder that `EXPLORER_MIRROR` names comes first, if it holds the files in `user/name`. The token of a private or
    gated repository is huggingface_hub's: `HF_TOKEN`, or what `hf auth login` has stored.

    Args:
        named: `user/name`, or `user/name@revision`.
        files: the names of the files, all of which must be there.
        offline: never open a connection (`EXPLORER_OFFLINE=1` does the same).
        progress: called with bytes done and bytes in total.

    Raises:
        DownloadError: the hub or the repository cannot be reached, may not be read, or lacks a file.
        ValueError: huggingface_hub is not installed.
    """
    repository, _, revision = named.partition("@")
    known = mirror()
    if known and (file := known.file([f"{repository}/{files[0]}"])):
        return _whole(file.parent, named, files)
    library = _huggingface_hub()
    with _explained(named):
        folder = library.snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(files),
            local_files_only=offline or offline_wanted(),
            tqdm_class=_bar(progress),
            endpoint=hub(),
        )
    return _whole(Path(folder), named, files)


def upload_folder(folder: Path, repository: str, *, message: str, private: bool = False) -> str:
    """Makes a repository where there is none, and puts the files of a folder into it in one commit.

    Returns:
        The repository's address.

    Raises:
        DownloadError: downloads, and with them uploads, are disabled; or the hub refuses, or cannot be reached.
        ValueError: it is no repository's name, there is no token, or huggingface_hub is not installed.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} names no repository: give it as user/name.")
    if offline_wanted():
        raise DownloadError(f"Connections are disabled (EXPLORER_OFFLINE): nothing was sent to {repository}.")
    library = _huggingface_hub()
    if not library.get_token():
        raise ValueError(f"Nobody is logged in to {hub()}: {_LOG_IN} to a token that may write.")
    api = library.HfApi(endpoint=hub(), library_name="vovnet-explorer")
    with _explained(repository):
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return f"{hub()}/{repository}"


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ValueError(
            "Hugging Face repositories need huggingface_hub: pip install 'vovnet-explorer[hub]'."
        ) from error
    return huggingface_hub


def _whole(folder: Path, named: str, files: Sequence[str]) -> Path:
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise DownloadError(
            f"{named} has no {' and no '.join(missing)}: it is not a model that `explorer zoo push` has put there."
        )
    return folder


@contextmanager
def _explained(named: str) -> Iterator[None]:
    """Says in one line what a hub's answer means."""
    from huggingface_hub import errors

    place = f"{hub()}/{named.partition('@')[0]}"
    try:
        yield
    except errors.GatedRepoError:
        _refuse(f"{named} is gated: ask for access at {place}, then {_LOG_IN}.")
    except errors.RepositoryNotFoundError:
        _refuse(f"There is no model {named} at {hub()}, or it is private: look at {place}, or {_LOG_IN}.")
    except errors.RevisionNotFoundError:
        _refuse(f"{named}: there is no such revision; see {place}/tree/main.")
    except errors.LocalEntryNotFoundError as error:
        if offline_wanted() or error.__cause__ is None:
            _refuse(f"Downloads are disabled, and {named} is not in the cache of huggingface_hub.")
        _refuse(f"{hub()} cannot be reached ({_cause(error)}), and {named} is not in the cache of huggingface_hub.")
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        hint = f": the token that is used may not do this; {_LOG_IN} to another" if code in (401, 403) else ""
        _refuse(f"{hub()} refused {named} with {code} {error.response.reason_phrase}{hint}.")
    except (OSError, RuntimeError) as error:  # the disk is full, a file breaks off
        _refuse(f"{named} cannot be transferred: {_cause(error)}")
    except Exception as error:  # of the HTTP client, which changes between versions of huggingface_hub
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore"):
            raise
        _refuse(f"{hub()} cannot be reached ({_cause(error)}).")


def _refuse(message: str) -> NoReturn:
    raise DownloadError(message) from None


def _cause(error: BaseException) -> str:
    said = error.__cause__ or error
    return f"{type(said).__name__}: {str(said).partition(chr(10))[0]}"


def _bar(progress: Progress | None) -> type:
    """A class for huggingface_hub's progress bars that shows nothing and passes the bytes of files on."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **{**named, "disable": True})
            self._bytes_done = 0 if named.get("unit") == "B" else None

        def update(self, n: float | None = 1) -> None:
            if progress and self._bytes_done is not None:
                self._bytes_done += int(n or 0)
                progress(self._bytes_done, max(int(self.total or 0), self._bytes_done))

    return Bar
