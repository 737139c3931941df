"""Opens the page that compares detection backbones: `python app.py`, then the address it prints."""

from __future__ import annotations

import argparse


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets others in")
    parser.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, else the first free one from 7860 on")
    parser.add_argument("--model", action="append", default=[], help="a config file or zoo name to offer too")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_arguments()
    from explorer.ui.layout import serve  # after the arguments: --help needs no gradio

    serve(arguments.host, arguments.port, arguments.model)
