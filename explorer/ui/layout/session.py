"""What all tabs share: the models, what was asked for, how far an action is, and how it is stopped."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from explorer.text import in_html
from explorer.ui.actions.dataset import DataSet, data_set
from explorer.ui.actions.errors import uploaded_data
from explorer.ui.actions.fields import Fields
from explorer.ui.actions.models import Models, uploaded_pair
from explorer.ui.actions.progress import ProgressBar, Stopped
from explorer.zoo.downloads import DownloadError

Action = TypeVar("Action", bound=Callable[..., Any])

SHORT: dict[str, Any] = {"concurrency_id": "short", "concurrency_limit": 1}
"""For actions that run models for seconds: one at a time, so that none sees another's hooks or waits for its cores."""
_AGAIN = (
    "Try again: the CPU takes over if the GPU no longer works. If this message comes back, the page has to be started "
    "without the GPU, with CUDA_VISIBLE_DEVICES=-1 in front of its command."
)
"""What a visitor can do about a GPU that fails."""
LONG: dict[str, Any] = {"concurrency_id": "long", "concurrency_limit": 1}
"""For those that take minutes, beside the short ones and with models of their own."""


@dataclass(frozen=True, eq=False)
class Desk:
    """What one server keeps.

    Attributes:
        models: the detectors for short actions.
        models_for_long: those for actions that take minutes, so that short ones need not wait; they report what
            `explorer evaluate` does, above their own thresholds.
        fields: their receptive fields.
        data: annotated images given at start; None for procedural scenes.
        folder: for files to take away, a subfolder per session; gone when the server is.
    """

    models: Models
    models_for_long: Models
    fields: Fields = field(default_factory=Fields)
    data: str | None = None
    folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="vovnet-explorer-")
    )
    _stopped: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _owned: dict[str, list[str]] = field(default_factory=dict)
    _data: dict[str, list[DataSet]] = field(default_factory=dict)
    _uploads: Iterator[int] = field(default_factory=lambda: count(1))

    def folder_of(self, request: gr.Request) -> Path:
        """Returns a session's own folder."""
        folder = Path(self.folder.name) / str(request.session_hash)
        folder.mkdir(exist_ok=True)
        return folder

    def stop(self, request: gr.Request) -> None:
        """Makes a session's running action end at its next step."""
        with self._lock:
            self._stopped.add(str(request.session_hash))

    def forget(self, request: gr.Request) -> None:
        """Removes what was kept for a session that is over."""
        with self._lock:
            self._stopped.discard(str(request.session_hash))
        for name in self._owned.pop(str(request.session_hash), ()):
            self._drop(name)
        self._data.pop(str(request.session_hash), None)
        shutil.rmtree(Path(self.folder.name) / str(request.session_hash), ignore_errors=True)

    def take_model(self, files: Sequence[str] | None, request: gr.Request) -> str:
        """Makes an uploaded model one that can be used until the session is over, and returns its name.

        Raises:
            ValueError: it cannot be loaded.
        """
        checkpoint, config = uploaded_pair(files)
        name = f"upload {next(self._uploads)}: {checkpoint.name}"
        for models in (self.models, self.models_for_long):
            models.add(name, checkpoint, config)
        try:
            self.models.get(name)
        except ValueError:
            self._drop(name)
            raise
        self._owned.setdefault(str(request.session_hash), []).append(name)
        return name

    def take_data(
        self, archive: str | None, request: gr.Request, progress: ProgressBar | None = None
    ) -> dict[str, str]:
        """Unpacks and checks an uploaded data set, which is kept until the session is over.

        Returns:
            What to call each of its splits, and where it is.

        Raises:
            ValueError: there is none, the archive is refused, or the check finds errors; the message says which.
        """
        if archive is None:
            raise ValueError("Choose a zip archive of a data set first.")
        folder = Path(tempfile.mkdtemp(prefix="data-", dir=self.folder_of(request)))
        try:
            splits = uploaded_data(Path(archive), folder, progress)
            read = [data_set(source, protocol=self.models.protocol) for source in splits.values()]
        except ValueError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._data.setdefault(str(request.session_hash), []).extend(own for own in read if own)
        return splits

    def data_of(self, request: gr.Request) -> Sequence[DataSet]:
        """Returns the data sets that a session uploaded, whose photos are recognised in Compare."""
        return self._data.get(str(request.session_hash), ())

    def _drop(self, name: str) -> None:
        for models in (self.models, self.models_for_long):
            models.remove(name)

    def telling(self, bar: gr.Progress, request: gr.Request) -> ProgressBar:
        """Returns a callback that moves a progress bar and ends the action when the session wants that."""
        session = str(request.session_hash)
        with self._lock:
            self._stopped.discard(session)

        def tell(share: float, words: str) -> None:
            with self._lock:
                stopped = session in self._stopped
                self._stopped.discard(session)
            if stopped:
                raise Stopped("Stopped.")
            bar(share, desc=words)

        return tell


def _of_a_gpu(error: RuntimeError) -> str:
    """How a GPU failed, and what a visitor can do, who chooses no device; nothing of another kind of error."""
    from explorer.engine.devices import gpu_failure  # torch, which is loaded where a GPU failed

    reason = gpu_failure(error)
    return f"The GPU failed: {reason}. {_AGAIN}" if reason else ""


def explained(action: Action) -> Action:
    """Shows a user's mistake, or what is not available, as a message on the page instead of a trace in the log."""

    @wraps(action)
    def act(*arguments: Any, **named: Any) -> Any:
        try:
            return action(*arguments, **named)
        except Stopped as reason:
            raise gr.Error(in_html(reason), title="Stopped", print_exception=False, duration=3) from reason
        except (ValueError, RuntimeError) as error:
            told = str(error) if isinstance(error, (ValueError, DownloadError)) else _of_a_gpu(error)
            if not told:
                raise
            said = "<br>".join(map(in_html, told.split("\n")))
            raise gr.Error(said, title="Error", print_exception=False) from error

    return act  # type: ignore[return-value]
