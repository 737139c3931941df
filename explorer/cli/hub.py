"""`explorer zoo push`: a model into a repository of the Hugging Face Hub, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import ConfigFile, Model, TrustCode, Weights, exit_codes, load


def push(
    model: Model,
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository; made where missing.")],
    licence: Annotated[
        str | None, typer.Option("--licence", help="Of the weights, such as Apache-2.0. [default: the zoo's]")
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--run", metavar="FOLDER", help="An evaluation of it, for the card's figures; may be given several times."
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="What else the card should say.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write the files there, and send nothing.")
    ] = None,
    weights: Weights = None,
    config_file: ConfigFile = None,
    trust_code: TrustCode = False,
    json_file: JsonFile = None,
) -> None:
    """Publish a model: its config, its weights as safetensors, and a card with licence, data and figures.

    Others then name it hf-hub:USER/NAME. Log in first with `hf auth login`, or set HF_TOKEN.
    """
    said: dict[str, Any] = {"licence": licence, "runs": tuple(runs or ()), "note": note}
    with exit_codes():
        options: dict[str, Any] = {"exact": True, "weights": weights, "config_file": config_file}
        detector = load(model, trust_code=trust_code, device="cpu", **options)
        if out is not None:
            from explorer.api.hub import save_pretrained

            place = str(save_pretrained(detector, out, repository=repository, **said))
        else:
            place = detector.push_to_hub(repository, private=private, **said)
        if json_file:
            write_output({"model": detector.name, "repository": repository, "place": place}, json_file)
    if json_file != "-":
        say(place)
