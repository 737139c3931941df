"""Measures the speed of all released detectors on this machine and writes docs/results/speed-cpu.{json,md}.

    python tools/speed.py GROUP…     # measures groups of models (all by default) and writes the page
    python tools/speed.py --page     # only writes the page from the JSON file
    python tools/speed.py --name speed-amx GROUP…   # another machine's page

Nothing else should run meanwhile; a group takes two to eight minutes on two cores. Weights are random, because times
hardly depend on them and released weights cannot be downloaded everywhere.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from memory import many_models
from painting import painter
from speed_page import HEAVY, LIGHT, MAIN, PEER, PEERS, SHORT, TIMM, Document, page, rows
from torch.utils.flop_counter import FlopCounterMode

from explorer.api.benchmark import benchmark as timed
from explorer.config import load_config
from explorer.data.aerial import make_aerial
from explorer.engine.building import make_detector
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.fast.hardware import Plan
from explorer.engine.fast.networks import TorchNetwork, prepare
from explorer.engine.loading import fast, load_detector
from explorer.engine.speed.benchmark import Timings, benchmark
from explorer.engine.speed.costs import peak_memory_mb
from explorer.engine.speed.interleaved import interleaved, middle
from explorer.engine.speed.modes import Stage
from explorer.report.speed import RECORDED, recorded_pareto, speed_document
from explorer.writing import plain, write_json
from explorer.zoo.registry import entries

SIZE, ROUNDS, FEWER = (800, 1088), 7, 5
DEMOS = ("demo/V-19-slim-dw", "demo/MobileNetV2")
CELL_DEMOS = ("demo/V-19-slim-dw-bccd", "demo/MobileNetV2-bccd")
BCCD = Path("../shared/data/bccd")
EVERY_MODE = (
    "eager",
    "torch-fp32",
    "compile-fp32",
    "onnx",
    "openvino",
    "torch-bf16",
    "compile-bf16",
    "openvino-bf16",
    "fast-int8",
)
FORMATS = ("eager", "fast-fp32", "fast-bf16", "fast-int8", "onnx", "openvino-file", "int8-file")


def random_detector(name: str) -> Detector:
    """A released detector with seeded random weights."""
    torch.manual_seed(0)
    (entry,) = (entry for entry in entries() if entry.name == name)
    return make_detector(load_config(str(entry.config)), name, device="cpu")


def measured(name: str, modes: tuple[str, ...], stage: Stage, *, rounds: int, stages: bool = False) -> Timings:
    """One detector in modes."""
    print(f"{name} {stage}", flush=True)
    return benchmark(
        [random_detector(name)], modes, baseline="eager", size=SIZE, stage=stage, rounds=rounds, stages=stages
    )


def main_group(stage: Stage) -> Document:
    """The main detector in every mode."""
    return {MAIN: speed_document(measured(MAIN, EVERY_MODE, stage, rounds=ROUNDS, stages=stage == "detector"))}


def one_core_group() -> Document:
    """The main detector in every mode on one core, as the demo models are timed in every format."""
    with one_core():
        return {MAIN: speed_document(measured(MAIN, EVERY_MODE, "detector", rounds=ROUNDS))}


@contextmanager
def one_core() -> Iterator[None]:
    """Computes with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def memory_group() -> Document:
    """Peak memory of the main detector by mode, in processes of their own."""
    return {mode: peak_memory_mb(MAIN, mode, SIZE, "detector") for mode in EVERY_MODE}


def backbone_group(names: tuple[str, ...]) -> Document:
    """Backbones with FPN."""
    full = [f"faster_rcnn_{name}_3x" for name in names]
    return {name: speed_document(measured(name, SHORT, "backbone", rounds=FEWER)) for name in full}


def task_group(task: str, part: slice = slice(None)) -> Document:
    """Whole detectors of one task."""
    names = [entry.name for entry in rows(task)][part]
    return {name: speed_document(measured(name, SHORT, "detector", rounds=FEWER)) for name in names}


def timm_group() -> Document:
    """Bare backbones: ours by the fast way, timm's compiled channels-last, the same convolutions in both."""
    import timm

    found: Document = {}
    image = torch.randn(1, 3, *SIZE)
    plan = Plan("openvino", torch.float32)
    for ours, theirs in TIMM.items():
        print(theirs, flush=True)
        keys = ["MODEL.VOVNET.CONV_BODY", ours, "MODEL.VOVNET.ESE", "last"]
        body: Any = make_detector(load_config(MAIN, keys), ours, device="cpu").model
        network = prepare(_Maps(body.backbone.bottom_up), image[:, :, :128, :192], plan)
        other = timm.create_model(theirs, features_only=True, out_indices=(1, 2, 3, 4)).eval()
        other = other.requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)
        compiled = TorchNetwork(torch.compile(other, options={"freezing": True}), torch.float32)
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda run=network: run(image),  # type: ignore[misc]
            "timm": lambda run=compiled: run(image),  # type: ignore[misc]
        }
        seconds = interleaved(calls, rounds=ROUNDS, warm_up=2)
        ratio = middle(seconds["timm"] / seconds["ours"])
        medians = {name: middle(own).value for name, own in seconds.items()}
        found[theirs] = {"median_s": medians, "ratio": ratio.value, "low": ratio.low, "high": ratio.high}
    return found


def peers_group() -> Document:
    """Bare backbones of about as many multiplications as a VoVNet's, each class in rounds of its own."""
    image, plan = torch.randn(1, 3, *SIZE), Plan("openvino", torch.float32)
    found: Document = {}
    for ours, theirs in PEERS.items():
        print(ours, flush=True)
        configs = {ours: (MAIN, "MODEL.VOVNET.CONV_BODY")} | dict.fromkeys(theirs, (PEER, "MODEL.TIMM.NAME"))
        calls: dict[str, Callable[[], object]] = {}
        costs: Document = {}
        for name, (config, key) in configs.items():
            model: Any = make_detector(load_config(config, [key, name]), name, device="cpu").model
            body = model.backbone.bottom_up.requires_grad_(requires_grad=False)
            with FlopCounterMode(display=False) as counter:
                body(image)
            parameters = sum(parameter.numel() for parameter in body.parameters())
            costs[name] = {"gmac": counter.get_total_flops() / 2e9, "parameters_m": parameters / 1e6}
            network = prepare(_Maps(copy.deepcopy(body)), image[:, :, :128, :192], plan)
            calls[f"{name} eager"] = lambda run=body: run(image)  # type: ignore[misc]
            calls[f"{name} fast"] = lambda run=network: run(image)  # type: ignore[misc]
        seconds = interleaved(calls, rounds=ROUNDS, warm_up=2)
        found[ours] = {
            name: cost
            | asdict(middle(seconds[f"{name} fast"] / seconds[f"{ours} fast"]))
            | {"median_s": {side: middle(seconds[f"{name} {side}"]).value for side in ("eager", "fast")}}
            for name, cost in costs.items()
        }
    return found


def accuracy_group() -> Document:
    """AP of the demo models as trained and the fast way: on aerial scenes, and on BCCD's test set where it is there."""
    with tempfile.TemporaryDirectory() as folder:
        make_aerial(Path(folder), images=300, seed=1)
        found = {name: precision(name, folder) for name in DEMOS}
    if BCCD.is_dir():
        found["demo/V-19-slim-dw-bccd"] = precision("demo/V-19-slim-dw-bccd", f"{BCCD}:test", f"{BCCD}:train")
    return found


def precision(name: str, folder: str, photos: str | None = None) -> Document:
    """AP of boxes in each number format; ranges of int8 are set on photos, or on aerial scenes."""
    plain = load_detector(name, device="cpu", exact=True)
    ways = {"exact": plain, "float32": fast(plain, "float32"), "bfloat16": fast(plain, "bfloat16")}
    ways["int8"] = fast(plain, "int8", calibrate=photos)
    return {how: evaluate(one, folder).metrics.values["bbox"]["AP"] for how, one in ways.items()}


def formats_group() -> Document:
    """Trained models in every format, on one core: time, AP on photos that they were not trained on, size of files."""
    with one_core():
        with tempfile.TemporaryDirectory() as folder, chdir(folder):  # so that its name stands nowhere
            make_aerial(Path("aerial"), images=100, seed=1)
            found = {name: in_formats(name, "aerial") for name in DEMOS}
        if BCCD.is_dir():
            found |= {name: in_formats(name, f"{BCCD}:test", f"{BCCD}:train") for name in CELL_DEMOS}
    return found


def in_formats(name: str, data: str, photos: str | None = None) -> Document:
    """One model in every format at the size of the demos' scenes."""
    print(name, flush=True)
    return speed_document(timed(name, modes=FORMATS, size=(480, 640), rounds=ROUNDS, data=data, calibrate=photos).found)


class _Maps(torch.nn.Module):
    """A backbone that gives its maps as a tuple."""

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.body(images).values())


GROUPS: dict[str, Callable[[], Document]] = {
    "main backbone": lambda: main_group("backbone"),
    "main detector": lambda: main_group("detector"),
    "main detector, one core": one_core_group,
    "memory": memory_group,
    "backbones, light": lambda: backbone_group(LIGHT),
    "backbones, heavy": lambda: backbone_group(HEAVY),
    "timm": timm_group,
    "peers": peers_group,
    "AP": accuracy_group,
    "formats": formats_group,
    "Faster R-CNN, light": lambda: task_group("Faster R-CNN", slice(8)),
    "Faster R-CNN, heavy": lambda: task_group("Faster R-CNN", slice(8, None)),
    "Mask R-CNN, light": lambda: task_group("Mask R-CNN", slice(4)),
    "Mask R-CNN, heavy": lambda: task_group("Mask R-CNN", slice(4, None)),
    "Panoptic FPN": lambda: task_group("Panoptic FPN"),
    "many models": many_models,
}


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description="Measure speed and write docs/results/speed-cpu.")
    parser.add_argument("groups", nargs="*", help=f"groups of models to measure: {', '.join(GROUPS)}")
    parser.add_argument("--page", action="store_true", help="only write the page, without measuring")
    parser.add_argument("--name", default=RECORDED.stem, help="name of the files in docs/results")
    options = parser.parse_args()
    file = RECORDED.with_stem(options.name)
    known: Document = json.loads(file.read_text()) if file.is_file() else {}
    for name in [] if options.page else options.groups or list(GROUPS):
        known[name] = plain(GROUPS[name]())
        write_json(known, file, indent=1)
    file.with_suffix(".md").write_text(page(known, file.stem))
    draw(file)


def draw(file: Path) -> None:
    """Draws released AP against the time measured here, of the Faster R-CNNs the fast way in float32."""
    with suppress(ValueError), painter() as paint:  # nothing to draw where nothing has been measured yet
        figure = recorded_pareto("Faster R-CNN", "fast-fp32", file)
        file.with_suffix(".png").write_bytes(paint(figure.to_plotly_json()))


if __name__ == "__main__":
    main()
