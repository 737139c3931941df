"""Trains the backbones of the demo zoo on real photographs and compares them: `python tools/photographs.py`.

    python tools/photographs.py ../shared/data                 # what is missing: trainings, evaluations; then the page
    python tools/photographs.py ../shared/data --only bccd     # on blood cells alone
    python tools/photographs.py --page                         # the page from docs/results/photographs.json alone

Each data set has one recipe, in which the backbone alone is changed. Every backbone starts from random weights and is
trained with three seeds, on one core each. Everything lies below output/photographs and is taken up where it was left.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiment import FIGURES, Experiment
from photographs_page import PAGE, page
from trainings import BACKBONES, SEEDS, Training
from vehicles import make_vehicles

from explorer.config import load_config
from explorer.engine.artifacts import provenance
from explorer.writing import write_json

FOLDER = Path("output/photographs")
CONFIGS = {one.name: one.config for one in BACKBONES} | {"HGNetV2-B1": "aerial/faster_rcnn_hgnetv2_b1.yaml"}
RECIPES = [
    [Training(name, config), *(Training(f"{name}, seed {seed}", config, seed=seed) for seed in SEEDS)]
    for name, config in CONFIGS.items()
]


@dataclass(frozen=True)
class Photographs:
    """A data set of photographs, and the recipe of all backbones on it.

    Attributes:
        name: of its folder.
        recipe: the config whose settings of data, augmentation and test are taken; its teacher's, too.
        train_on, test_on: splits; `vehicles` is what `tools/vehicles.py` makes.
        changes: `KEY VALUE` pairs beyond the recipe.
        sizes: the protocol of the evaluation.
        figures: how many of those that an experiment compares.
    """

    name: str
    recipe: str
    train_on: tuple[str, ...]
    changes: tuple[str, ...]
    sizes: str = "coco"
    figures: int = len(FIGURES)

    def experiment(self, data: Path) -> Experiment:
        """Its trainings below `output/photographs`.

        Args:
            data: the folder that holds the data sets.
        """
        changes = tuple(word for key, value in changed(BACKBONES[1].config, self.recipe) for word in (key, str(value)))
        folder, source = FOLDER / self.name, data / self.name
        if self.name == "aerial-real":
            source = folder / "vehicles"
            if not (source / "annotations/instances_train.json").is_file():
                make_vehicles(data / self.name, source)
        train_on = tuple(f"{source}:{split}" for split in self.train_on)
        return Experiment(
            folder, train_on, f"{data / self.name}:test", (*changes, *self.changes), self.sizes, FIGURES[: self.figures]
        )


SETS = (
    Photographs(
        "bccd",
        "bccd/faster_rcnn_V_19_slim_dw.yaml",
        ("train", "val"),
        (  # crops of 0.6 instead of 0.8 of the sides, at the same scales: half the time
            *("INPUT.CROP.SIZE", "[0.6, 0.6]", "INPUT.MIN_SIZE_TRAIN", "(216, 240, 264, 288)"),
            *("SOLVER.IMS_PER_BATCH", "4", "SOLVER.MAX_ITER", "150"),
            *("SOLVER.TEACHER.NAME", "demo/V-19-slim-dw-bccd"),
        ),
        sizes="60",  # platelets and nothing else; a few of a class in a bin would count as much as all of another's
        figures=3,
    ),
    Photographs(
        "aerial-real",
        "aerial-real/faster_rcnn_V_19_slim_dw.yaml",
        ("train",),
        ("SOLVER.MAX_ITER", "150", "SOLVER.TEACHER.NAME", "demo/V-19-slim-dw-aerial-real"),
    ),
)


def changed(basis: str, recipe: str) -> Iterator[tuple[str, Any]]:
    """Yields the keys of a config that differ from another's, but for its data sets, and their values."""
    known = dict(_leaves(load_config(basis)))
    for key, value in _leaves(load_config(recipe)):
        if known[key] != value and not key.startswith("DATASETS."):
            yield key, value


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value


def measured(one: Photographs, data: Path, jobs: int) -> dict[str, Any]:
    """Trains and measures what is missing on one data set; returns what the page says of it."""
    experiment = one.experiment(data)
    experiment.run([training for seed in zip(*RECIPES, strict=True) for training in seed], jobs)
    return {
        "compared": experiment.compared(RECIPES),
        "changes": experiment.changes,
        "sizes": one.sizes,
        "iterations": load_config(BACKBONES[0].config, experiment.changes).SOLVER.MAX_ITER,
    }


def main() -> None:
    """Trains, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds bccd and aerial-real")
    parser.add_argument("--only", choices=[one.name for one in SETS], help="train and measure on this one alone")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one core each")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page again")
    given = parser.parse_args()
    file = PAGE.with_suffix(".json")
    known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if not given.page:
        if given.data is None:
            parser.error("name the folder that holds bccd and aerial-real, or give --page")
        for one in SETS:
            if given.only in (None, one.name):
                known[one.name] = measured(one, given.data, given.jobs) | provenance()
        write_json(known, file, indent=1)
    PAGE.write_text(page(known))


if __name__ == "__main__":
    main()
