"""`explorer zoo identify|convert`: what files of weights hold, and a VoVNet taken out of one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from explorer.cli.output import JsonFile, say, show_facts, write_output
from explorer.cli.running import exit_codes

if TYPE_CHECKING:
    from explorer.zoo.identify import Identity
    from explorer.zoo.identify.convert import Target

File = Annotated[Path, typer.Argument(metavar="FILE", help="A .pth, .pt, .ckpt, .pkl or .safetensors file.")]


def identify(file: File, json_file: JsonFile = None) -> None:
    """Identify the VoVNet in a file of weights: variant, naming scheme, further content, and commands that use it."""
    from explorer.zoo.identify import identify as run

    with exit_codes():
        found = run(file)
        if json_file:
            write_output(found.as_dict(), json_file)
    if json_file != "-":
        show_facts(_facts(found))
        if found.command:
            say(found.command)


def convert(
    file: File,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The new .safetensors file.")],
    to: Annotated[
        str, typer.Option("--to", help="Naming scheme of the tensors: release, timm or img_backbone.")
    ] = "release",
    channel_order: Annotated[
        str | None,
        typer.Option("--channel-order", metavar="rgb|bgr", help="Channel order of the new file. [default: unchanged]"),
    ] = None,
    source_order: Annotated[
        str | None, typer.Option("--source-order", metavar="rgb|bgr", help="Channel order of FILE, if it is not known.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Extract the VoVNet from a file of weights and save it as safetensors, with other names or channel order."""
    from explorer.zoo.identify.convert import convert as run

    with exit_codes():
        done = run(file, out, to=cast("Target", to), channel_order=channel_order, source_order=source_order)
        if json_file:
            write_output(asdict(done), json_file)
    if json_file != "-":
        for_timm = f", for timm.create_model({done.timm_model!r})" if done.timm_model else ""
        say(f"{done.variant}, {done.tensors} tensors, channel order {done.channel_order}{for_timm} -> {done.file}")
        if done.flipped:
            say(
                "The input channels of the stem were reversed; pixel mean and standard deviation are given in "
                "the new order."
            )
        if done.overrides:
            say(f"Required config keys: {' '.join(done.overrides)}")


def _facts(found: Identity) -> list[tuple[str, str]]:
    facts = [("file", found.file), ("format", found.format)]
    facts += [("container", ", then ".join(found.containers))] if found.containers else []
    if found.variant:
        ese = {"all": "eSE on every block", "last": "eSE on the last block of a stage", "none": "no eSE"}[found.ese]
        facts += [
            ("network", f"{found.variant}, {found.generation}, {ese}"),
            ("prefix", found.prefix or "none"),
            ("names", f"{found.naming}'s"),
            ("tensors", f"{found.tensors_matched} of {found.tensors_total} are the network's"),
        ]
    else:
        shape = "of no known variant" if found.naming else "none found"
        facts += [("VoVNet", shape), ("tensors", f"{found.tensors_total}")]
    if known := found.known:
        proof = {"checksum": "", "zoo": "", "name": " (by file name only; the checksum is not known)"}[known.by]
        facts += [("known as", known.title + proof), ("licence", known.licence or "not known")]
        facts += [("address", known.address)] if known.address else []
    facts += [("missing", f"{len(found.missing)}: {', '.join(found.missing[:3])}")] if found.missing else []
    if found.deformable_stages:
        facts.append(("deformable", "stages " + ", ".join(map(str, found.deformable_stages))))
    facts += [("beside", f"{group.name}: {group.tensors} tensors ({group.kind})") for group in found.beside]
    if found.stored_beside:
        optimiser = " (with optimizer state)" if found.optimiser else ""
        facts.append(("also stored", ", ".join(found.stored_beside) + optimiser))
    if found.variant:
        mean = f", mean {list(found.pixel_mean)}, deviation {list(found.pixel_std)}" if found.pixel_mean else ""
        facts.append(("channel order", found.channel_order + mean))
        facts += [
            ("needs", f"{key} {value}") for key, value in zip(found.overrides[::2], found.overrides[1::2], strict=True)
        ]
    return facts
