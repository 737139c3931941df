"""`explorer app`: opens the page."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.running import exit_codes


def page(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: GRADIO_SERVER_PORT, else from 7860 on.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A config file or zoo name to offer too.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH[:SPLIT]", help="A COCO folder for the tab Errors; else aerial scenes.")
    ] = None,
    max_model_memory: Annotated[float, typer.Option(metavar="MB", help="For weights of loaded models.")] = 2000,
) -> None:
    """Open the page that compares models; `python app.py` has more switches."""
    from explorer.ui.layout import serve

    with exit_codes():
        serve(host, port, model or (), data=data, memory_mb=max_model_memory)
