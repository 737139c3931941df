"""FiftyOne's App on a data set, on this machine only."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer.browser.database import check_answers
from explorer.browser.views import AS_USED, WORKSPACE

ADDRESS = "127.0.0.1"
FIRST_PORT = 5151
PATIENCE_S = 60
"""How long the App may take to answer a notebook."""
CHECKED_EVERY_S = 2
"""How often the database is asked whether it is there while the App is shown."""
PLUGIN = Path(__file__).parent / "plugin"


def install_plugin(plugins: Path) -> Path:
    """Puts the plugin where FiftyOne looks for it, and returns its folder there.

    Only what is ours is replaced; FiftyOne reads the folder when the App starts.
    """
    folder = plugins / "vovnet-explorer"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(PLUGIN.iterdir()):
        target = folder / source.name
        if source.is_file() and (not target.is_file() or target.read_bytes() != source.read_bytes()):
            shutil.copyfile(source, target)
    return folder


def free_port(port: int | None) -> int:
    """Returns a port that nobody uses: the one asked for, or the first from 5151 on.

    Raises:
        OSError: the port that is asked for is taken.
    """
    for candidate in [port] if port else range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as probe:
            if probe.connect_ex((ADDRESS, candidate)) != 0:
                return candidate
    raise OSError(
        f"port {port or FIRST_PORT} is in use by another App or program: choose a free port (--port), or stop it"
    )


def serve(dataset: Any, *, port: int | None, browser: bool, on_start: Callable[[str], None]) -> None:
    """Shows a data set in the App until it is interrupted.

    Args:
        dataset: FiftyOne's.
        port: to listen on; None for the first free one from 5151 on.
        browser: whether to open it in the user's browser.
        on_start: called with its address.

    Raises:
        OSError: the port is taken.
        DatabaseError: the database ended meanwhile.
    """
    port = free_port(port)
    spaces = dataset.load_workspace(WORKSPACE) if dataset.has_workspace(WORKSPACE) else None
    session = _launch(dataset, port, spaces=spaces, remote=not browser)
    try:
        on_start(f"http://{ADDRESS}:{port}/datasets/{dataset.slug}")
        while True:  # as its `wait` does, which does not see that the database is gone
            time.sleep(CHECKED_EVERY_S)
            check_answers()
    except KeyboardInterrupt:
        pass
    finally:
        session.close()


def show(dataset: Any, *, height_px: int = 700) -> Any:
    """Shows a data set in the App below a notebook's cell, and returns FiftyOne's session, which can be steered."""
    session = _launch(dataset, free_port(None), auto=False)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            session.show(height=height_px)
        except RuntimeError:  # its server is not up yet; FiftyOne goes on trying
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return session


def _launch(dataset: Any, port: int, **options: Any) -> Any:
    import fiftyone as fo

    logging.getLogger("fiftyone").setLevel(logging.WARNING)  # its greeting would bury the address
    logging.getLogger("fiftyone.core.config").setLevel(logging.ERROR)  # warns of settings that FiftyOne itself made
    view = dataset.load_saved_view(AS_USED) if dataset.has_saved_view(AS_USED) else None
    return fo.launch_app(dataset, view=view, port=port, address=ADDRESS, **options)
