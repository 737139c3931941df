"""`explorer zoo push`: a model into a repository of the Hugging Face Hub, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from explorer.cli.loading import CheckpointOptions, ConfigFile, Model, TrustCode, Weights
from explorer.cli.output import JsonFile, say, write_output
from explorer.cli.running import exit_codes


def push(
    model: Model,
    repository: Annotated[
        str, typer.Argument(metavar="USER/NAME", help="The repository, as user/name; created if it does not exist.")
    ],
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the weights, such as Apache-2.0. [default: the zoo's]")
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--run", metavar="FOLDER", help="A run of the model for the figures of the card. Can be repeated."
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Additional text for the card.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Create the repository as private.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write the files to this folder instead of uploading them."),
    ] = None,
    weights: Weights = None,
    config_file: ConfigFile = None,
    trust_code: TrustCode = False,
    json_file: JsonFile = None,
) -> None:
    """Publish a model: its config, its weights as safetensors, and a card with licence, data and figures.

    It can then be loaded as hf-hub:USER/NAME. Log in first with `hf auth login`, or set HF_TOKEN.
    """
    said: dict[str, Any] = {"licence": licence, "runs": tuple(runs or ()), "note": note}
    with exit_codes():
        checkpoint = CheckpointOptions(weights, config_file, trust_code=trust_code)
        detector = checkpoint.of(model, device="cpu", exact=True)()
        if out is not None:
            from explorer.api.hub import save_pretrained

            place = str(save_pretrained(detector, out, repository=repository, **said))
        else:
            place = detector.push_to_hub(repository, private=private, **said)
        if json_file:
            write_output({"model": detector.name, "repository": repository, "place": place}, json_file)
    if json_file != "-":
        say(place)
