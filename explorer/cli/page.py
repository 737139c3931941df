"""`explorer app`, which `python app.py` is too: opens the page."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.running import MODELS, TrustCode, check_trusted, exit_codes


def _name_and_password(text: str | None) -> str | None:
    if text is not None and not all(text.partition(":")):
        raise typer.BadParameter("it takes NAME:PASSWORD, both of them")
    return text


def page(
    host: Annotated[
        str, typer.Option(envvar="GRADIO_SERVER_NAME", help="Address to listen on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(envvar="GRADIO_SERVER_PORT", help="The first free one from 7860 on if not given.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help=f"To offer first, {MODELS}; may be given several times.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="A checkpoint instead of the own one of the single --model.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH[:SPLIT]", help="A COCO folder for the tab Errors; else aerial scenes.")
    ] = None,
    max_model_memory: Annotated[float, typer.Option(metavar="MB", help="For the weights of loaded models.")] = 2000,
    trust_code: TrustCode = False,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:PASSWORD",
            callback=_name_and_password,
            help="Ask visitors for it; anyone between can read it without https.",
        ),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Publish through Gradio's relay, for anyone who knows the link.")
    ] = False,
    mcp: Annotated[
        bool,
        typer.Option("--mcp", help="Offer detect and models to language models too; needs the mcp extra of gradio."),
    ] = False,
) -> None:
    """Open the page that compares models; it ends with Ctrl+C."""
    from explorer.ui.layout import serve

    name, _, password = (auth or "").partition(":")
    with exit_codes():
        if weights is not None and len(model or ()) != 1:
            raise ValueError(f"--weights {weights} goes with one --model, and {len(model or ())} are given.")
        for one in model or ():
            check_trusted(one, trust_code)
        serve(
            host,
            port,
            model or (),
            weights=weights,
            data=data,
            memory_mb=max_model_memory,
            auth=(name, password) if auth else None,
            share=share,
            mcp=mcp,
        )
