"""`explorer app`: opens the page."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.running import exit_codes


def page(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: GRADIO_SERVER_PORT, else from 7860 on.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A config file or zoo name to offer too.")] = None,
) -> None:
    """Open the page that compares two models on a photo."""
    from explorer.ui.layout import serve

    with exit_codes():
        serve(host, port, model or ())
