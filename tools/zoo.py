"""Trains the demo zoo and measures it: `make zoo`.

    python tools/zoo.py                    # everything that is missing: data, trainings, evaluations, times, page
    python tools/zoo.py --only V-19 R-50   # only these trainings; the page is written when all are complete
    python tools/zoo.py --miniature        # a dry run of all steps with two iterations and a few scenes
    python tools/zoo.py --page             # only write the page from docs/results/accuracy.json

Results are stored in output/zoo, and an interrupted run continues where it stopped. Each training uses one core;
`--jobs` sets the number of parallel trainings. Times are measured last; nothing else should run meanwhile. A dry run
writes to its own folder, including the page.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy_page import PAGE, page
from experiment import Experiment
from painting import painter
from trainings import BACKBONES, TRAININGS, Training, backbones_by_seed, groups

from explorer.config import load_config
from explorer.data.aerial import make_aerial, render_scene
from explorer.engine.artifacts import provenance
from explorer.engine.speed.costs import measure_size
from explorer.engine.speed.interleaved import interleaved, middle
from explorer.engine.speed.machine import hardware_facts
from explorer.engine.speed.modes import as_input
from explorer.figures.speed import SpeedPoint, speed_against_accuracy
from explorer.figures.training import training_curves
from explorer.writing import write_json


@dataclass(frozen=True)
class Zoo:
    """Where the zoo is made, and how large.

    Attributes:
        folder: of the scenes, the checkpoints and the evaluations.
        page: what is written at the end; its figures and pictures lie beside it.
        splits: scenes and seed of each split, which share none. What lengths were chosen on, the cards are of: 300
            with seed 1.
        rounds: of the times.
        changes: `KEY VALUE` pairs for every training.
    """

    folder: Path = Path("output/zoo")
    page: Path = PAGE
    splits: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {"train": (3000, 21), "test": (200, 2)})
    rounds: int = 15
    changes: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        return self.folder / "aerial"

    @property
    def experiment(self) -> Experiment:
        """The trainings and evaluations on these scenes."""
        return Experiment(self.folder, (f"{self.data}:train",), f"{self.data}:test", self.changes)

    def make_data(self) -> None:
        """Draws the scenes that are not there."""
        for split, (images, seed) in self.splits.items():
            if not (self.data / "annotations" / f"instances_{split}.json").is_file():
                make_aerial(self.data, images=images, seed=seed, split=split)

    def seconds_of(self, trainings: Sequence[Training]) -> dict[str, Any]:
        """Times the detectors, all in the same rounds, the fast way in float32 and as they are."""
        photo = np.ascontiguousarray(render_scene(7).image)
        calls: dict[str, Callable[[], object]] = {}
        for training in trainings:
            for way in ("eager", "fast"):
                calls[f"{training.name}\n{way}"] = partial(
                    self.experiment.loaded(training, exact=way == "eager").detect, photo
                )
        found = interleaved(calls, rounds=self.rounds, warm_up=3)
        rows: dict[str, Any] = {}
        for key, own in found.items():
            name, way = key.split("\n")
            ratio = middle(own / found[f"{trainings[0].name}\n{way}"])
            rows.setdefault(name, {})[way] = {
                "median_s": middle(own).value,
                "by_first": [ratio.value, ratio.low, ratio.high],
            }
        return {"rows": rows, "first": trainings[0].name, "threads": torch.get_num_threads(), "rounds": self.rounds}

    def sizes_of(self, training: Training) -> dict[str, float]:
        """Parameters in millions and multiplications in thousands of millions, at the size scenes are tested at."""
        detector = self.experiment.loaded(training, exact=True)
        size = measure_size(detector, [as_input(np.ascontiguousarray(render_scene(7).image), detector)], "detector")
        return {"parameters_m": size.parameters_m, "gmac": size.gmac}

    def document(self) -> dict[str, Any]:
        """Everything that the page says."""
        firsts = [one for one in TRAININGS if one.group != "seeds"]
        own = self.experiment
        return {
            "trainings": {
                one.name: {"config": one.config, "changes": one.changes, "seed": one.seed} for one in TRAININGS
            },
            "compared": {name: own.compared(group) for name, group in groups().items()},
            "alone": {one.name: own.alone(one) for one in firsts if one.group in ("teacher", "tasks")},
            "seeds": {
                name: {label: [own.alone(one)["values"]["bbox"][label] for one in seeds] for label in ("AP", "APs")}
                for name, seeds in backbones_by_seed().items()
            },
            "sizes": {one.name: self.sizes_of(one) for one in firsts},
            "curves": {one.name: own.curve(one) for one in TRAININGS},
            "times": self.seconds_of(BACKBONES),
            "scenes": self.splits,
            "iterations": load_config(BACKBONES[0].config, self.changes).SOLVER.MAX_ITER,
            "hardware": hardware_facts(torch.device("cpu")),
            **provenance(),
        }

    def draw(self, known: Mapping[str, Any]) -> None:
        """Draws AP on small objects against time, and the losses."""
        rows, times = known["compared"]["backbones"]["rows"], known["times"]["rows"]
        points = [
            SpeedPoint(name, times[name]["fast"]["median_s"], value, (low, high))
            for name, (value, low, high) in ((name, row["APs"]) for name, row in rows.items())
        ]
        machine = f"{known['times']['threads']} threads of {known['hardware']['device']}, 480×640 px"
        pareto = speed_against_accuracy(points, accuracy="box AP of small objects, aerial test scenes", machine=machine)
        curves = training_curves({name: known["curves"][name] for name in rows})
        with painter() as paint:
            for suffix, figure in (("pareto", pareto), ("curves", curves)):
                self.page.with_name(f"{self.page.stem}-{suffix}.png").write_bytes(paint(figure.to_plotly_json()))

    def make(self, chosen: Sequence[Training], jobs: int) -> None:
        """Trains and measures what was chosen; writes the page once nothing is missing."""
        self.make_data()
        own = self.experiment
        own.run(chosen, jobs)
        if missing := [one.name for one in TRAININGS if not own.measured(one)]:
            print(f"The page is written once all are measured. Still missing: {'; '.join(missing)}.")
            print("Until then: explorer compare " + " ".join(str(own.run_of(one)) for one in chosen))
            return
        known = self.document()
        write_json(known, self.page.with_suffix(".json"), indent=1)
        self.draw(known)
        self.page.write_text(page(known))


REHEARSAL = Path("output/zoo-miniature")


def miniature(folder: Path) -> Zoo:
    """All of it with two iterations and a few scenes, the page beside them: minutes that spare hours."""
    short = ("SOLVER.MAX_ITER", "2")
    return Zoo(folder, folder / PAGE.name, {"train": (8, 21), "test": (6, 2)}, rounds=2, changes=short)


def main() -> None:
    """Trains, measures and writes."""
    parser = argparse.ArgumentParser(description="Train the demo zoo, measure it, write docs/results/accuracy.")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="names of trainings: " + "; ".join(one.name for one in TRAININGS)
    )
    parser.add_argument("--jobs", type=int, default=2, help="number of parallel trainings, one core each")
    parser.add_argument("--miniature", action="store_true", help=f"do a dry run of all steps in {REHEARSAL}")
    parser.add_argument("--page", action="store_true", help="only write the page, without measuring")
    given = parser.parse_args()
    if unknown := set(given.only or ()) - {one.name for one in TRAININGS}:
        parser.error(f"no training is called {' or '.join(sorted(unknown))}; --help names them all")
    if given.page:
        PAGE.write_text(page(json.loads(PAGE.with_suffix(".json").read_text())))
        return
    zoo = miniature(REHEARSAL) if given.miniature else Zoo()
    zoo.make([one for one in TRAININGS if not given.only or one.name in given.only], given.jobs)


if __name__ == "__main__":
    main()
