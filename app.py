"""Opens the page that compares detection backbones: `python app.py`, then the address it prints."""

from __future__ import annotations

import argparse


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets others in")
    parser.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, else the first free one from 7860 on")
    parser.add_argument("--model", action="append", default=[], help="a config file or zoo name to offer too")
    parser.add_argument("--data", metavar="PATH[:SPLIT]", help="a COCO folder for the tab Errors; else aerial scenes")
    parser.add_argument("--max-model-memory", type=float, default=2000, metavar="MB", help="for weights (2000)")
    parser.add_argument("--auth", metavar="NAME:PASSWORD", help="ask visitors for it; without https it can be read")
    parser.add_argument("--share", action="store_true", help="publish by a link that anyone who knows it can use")
    parser.add_argument("--mcp", action="store_true", help="offer detect and models to language models (gradio[mcp])")
    arguments = parser.parse_args()
    if arguments.auth and not all(arguments.auth.partition(":")):
        parser.error("--auth wants NAME:PASSWORD, both of them")
    return arguments


if __name__ == "__main__":
    arguments = parse_arguments()
    from explorer.ui.layout import serve  # after the arguments: --help needs no gradio

    name, _, password = (arguments.auth or "").partition(":")
    serve(
        arguments.host,
        arguments.port,
        arguments.model,
        data=arguments.data,
        memory_mb=arguments.max_model_memory,
        auth=(name, password) if arguments.auth else None,
        share=arguments.share,
        mcp=arguments.mcp,
    )
