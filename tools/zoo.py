"""Trains the demo zoo and measures it: `make zoo`.

    python tools/zoo.py                    # what is missing: data, trainings, evaluations, times; then the page
    python tools/zoo.py --only V-19 R-50   # these runs alone
    python tools/zoo.py --page             # the page from docs/results/accuracy.json alone

Everything lies below output/zoo and is taken up where it was left. Each training runs on one core; `--jobs` says how
many run at a time. The times are measured last, when nothing else should run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy_page import PAGE, page
from painting import painter

from explorer.config import load_config
from explorer.data.aerial import make_aerial, render_scene
from explorer.data.coco import register_coco
from explorer.engine.artifacts import plain, provenance
from explorer.engine.benchmark import interleaved, middle
from explorer.engine.checkpointing import METRICS, read_metrics
from explorer.engine.costs import measure_size
from explorer.engine.detector import Detector, load_detector
from explorer.engine.evaluate import evaluate, write_run
from explorer.engine.machine import hardware_facts
from explorer.engine.modes import as_input
from explorer.errors.compare import compare
from explorer.errors.matching import match
from explorer.errors.runs import load_run
from explorer.figures.speed import SpeedPoint, speed_against_accuracy
from explorer.figures.training import training_curves

FOLDER = Path("output/zoo")
DATA = FOLDER / "aerial"
SPLITS = {"train": (3000, 21), "test": (200, 2)}
"""Scenes and seed of each split, which share none. What lengths were chosen on, the cards are of: 300 with seed 1."""
ROUNDS = 15
COMPARED = ("backbones", "ablations", "necks")


@dataclass(frozen=True)
class Training:
    """One training of the zoo.

    Attributes:
        name: of its folder, and in the tables.
        config: a shipped one.
        changes: `KEY VALUE` pairs.
        group: what it is compared within (`COMPARED`); `seeds` of the backbones, `teacher` and `tasks` are measured
            alone.
        seed: of data order, augmentation and initial weights.
        basis: the run that it is a variant of.
    """

    name: str
    config: str
    changes: tuple[str, ...] = ()
    group: str = "backbones"
    seed: int = 1
    basis: str = ""


TEACHER = "V-19-slim-dw, teacher"
AS_THE_OTHERS = ("SOLVER.TEACHER.NAME", "demo/V-19-slim-dw", "SOLVER.MAX_ITER", "500")
STARTED = ("MODEL.WEIGHTS", "demo/V-19-slim-dw")
NEW_NECK = (*STARTED, "SOLVER.TEACHER.NAME", "", "SOLVER.MAX_ITER", "500", "MODEL.FPN.OUT_CHANNELS")
"""The trained backbone, with a neck and a head for proposals that fit no teacher's."""
NO_ESE = ("MODEL.VOVNET.ESE", "none")
V_39 = "aerial/faster_rcnn_V_39.yaml"
BACKBONES = (
    Training("MobileNetV2", "aerial/faster_rcnn_Mv2.yaml"),
    Training("V-19-slim-dw", "aerial/faster_rcnn_V_19_slim_dw.yaml", AS_THE_OTHERS),
    Training("V-19-slim", "aerial/faster_rcnn_V_19_slim.yaml"),
    Training("V-19-dw", "aerial/faster_rcnn_V_19_dw.yaml"),
    Training("V-19", "aerial/faster_rcnn_V_19.yaml"),
    Training("V-39", V_39),
    Training("R-50", "aerial/faster_rcnn_R_50.yaml"),
)
SEEDS = {"V-19-slim-dw": (2,)}
"""More seeds of the backbone that is quickest to train."""
TRAININGS = (
    Training(TEACHER, "aerial/faster_rcnn_V_19_slim_dw.yaml", group="teacher", seed=3),
    *BACKBONES,
    Training("V-39, V1", V_39, (*NO_ESE, "MODEL.VOVNET.IDENTITY", "False"), "ablations", basis="V-39"),
    Training("V-39, V1 + identity", V_39, NO_ESE, "ablations", basis="V-39"),
    Training("FPNLite, 128 channels", "aerial/faster_rcnn_V_19_slim_dw.yaml", (*NEW_NECK, "128"), "necks"),
    Training("FPN, 256 channels", "aerial/faster_rcnn_V_19_slim_dw.yaml", (*NEW_NECK, "256"), "necks"),
    *(
        Training(f"{one.name}, seed {seed}", one.config, one.changes, "seeds", seed, one.name)
        for one in BACKBONES
        for seed in SEEDS.get(one.name, ())
    ),
    Training("Mask R-CNN", "aerial/mask_rcnn_V_19_slim_dw.yaml", STARTED, group="tasks"),
    Training("Panoptic FPN", "aerial/panoptic_fpn_V_19_slim_dw.yaml", STARTED, group="tasks"),
)


def folder_of(training: Training) -> Path:
    """Where a training keeps its checkpoints and its evaluations."""
    return FOLDER / "-".join(re.findall(r"[\w-]*\w", training.name))


def make_data() -> None:
    """Draws the scenes that are not there."""
    for split, (images, seed) in SPLITS.items():
        if not (DATA / "annotations" / f"instances_{split}.json").is_file():
            make_aerial(DATA, images=images, seed=seed, split=split)


def train(training: Training) -> None:
    """Trains on one core, or goes on where it was stopped; nothing to do where the final weights are there."""
    out = folder_of(training)
    if (out / "model_final.pth").is_file():
        return
    command = [sys.executable, "-m", "explorer", "train", "--config-file", training.config, "--num-gpus", "0"]
    data = ["DATASETS.TRAIN", f'("{DATA}:train",)', "DATASETS.TEST", "()", "DATALOADER.NUM_WORKERS", "0"]
    if (out / "last_checkpoint").is_file():
        command.append("--resume")
    command += [*training.changes, *data, "SEED", str(training.seed), "OUTPUT_DIR", str(out)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def loaded(training: Training, *, exact: bool = False) -> Detector:
    """The trained detector, run the fast way in float32 or as it is."""
    weights = folder_of(training) / "model_final.pth"
    return load_detector(training.config, weights=weights, overrides=training.changes, device="cpu", exact=exact)


def measure(training: Training) -> None:
    """Evaluates on the test scenes unless that was done."""
    out = folder_of(training) / "test"
    if not (out / "run.json").is_file():
        detector, data = loaded(training), f"{DATA}:test"
        metrics = evaluate(detector.runner, detector.cfg, register_coco(data), out=out)
        write_run(out, detector, data, metrics, training.changes, training.config)


def seconds_of(trainings: Sequence[Training]) -> dict[str, Any]:
    """Times the detectors, all in the same rounds, the fast way in float32 and as they are."""
    photo = np.ascontiguousarray(render_scene(7).image)
    calls: dict[str, Callable[[], object]] = {}
    for training in trainings:
        for way in ("eager", "fast"):
            calls[f"{training.name}\n{way}"] = partial(loaded(training, exact=way == "eager").detect, photo)
    found = interleaved(calls, rounds=ROUNDS, warm_up=3)
    rows: dict[str, Any] = {}
    for key, own in found.items():
        name, way = key.split("\n")
        ratio = middle(own / found[f"{trainings[0].name}\n{way}"])
        rows.setdefault(name, {})[way] = {
            "median_s": middle(own).value,
            "by_first": [ratio.value, ratio.low, ratio.high],
        }
    return {"rows": rows, "first": trainings[0].name, "threads": torch.get_num_threads(), "rounds": ROUNDS}


def sizes_of(training: Training) -> dict[str, float]:
    """Parameters in millions and multiplications in thousands of millions, at the size that scenes are tested at."""
    detector = loaded(training, exact=True)
    size = measure_size(detector, [as_input(np.ascontiguousarray(render_scene(7).image), detector)], "detector")
    return {"parameters_m": size.parameters_m, "gmac": size.gmac}


FIGURES = (("AP", "AP", 0), ("AP50", "AP50", 0), ("APs", "AP", 1), ("APm", "AP", 2), ("APl", "AP", 3))


def compared(trainings: Sequence[Training]) -> dict[str, Any]:
    """Figures of trainings on the test scenes with their intervals, and the differences of all pairs."""
    runs = [load_run(folder_of(one) / "test") for one in trainings]
    comparison = compare([match(run) for run in runs])
    names = comparison.resamples[0].figures.names
    rows = {}
    for training, resamples in zip(trainings, comparison.resamples, strict=True):
        own = resamples.intervals()
        ends = (own.value, own.low, own.high)
        rows[training.name] = {
            label: [float(end[names.index(figure), size]) for end in ends] for label, figure, size in FIGURES
        }
    pairs = []
    for pair in comparison.pairs:
        points, p = pair.differences.points, pair.differences.p_values
        four = (points.value, points.low, points.high, p)
        pairs.append(
            {"a": trainings[pair.a].name, "b": trainings[pair.b].name}
            | {label: [float(end[names.index(figure), size]) for end in four] for label, figure, size in FIGURES}
        )
    truth = comparison.truth
    return {"rows": rows, "pairs": pairs, "images": len(truth.image_ids), "objects": int((~truth.crowds).sum())}


def seeds_of(trainings: Sequence[Training]) -> dict[str, dict[str, list[float]]]:
    """AP and AP of small objects by backbone, with every seed that it was trained with."""
    rows: dict[str, dict[str, list[float]]] = {}
    for first in [one for one in trainings if one.group == "backbones"]:
        others = [one for one in trainings if one.group == "seeds" and one.basis == first.name]
        if others:
            own = [alone(one)["values"]["bbox"] for one in (first, *others)]
            rows[first.name] = {label: [values[label] for values in own] for label in ("AP", "APs")}
    return rows


def alone(training: Training) -> dict[str, Any]:
    """All figures of one training on the test scenes, as the evaluation wrote them."""
    written: dict[str, Any] = json.loads((folder_of(training) / "test" / "metrics.json").read_text())
    return written


def curve(training: Training) -> list[dict[str, float]]:
    """Loss by iteration."""
    rows = read_metrics(folder_of(training) / METRICS)
    return [{key: row[key] for key in ("iteration", "total_loss")} for row in rows if "total_loss" in row]


def document(trainings: Sequence[Training], known: dict[str, Any]) -> dict[str, Any]:
    """Everything that the page says."""
    groups = {name: [one for one in trainings if one.group == name] for name in COMPARED}
    for group in groups.values():
        bases = {one.basis for one in group}
        group += [one for one in trainings if one.name in bases]
    chosen: dict[str, dict[str, Any]] = {
        "trainings": {one.name: {"config": one.config, "changes": one.changes, "seed": one.seed} for one in trainings},
        "compared": {name: compared(group) for name, group in groups.items() if len(group) > 1},
        "alone": {one.name: alone(one) for one in trainings if one.group in ("teacher", "tasks")},
        "seeds": seeds_of(trainings),
        "sizes": {one.name: sizes_of(one) for one in trainings if one.group != "seeds"},
        "curves": {one.name: curve(one) for one in trainings},
    }
    return known | {
        **{key: known.get(key, {}) | own for key, own in chosen.items()},  # what was not chosen stays
        "scenes": SPLITS,
        "iterations": load_config(BACKBONES[0].config).SOLVER.MAX_ITER,
        "hardware": hardware_facts(torch.device("cpu")),
        **provenance(),
    }


def draw(known: dict[str, Any]) -> None:
    """Draws AP on small objects against time, and the losses."""
    rows, times = known["compared"]["backbones"]["rows"], known["times"]["rows"]
    points = [SpeedPoint(name, times[name]["fast"]["median_s"], row["APs"][0]) for name, row in rows.items()]
    machine = f"{known['times']['threads']} threads of {known['hardware']['device']}, 480×640 px"
    pareto = speed_against_accuracy(points, accuracy="box AP of small objects, aerial test scenes", machine=machine)
    curves = training_curves({name: known["curves"][name] for name in rows})
    with painter() as paint:
        for suffix, figure in (("pareto", pareto), ("curves", curves)):
            PAGE.with_name(f"accuracy-{suffix}.png").write_bytes(paint(figure.to_plotly_json()))


def main() -> None:
    """Trains, measures and writes."""
    parser = argparse.ArgumentParser(description="Train the demo zoo, measure it, write docs/results/accuracy.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="among " + "; ".join(one.name for one in TRAININGS))
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one core each")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page again")
    given = parser.parse_args()
    file = PAGE.with_suffix(".json")
    known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if not given.page:
        chosen = [one for one in TRAININGS if not given.only or one.name in given.only]
        make_data()
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(train, chosen))
        for training in chosen:
            measure(training)
        known = document(chosen, known)
        timed = [one for one in chosen if one.group == "backbones"]
        if len(timed) > 1:  # one alone is compared with nothing
            known["times"] = seconds_of(timed)
        file.write_text(json.dumps(plain(known), indent=1) + "\n")
        draw(known)
    PAGE.write_text(page(known))


if __name__ == "__main__":
    main()
