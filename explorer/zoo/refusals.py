"""What to do about released weights whose source refuses downloads."""

from __future__ import annotations

from explorer.zoo import registry
from explorer.zoo.downloads.mirrors import VARIABLE
from explorer.zoo.registry import ZooEntry


def refusal(entry: ZooEntry) -> str:
    """Says in one line that an entry's weights cannot be downloaded, and what works instead."""
    return (
        f"The weights of {entry.name} cannot be downloaded: their {registry.REFUSED} (Dropbox answers 403). If you "
        f"have the file, run `explorer zoo fetch {entry.name} --from FILE`, or set {VARIABLE} to where it lies. "
        f"Otherwise {instead(entry)}."
    )


def instead(entry: ZooEntry) -> str:
    """Says what to use instead: timm's weights to train the row from, and the rows that can still be had."""
    weights = timm_weights(entry)
    if entry.config is None:
        return f"take timm's weights, {weights}" if weights else "take another backbone's: timm has none of this one"
    start = "train it from timm's ImageNet weights" if weights else "train it, without weights to start from"
    return f"{start} (`{train_command(entry)}`), or take {', '.join(living(entry))}"


def train_command(entry: ZooEntry) -> str:
    """The command that trains an entry's config, from timm's ImageNet weights of its backbone where timm has them."""
    weights = timm_weights(entry)
    start = f" MODEL.WEIGHTS {weights}" if weights else ""
    return f"explorer train --config-file {str(entry.config).removesuffix('.yaml')}{start}"


def timm_weights(entry: ZooEntry) -> str:
    """The zoo's name of timm's weights for an entry's backbone; empty where timm has none."""
    backbones = {known.backbone: known.name for known in registry.entries() if known.name.startswith("timm/")}
    return backbones.get(registry.variant_of(entry), "")


def living(entry: ZooEntry) -> list[str]:
    """The released detectors whose weights can still be had, those of the same kind where there are any."""
    alive = [known.name for known in registry.detectors() if known.released and not known.refuses]
    kind = entry.name.partition("_V_")[0].partition("_Mv2_")[0]
    return [name for name in alive if name.startswith(f"{kind}_")] or [
        name for name in alive if name.startswith("faster_rcnn_")
    ]
