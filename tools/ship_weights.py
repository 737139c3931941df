"""Converts a training run's checkpoint into the small file bundled with the package, and measures its card.

    python tools/ship_weights.py V-19-slim-dw-bccd output/run/model_final.pth --data ../shared/data/bccd:test
    python tools/ship_weights.py V-19-slim-dw          # measures the bundled file again
    python tools/ship_weights.py V-19-slim-dw-bccd --familiar ../shared/data/bccd:train ../shared/data/bccd:val

The card must already contain what cannot be measured: the backbone, the training recipe and the training data; see
`explorer/zoo/weights/*/*.json`. Without `--data`, the model is evaluated on the aerial scenes that the card names.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from explorer.data.aerial import make_aerial
from explorer.data.images import read_image
from explorer.data.sources import instances_split
from explorer.engine.artifacts import provenance
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.familiar import learn
from explorer.engine.loading import load_detector
from explorer.report.card import measured
from explorer.scoring.alike import restricted
from explorer.scoring.columns import Run
from explorer.scoring.metrics import metrics_of
from explorer.zoo.cards import Card, Measured, read_card
from explorer.zoo.checkpoints import read_checkpoint, save_safetensors
from explorer.zoo.downloads import sha256_of
from explorer.zoo.registry import CONTINUED, CONTINUED_SHA256, bundled_file

LARGEST_MB = 8
INTERVALS = "95 %, over images: frames of one scene resemble each other, so they are too narrow where scenes are few"
BYTES_FROM = 4096
"""Weights of so many numbers or more take one byte each; smaller ones two."""


def ship(checkpoint: Path, name: str, note: str) -> Path:
    """Writes `explorer/zoo/weights/<name>/<name>.safetensors` and returns its path.

    Raises:
        ValueError: the checkpoint cannot be read, or the file would be larger than the repository takes.
    """
    path = bundled_file(name)
    state, metadata = dict(read_checkpoint(checkpoint)), {"training": note}
    first, rest = halves(state) if sum(tensor.numel() for tensor in state.values()) > 1e6 * LARGEST_MB else (state, {})
    if rest:
        beside = path.with_name(f"{name}-2.safetensors")
        save_safetensors(rest, beside, metadata, bytes_from=BYTES_FROM)
        metadata |= {CONTINUED: beside.name, CONTINUED_SHA256: sha256_of(beside)}
    save_safetensors(first, path, metadata, bytes_from=BYTES_FROM)
    for file in path.parent.glob("*.safetensors"):
        if file.stat().st_size > 1e6 * LARGEST_MB:
            raise ValueError(f"{file.name} has more than the {LARGEST_MB} MB that fit into the repository.")
    return path


def halves(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Splits tensors into two parts of about as many numbers, in their order."""
    ends = np.cumsum([tensor.numel() for tensor in state.values()])
    first = {name: state[name] for name, end in zip(state, ends, strict=True) if end <= ends[-1] / 2}
    return first, {name: tensor for name, tensor in state.items() if name not in first}


def measure(card: Card, path: Path, data: str | None) -> Measured:
    """Measures the shipped file, as `explorer.report.card` does; figures of too few images are left out."""
    before = card.measured
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            make_aerial(f"{folder}/aerial", images=before.scenes["images"], seed=before.scenes["seed"])
            data = f"{folder}/aerial"
        detector = load_detector(card.config, weights=path, device="cpu")
        run = evaluate(detector, data)
        now = measured(run, before.on)
        made = provenance() | (by_class_and_scene(run, data) if not before.scenes else {})
    return replace(now.certain(), scenes=before.scenes, made=made)


def by_class_and_scene(run: Run, data: str) -> dict[str, Any]:
    """Gives AP in percent by class and by scene where a data set says which scene an image is of, else nothing."""
    scenes = {image["id"]: image["scene"] for image in coco_images(data) if "scene" in image}
    if not scenes:
        return {}
    every, classes = run.truth.image_ids.tolist(), run.truth.class_names
    by_class = {name: _boxes(run, every, [name]) for name in classes}
    by_scene = {}
    for scene in dict.fromkeys(scenes[image] for image in every):
        own = [image for image in every if scenes[image] == scene]
        per_class = {name: figures["AP"] for name in classes if (figures := _boxes(run, own, [name]))}
        by_scene[f"{scene} ({len(own)} images)"] = {"AP": _boxes(run, own, classes)["AP"]} | per_class
    return {"by_class": by_class, "by_scene": by_scene, "intervals": INTERVALS}


def _boxes(run: Run, images: Sequence[int | str], classes: Sequence[str]) -> dict[str, float]:
    """AP of a part of a run; empty where it has no objects."""
    values = metrics_of(restricted(run, images, classes)).values.get("bbox", {})
    return {name: round(values[name], 2) for name in ("AP", "AP50", "APs") if np.isfinite(values.get(name) or np.nan)}


def coco_images(data: str) -> list[dict[str, Any]]:
    """Reads the images of a data set in COCO's format."""
    split = instances_split(data)
    if split.instances is None:
        raise ValueError(f"{data} is not in COCO's format.")
    images: list[dict[str, Any]] = json.loads(split.instances.read_text())["images"]
    return images


def scenes_of(data: str) -> Iterator[tuple[Path, str]]:
    """Yields the images of a data set in COCO's format, each with its scene; without any, an image is its own."""
    for image in coco_images(data):
        yield instances_split(data).images / image["file_name"], image.get("scene", image["file_name"])


def main() -> None:
    """Ships and measures one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="name of the model's card, without .json")
    parser.add_argument(
        "checkpoint", type=Path, nargs="?", help="checkpoint to convert; default: measure the bundled file"
    )
    parser.add_argument("--data", help="data set for the evaluation, PATH[:SPLIT]")
    parser.add_argument("--familiar", nargs="+", metavar="DATA", help="data sets of familiar photographs to learn")
    given = parser.parse_args()
    path = bundled_file(given.name)
    if given.familiar:
        detector = load_detector(f"demo/{given.name}", device="cpu", exact=True)
        files = {file: scene for data in given.familiar for file, scene in scenes_of(data)}
        known = learn(detector, map(read_image, files), list(files.values()))
        known.write(path.parent)
        print(f"{known.photographs} photographs, limit {known.limit:.2f}")
        return
    file = path.with_suffix(".json")
    card = read_card(file)
    if given.checkpoint:
        path = ship(given.checkpoint, given.name, card.training)
    card = replace(card, sha256=sha256_of(path), measured=measure(card, path, given.data))
    card.write(file)
    print(json.dumps({**card.measured.intervals, "panoptic": card.measured.panoptic}))


if __name__ == "__main__":
    main()
