"""Trainings of several detectors with one budget, and their comparison on one test set."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from trainings import Training

from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.engine.training.checkpointing import METRICS, read_metrics
from explorer.errors.bootstrap import Resamples
from explorer.errors.compare import compare
from explorer.errors.paired import Differences
from explorer.errors.seeds import SeedDifferences, SeedMeans, compare_seeds
from explorer.scoring.matching import match
from explorer.scoring.protocols import protocol_of
from explorer.scoring.runs import load_run
from explorer.types import Floats

FIGURES = (("AP", "AP", 0), ("AP50", "AP50", 0), ("APs", "AP", 1), ("APm", "AP", 2), ("APl", "AP", 3))
"""What is compared: its label, the figure and the place of the size."""


@dataclass(frozen=True)
class Experiment:
    """Where detectors are trained and measured, and on what.

    Attributes:
        folder: of the checkpoints and the evaluations, one for each training.
        train_on: the data sets of all trainings, as `DATASETS.TRAIN` takes them.
        test_on: what all are measured on.
        changes: `KEY VALUE` pairs for every training.
        sizes: the protocol of the evaluation, as `explorer evaluate --sizes` takes it.
        figures: those of `FIGURES` that are compared.
    """

    folder: Path
    train_on: tuple[str, ...]
    test_on: str
    changes: tuple[str, ...] = ()
    sizes: str = "coco"
    figures: tuple[tuple[str, str, int], ...] = FIGURES

    def folder_of(self, training: Training) -> Path:
        """Where a training keeps its checkpoints and its evaluation."""
        return self.folder / "-".join(re.findall(r"[\w-]*\w", training.name))

    def run_of(self, training: Training) -> Path:
        """Where its evaluation on the test set lies."""
        return self.folder_of(training) / "test"

    def run(self, chosen: Sequence[Training], jobs: int) -> None:
        """Trains and measures what is missing, `jobs` trainings at a time."""
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self.train, chosen))
        for training in chosen:
            self.measure(training)

    def train(self, training: Training) -> None:
        """Trains on one core, or goes on where it was stopped; nothing to do where the final weights are there."""
        out = self.folder_of(training)
        if (out / "model_final.pth").is_file():
            return
        command = ["train", "--config-file", training.config, "--num-gpus", "0"]
        data = ["DATASETS.TRAIN", repr(self.train_on), "DATASETS.TEST", "()", "DATALOADER.NUM_WORKERS", "0"]
        if (out / "last_checkpoint").is_file():
            command.append("--resume")
        command += [*training.changes, *self.changes, *data, "SEED", str(training.seed), "OUTPUT_DIR", str(out)]
        run_command(*command, threads=1)

    def measured(self, training: Training) -> bool:
        """Says whether it was evaluated on the test set."""
        return (self.run_of(training) / "run.json").is_file()

    def measure(self, training: Training) -> None:
        """Evaluates on the test set unless that was done."""
        if not self.measured(training):
            command = ["evaluate", training.config, "--device", "cpu", "--data", self.test_on]
            command += ["--weights", str(self.folder_of(training) / "model_final.pth"), "--sizes", self.sizes]
            run_command(*command, "--out", str(self.run_of(training)), *training.changes, *self.changes)

    def alone(self, training: Training) -> dict[str, Any]:
        """All figures of one training on the test set, as the evaluation wrote them."""
        written: dict[str, Any] = json.loads((self.run_of(training) / "metrics.json").read_text())
        return written

    def compared(self, recipes: Sequence[Sequence[Training]]) -> dict[str, Any]:
        """Figures of recipes on the test set and the differences of all pairs, with their intervals.

        Where every recipe has several seeds they are means, and intervals are over images and seeds; `each` has the
        figures of every training then. Otherwise they are of the first seed, and intervals are over images.
        """
        protocol = protocol_of(self.sizes)
        runs = [[match(load_run(self.run_of(one), protocol=protocol)) for one in recipe] for recipe in recipes]
        seeds = min(map(len, runs))
        each: dict[str, dict[str, list[float]]] = {}
        measured: Sequence[SeedMeans | Resamples]
        found: Sequence[SeedDifferences | Differences]
        if seeds > 1:
            over_seeds = compare_seeds(runs)
            measured, found = over_seeds.means, list(over_seeds.pairs.values())
        else:
            over_images = compare([first for first, *_ in runs])
            measured, found = over_images.resamples, [pair.differences for pair in over_images.pairs]
        names, figures = [recipe[0].name for recipe in recipes], measured[0].figures
        own = [one.intervals() for one in measured]

        def rows(*ends: Floats) -> dict[str, list[float]]:
            """Figures by label: a number of each end."""
            place = figures.names.index
            return {label: [float(end[place(figure), size]) for end in ends] for label, figure, size in self.figures}

        if seeds > 1:
            each = {
                name: rows(*(own.overall for own in mean.each))
                for name, mean in zip(names, over_seeds.means, strict=True)
            }
        return {
            "rows": {name: rows(one.value, one.low, one.high) for name, one in zip(names, own, strict=True)},
            "pairs": [
                {"a": a, "b": b} | rows(one.points.value, one.points.low, one.points.high, one.p_values)
                for (a, b), one in zip(combinations(names, 2), found, strict=True)
            ],
            "each": each,
            "seeds": seeds,
            "images": figures.images,
            "objects": int(figures.objects[0].sum()),
        }

    def loaded(self, training: Training, *, exact: bool) -> Detector:
        """The trained detector, as it is or run the fast way in float32."""
        weights = self.folder_of(training) / "model_final.pth"
        return load_detector(training.config, weights=weights, overrides=training.changes, device="cpu", exact=exact)

    def curve(self, training: Training) -> list[dict[str, float]]:
        """Loss by iteration."""
        rows = read_metrics(self.folder_of(training) / METRICS)
        return [{key: row[key] for key in ("iteration", "total_loss")} for row in rows if "total_loss" in row]


def run_command(*words: str, threads: int | None = None) -> None:
    """Runs a command in a process of its own, which gives its memory back."""
    own = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, "-m", "explorer", *words], check=True, env=os.environ | own)
