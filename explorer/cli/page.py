"""`explorer app`, which `python app.py` is too: opens the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.groups import grouped
from explorer.cli.loading import MODELS, InferenceOptions, TrustCode, check_trusted
from explorer.cli.running import exit_codes
from explorer.cli.scoring import ProtocolOptions


def _name_and_password(text: str | None) -> str | None:
    if text is not None and not all(text.partition(":")):
        raise typer.BadParameter("give both, as NAME:PASSWORD")
    return text


@grouped
def page(
    host: Annotated[
        str,
        typer.Option(
            envvar="GRADIO_SERVER_NAME", help="Address to listen on; 0.0.0.0 accepts connections from other machines."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(envvar="GRADIO_SERVER_PORT", help="Port of the page. [default: the first free one from 7860]"),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help=f"Model to list first: {MODELS}. Can be repeated.")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Checkpoint to load instead of that of the single --model.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH[:SPLIT]",
            help=(
                "Data set, PATH[:SPLIT], for the Errors tab and for the annotations of its photos. [default: generated "
                "aerial scenes]"
            ),
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help=(
                "Results of any detector on --data, listed beside the models: a file or folder as `explorer evaluate "
                "--results` reads it, or a run. Can be repeated."
            ),
        ),
    ] = None,
    *,
    rules: ProtocolOptions,
    max_model_memory: Annotated[
        float, typer.Option(metavar="MB", help="Memory limit for the weights of loaded models, in MB.")
    ] = 800,
    inference: InferenceOptions,
    trust_code: TrustCode = False,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:PASSWORD",
            callback=_name_and_password,
            help="Require a login, NAME:PASSWORD; use HTTPS in front of the page.",
        ),
    ] = None,
    share: Annotated[
        bool,
        typer.Option("--share", help="Publish the page through Gradio's relay; anyone who knows the link can use it."),
    ] = False,
    mcp: Annotated[
        bool,
        typer.Option("--mcp", help="Offer the API to language models through MCP; requires gradio[mcp]."),
    ] = False,
) -> None:
    """Start the page that compares models. Press Ctrl+C to stop it."""
    from explorer.scoring.protocols import COCO
    from explorer.ui.layout import serve

    name, _, password = (auth or "").partition(":")
    with exit_codes():
        if weights is not None and len(model or ()) != 1:
            raise ValueError(f"--weights {weights} requires exactly one --model, but {len(model or ())} are given.")
        for one in model or ():
            check_trusted(one, trust_code)
        serve(
            host,
            port,
            model or (),
            weights=weights,
            data=data,
            results=results or (),
            protocol=rules.asked() or COCO,
            memory_mb=max_model_memory,
            inference=vars(inference),
            auth=(name, password) if auth else None,
            share=share,
            mcp=mcp,
        )
