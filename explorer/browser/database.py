"""FiftyOne and its database, opened the way this project wants it: nothing told to anyone, failures explained."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from explorer.doctor import add_extra, another_mongod, reinstall
from explorer.reading import parse_json, read_json
from explorer.text import legible

_LONGEST = 300


class DatabaseError(RuntimeError):
    """The database cannot be used; the message says why and what to do."""


def connect() -> Any:
    """Returns FiftyOne with its database answering.

    `FIFTYONE_DATABASE_URI` names one's own MongoDB; otherwise FiftyOne's embedded one is started. Usage tracking is off
    unless the user's own FiftyOne settings turn it on.

    Raises:
        DatabaseError: FiftyOne is not installed, or its database does not start or answer.
    """
    if find_spec("fiftyone") is None:
        raise DatabaseError(f"FiftyOne is not installed: {add_extra('browse')}")
    if "FIFTYONE_DO_NOT_TRACK" not in os.environ and not _says_about_tracking():
        os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
    os.environ.setdefault("FIFTYONE_LOGGING_DESTINATION", "stderr")  # results go to standard output
    if "FIFTYONE_DATABASE_URI" not in os.environ:
        # its own MongoDB is what it is: no notice on every start that it will be too old one day
        os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")
    import fiftyone

    uri = fiftyone.config.database_uri
    folder = Path(fiftyone.config.database_dir)
    if not uri and (problem := mongod_problem(_mongod(), folder)):
        raise DatabaseError(problem)
    try:
        fiftyone.list_datasets()
    except Exception as error:  # FiftyOne, pymongo and psutil each have their own; all mean the same here
        raise DatabaseError(_server_problem(uri, error) if uri else started_problem(folder, error)) from error
    return fiftyone


@contextmanager
def database_explained() -> Iterator[None]:
    """Around work with the database.

    Raises:
        DatabaseError: it ended meanwhile, or refuses.
    """
    from pymongo.errors import ConnectionFailure, PyMongoError

    try:
        yield
    except ConnectionFailure as error:
        raise DatabaseError(
            "FiftyOne's database no longer responds: its process ended, possibly because memory ran out. What was "
            "written is kept; run the same command again to continue."
        ) from error
    except PyMongoError as error:
        raise DatabaseError(f"FiftyOne's database returned an error: {legible(error, _LONGEST)}") from error


def check_answers() -> None:
    """Asks the database whether it is there.

    Raises:
        DatabaseError: it is not.
    """
    from fiftyone.core.odm import get_db_conn

    with database_explained():
        get_db_conn().command("ping")


def mongod_problem(mongod: Path, folder: Path) -> str | None:
    """Says what keeps FiftyOne's own MongoDB from starting, as far as can be seen before; None for nothing."""
    if not mongod.is_file():
        return f"FiftyOne's MongoDB, {mongod}, was not found. Install it ({reinstall()}), {_OWN}"
    try:
        tried = subprocess.run([mongod, "--version"], capture_output=True, text=True, timeout=60, check=False)
        said = (tried.stderr or tried.stdout).strip()
    except OSError as error:
        tried, said = None, str(error)
    if tried is None or tried.returncode:
        last = said.splitlines()[-1] if said else "it printed no message"
        return f"FiftyOne's MongoDB does not run here: {last}. Install one that does ({another_mongod(last)}), {_OWN}"
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return (
            f"the database folder {folder} cannot be written to. Choose one that can: "
            "export FIFTYONE_DATABASE_DIR=/a/folder/of/yours"
        )
    return None


def started_problem(folder: Path, error: BaseException) -> str:
    """Says why a MongoDB that was started on a folder did not come up, from what it logged."""
    reason = last_complaint(folder / "log" / "mongo.log") or str(error)
    fixes = {
        "cannot be written to": "choose one that can be (FIFTYONE_DATABASE_DIR)",
        "already running": "stop the other one, or give this one a folder of its own (FIFTYONE_DATABASE_DIR)",
        "DBPathInUse": "stop the other one, or give this one a folder of its own (FIFTYONE_DATABASE_DIR)",
        "Address already in use": "stop what uses that port",
        "No space left": "make room there, or choose another folder (FIFTYONE_DATABASE_DIR)",
        "Read-only file system": "choose a folder that can be written to (FIFTYONE_DATABASE_DIR)",
        "Permission denied": "choose a folder that can be written to (FIFTYONE_DATABASE_DIR)",
        "featureCompatibilityVersion": "it was written by another version of MongoDB: use that one, or a new folder",
        "UPGRADE PROBLEM": "it was written by another version of MongoDB: use that one, or a new folder",
    }
    fix = next((what for text, what in fixes.items() if text in reason), f"see {folder / 'log' / 'mongo.log'}")
    return f"FiftyOne's MongoDB did not start on {folder}: {reason}. To fix it: {fix}"


def last_complaint(log: Path) -> str | None:
    """Finds the last fatal error, or else error, in MongoDB's log."""
    if not log.is_file():
        return None
    complaints: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines()[-400:]:
        try:
            entry = parse_json(line)
            detail = entry.get("attr", {}).get("error", "")
        except (ValueError, AttributeError):
            continue
        text = " ".join(filter(None, (entry.get("msg", ""), detail if isinstance(detail, str) else str(detail))))
        complaints[entry.get("s", "")] = text
    fatal, error = complaints.get("F"), complaints.get("E")
    return error if error and (fatal is None or "DBPathInUse" in error) else fatal


def _server_problem(uri: str, error: BaseException) -> str:
    parts = urlsplit(uri)
    address = f"{parts.hostname or uri}{f':{parts.port}' if parts.port else ''}"  # without name and password
    return f"no usable MongoDB answers at {address} (FIFTYONE_DATABASE_URI): {error}. Start it, or unset the variable"


def _says_about_tracking() -> bool:
    """Whether the user's own FiftyOne settings say anything about tracking."""
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH") or Path.home() / ".fiftyone" / "config.json")
    try:
        return "do_not_track" in read_json(path)
    except (ValueError, TypeError):
        return False


def _mongod() -> Path:
    package = find_spec("fiftyone")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "db", "bin", "mongod")


_OWN = "or set FIFTYONE_DATABASE_URI to a MongoDB of your own"
