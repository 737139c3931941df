"""Measures the speed of all released detectors on this machine and writes docs/results/speed-cpu.{json,md}.

    python tools/speed.py GROUP…     # measures groups (all without a name) and writes the page again
    python tools/speed.py --page     # writes the page from the JSON alone

Nothing else should run meanwhile; a group takes two to eight minutes on two cores. The weights are random: times
hardly depend on them, and the released ones cannot be had everywhere. The prose stands here, beside its numbers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import fill
from typing import Any

import torch
from painting import painter

from explorer.config import load_config
from explorer.data.aerial import make_aerial
from explorer.data.coco import register_coco
from explorer.engine.artifacts import plain
from explorer.engine.benchmark import interleaved, middle
from explorer.engine.costs import peak_memory_mb
from explorer.engine.detector import Detector, load_detector, make_detector
from explorer.engine.evaluate import evaluate
from explorer.engine.fast.hardware import Plan
from explorer.engine.fast.model import fast
from explorer.engine.fast.networks import TorchNetwork, prepare
from explorer.engine.modes import Stage
from explorer.engine.speed import Found, benchmark
from explorer.report.speed import RECORDED, recorded_pareto, speed_document
from explorer.zoo.registry import ZooEntry, entries

FILE = RECORDED
SIZE, ROUNDS, FEWER = (800, 1088), 7, 5
MAIN = "faster_rcnn_V_39_FPN_3x"
BASIS = {"Faster R-CNN": "faster_rcnn_R_50_FPN_3x", "Mask R-CNN": "mask_rcnn_R_50_FPN_3x"}
BASIS["Panoptic FPN"] = "panoptic_fpn_R_50_FPN_3x"
EVERY_MODE = ("eager", "torch-fp32", "compile-fp32", "onnx", "openvino", "torch-bf16", "compile-bf16", "openvino-bf16")
SHORT = ("eager", "fast-fp32", "fast-bf16")
LIGHT = ("Mv2_FPNLite", "V_19_slim_dw_FPNLite", "V_19_dw_FPNLite", "V_19_slim_FPNLite", "V_19_FPNLite", "V_19_FPN")
HEAVY = ("R_50_FPN", "V_39_FPN", "R_101_FPN", "V_57_FPN", "V_99_FPN")
TIMM = {"V-19-dw-eSE": "ese_vovnet19b_dw", "V-39-eSE": "ese_vovnet39b", "V-57-eSE": "ese_vovnet57b"}
Document = dict[str, Any]


def rows(task: str) -> list[ZooEntry]:
    """The seed's rows of one task."""
    return [entry for entry in entries() if entry.released and entry.task.startswith(task)]


def random_detector(name: str) -> Detector:
    """A released detector with seeded random weights."""
    torch.manual_seed(0)
    (entry,) = (entry for entry in entries() if entry.name == name)
    return make_detector(load_config(str(entry.config)), name, device="cpu")


def measured(name: str, modes: tuple[str, ...], stage: Stage, *, rounds: int, stages: bool = False) -> Found:
    """One detector in modes."""
    print(f"{name} {stage}", flush=True)
    return benchmark(
        [random_detector(name)], modes, baseline="eager", size=SIZE, stage=stage, rounds=rounds, stages=stages
    )


def main_group(stage: Stage) -> Document:
    """The main detector in every mode."""
    return {MAIN: speed_document(measured(MAIN, EVERY_MODE, stage, rounds=ROUNDS, stages=stage == "detector"))}


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


def accuracy_group() -> Document:
    """AP of the demo models on aerial scenes, as trained and the fast way."""
    found: Document = {}
    with tempfile.TemporaryDirectory() as folder:
        make_aerial(Path(folder), images=300, seed=1)
        data = register_coco(folder)
        for name in ("demo/V-19-slim-dw", "demo/MobileNetV2"):
            plain = load_detector(name, device="cpu", exact=True)
            ways = {"exact": plain, "float32": fast(plain, "float32"), "bfloat16": fast(plain, "bfloat16")}
            found[name] = {how: evaluate(one.runner, one.cfg, data).values["bbox"]["AP"] for how, one in ways.items()}
    return found


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
    "memory": memory_group,
    "backbones, light": lambda: backbone_group(LIGHT),
    "backbones, heavy": lambda: backbone_group(HEAVY),
    "timm": timm_group,
    "AP": accuracy_group,
    "Faster R-CNN, light": lambda: task_group("Faster R-CNN", slice(8)),
    "Faster R-CNN, heavy": lambda: task_group("Faster R-CNN", slice(8, None)),
    "Mask R-CNN, light": lambda: task_group("Mask R-CNN", slice(4)),
    "Mask R-CNN, heavy": lambda: task_group("Mask R-CNN", slice(4, None)),
    "Panoptic FPN": lambda: task_group("Panoptic FPN"),
}


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description="Measure speed and write docs/results/speed-cpu.")
    parser.add_argument("groups", nargs="*", help=f"among {', '.join(GROUPS)}")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page again")
    options = parser.parse_args()
    known: Document = json.loads(FILE.read_text()) if FILE.is_file() else {}
    for name in [] if options.page else options.groups or list(GROUPS):
        known[name] = plain(GROUPS[name]())
        FILE.write_text(json.dumps(known, indent=1) + "\n")
    FILE.with_suffix(".md").write_text(page(known))
    draw()


def page(known: Document) -> str:
    """Returns the results page; groups that were not measured leave their rows so marked."""
    words = {
        "main_backbone": mode_table(known.get("main backbone", {}).get(MAIN), {}),
        "main_detector": mode_table(known.get("main detector", {}).get(MAIN), known.get("memory", {})),
        "stages": stage_table(known.get("main detector", {}).get(MAIN)),
        "backbones": backbone_table(known),
        "rows": row_table(known),
        "timm": timm_table(known.get("timm", {})),
        "machine": machine_words(known),
        "eager_share": f"{100 * eager_share(known):.0f}",
        "most": 1 / eager_share(known),
        "v39": v39_words(known),
        "picture": picture(known),
        "bfloat16": bfloat16_table(known.get("AP", {})),
    }
    blocks = TEXT.format(**words).split("\n\n")
    return "\n\n".join(block if block.startswith("|") else fill(block, 120) for block in blocks) + "\n"


def draw() -> None:
    """Draws released AP against the time measured here, of the Faster R-CNNs the fast way in float32."""
    with suppress(ValueError), painter() as paint:  # nothing to draw where nothing has been measured yet
        FILE.with_suffix(".png").write_bytes(paint(recorded_pareto("Faster R-CNN", "fast-fp32").to_plotly_json()))


def eager_share(known: Document) -> float:
    """What share of the ceiling eager torch reaches with the main backbone."""
    return float(by_mode(known["main backbone"][MAIN])["eager"]["ceiling_fraction"])


def v39_words(known: Document) -> str:
    """Whether V-39 costs what R-50 costs, in a sentence."""
    group = known.get("Faster R-CNN, light", {})
    if MAIN not in group or BASIS["Faster R-CNN"] not in group:
        return ""
    ours, theirs = (by_mode(group[name]) for name in (MAIN, BASIS["Faster R-CNN"]))
    eager, single, half = (ours[mode]["median_s"] / theirs[mode]["median_s"] for mode in SHORT)
    (size,), (other,) = (group[name]["sizes"].values() for name in (MAIN, BASIS["Faster R-CNN"]))
    return (
        f"Does V-39 still cost what R-50 costs? It has {size['gmac'] / other['gmac']:.2f} times the multiplications, "
        f"and takes {eager:.2f} times as long in eager torch, {single:.2f} in float32 and {half:.2f} in bfloat16 the "
        "fast way, on the V100 once as long."
    )


def as_table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """Lays cells out in Markdown, the first column to the left."""
    marks = [" --- ", *[" ---: "] * (len(head) - 1)]
    return "\n".join(
        ["| " + " | ".join(head) + " |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in lines)]
    )


def ratio_words(row: Document | None) -> str:
    """A ratio with its interval."""
    if row is None or row["ratio_to_baseline"] is None:
        return NOT_MEASURED
    return f"{row['ratio_to_baseline']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"


def mode_table(document: Document | None, memory: Document) -> str:
    """One row per mode."""
    lines = []
    for row in document["results"] if document else []:
        cells = (f"{1000 * row['median_s']:.0f}", ratio_words(row), f"{100 * row['ceiling_fraction']:.0f} %")
        error = f"{row['max_rel_error']:.0e}" if row["max_rel_error"] else "–"
        peak = (f"{memory[row['mode']]:.0f}" if memory.get(row["mode"]) else NOT_MEASURED,) if memory else ()
        lines.append((row["mode"], *cells, error, *peak))
    head = ("mode", "ms", "× eager", "of the ceiling", "error", *(("peak MB",) if memory else ()))
    return as_table(head, lines)


def stage_table(document: Document | None) -> str:
    """Milliseconds by stage."""
    rows = {row["mode"]: row["stages_s"] for row in document["results"]} if document else {}
    wanted = [mode for mode in ("eager", "openvino", "openvino-bf16") if mode in rows]
    stages = list(dict.fromkeys(stage for mode in wanted for stage in rows[mode] if rows[mode][stage] > 1e-4))
    lines = [
        (s, *(f"{1000 * rows[mode][s]:.1f}" if rows[mode].get(s, 0) > 1e-4 else "–" for mode in wanted)) for s in stages
    ]
    return as_table(("ms", *wanted), lines)


def by_mode(document: Document | None) -> Document:
    """A document's rows by mode; none where it was not measured."""
    return {row["mode"]: row for row in document["results"]} if document else {}


def backbone_table(known: Document) -> str:
    """Backbones with FPN: one row each."""
    lines = []
    for name in (*LIGHT, *HEAVY):
        group = known.get("backbones, light", {}) | known.get("backbones, heavy", {})
        document = group.get(f"faster_rcnn_{name}_3x")
        found = by_mode(document)
        gmac, share = "–", ["–", "–"]
        if document:
            (size,) = document["sizes"].values()
            gmac = f"{size['gmac']:.0f} / {size['parameters_m']:.1f}"
            share = [f"{100 * found[mode]['ceiling_fraction']:.0f} %" for mode in ("eager", "fast-fp32")]
        ratios = [ratio_words(found.get(mode)) for mode in SHORT[1:]]
        lines.append((name.replace("_", "-"), gmac, share[0], ratios[0], share[1], ratios[1]))
    head = (
        "backbone with FPN",
        "GMAC / M params",
        "eager: of ceiling",
        "float32, × eager",
        "of ceiling",
        "bfloat16, × eager",
    )
    return as_table(head, lines)


def row_table(known: Document) -> str:
    """All rows of the seed."""
    lines = []
    for task, basis in BASIS.items():
        documents: Document = {}
        for group in GROUPS:
            if group.startswith(task):
                documents |= known.get(group, {})
        for entry in rows(task):
            found, reference = by_mode(documents.get(entry.name)), by_mode(documents.get(basis))
            sides = []
            for mode in SHORT:
                both = found.get(mode) and reference.get(mode)
                sides.append(f"{found[mode]['median_s'] / reference[mode]['median_s']:.2f}" if both else "–")
            assert entry.released
            v100 = float(entry.released["inference_s_v100"])
            (base,) = (other for other in rows(task) if other.name == basis)
            assert base.released
            seed = f"{v100 / float(base.released['inference_s_v100']):.2f}"
            ratios = [ratio_words(found.get(mode)) for mode in SHORT[1:]]
            lines.append((f"`{entry.name}`", *ratios, *sides, seed, NOT_MEASURED))
    head = ("model", "float32, × eager", "bfloat16, × eager", "eager / R-50", "float32 / R-50", "bfloat16 / R-50")
    return as_table((*head, "V100, seed / R-50", "GPU"), lines)


def timm_table(found: Document) -> str:
    """Our backbones beside timm's."""
    lines: list[tuple[str, ...]] = []
    for name in TIMM.values():
        own = found.get(name)
        if own is None:
            lines.append((name, "–", "–", NOT_MEASURED))
        else:
            medians = [f"{1000 * own['median_s'][side]:.0f}" for side in ("ours", "timm")]
            lines.append((name, *medians, f"{own['ratio']:.2f} [{own['low']:.2f}, {own['high']:.2f}]"))
    return as_table(("backbone", "ours, ms", "timm, ms", "timm / ours"), lines)


def bfloat16_table(found: Document) -> str:
    """AP by number format."""
    lines = [(model, *(f"{own[how]:.2f}" for how in ("exact", "float32", "bfloat16"))) for model, own in found.items()]
    return as_table(("model", "exact", "fast, float32", "fast, bfloat16"), lines)


def picture(known: Document) -> str:
    """The drawing, where there is something to draw."""
    drawn = any(group in known for group in ("Faster R-CNN, light", "Faster R-CNN, heavy"))
    return "![Released AP against measured time](speed-cpu.png)" if drawn else "The drawing waits for these figures."


def machine_words(known: Document) -> str:
    """What it was measured on."""
    document = known["main detector"][MAIN]
    hardware, limits = document["hardware"], document["ceiling_tflops"]
    rates = "; ".join(
        f"{dtype} {max(paths.values()):.2f} TFLOP/s ({', '.join(f'{path} {rate:.2f}' for path, rate in paths.items())})"
        for dtype, paths in limits.items()
    )
    return f"{hardware['device']}, {document['threads']} cores, {', '.join(hardware['cpu_flags'])}. Ceilings: {rates}"


NOT_MEASURED = "not measured"
TEXT = """# Speed on a CPU

What the fast way (`explorer.fast`, and what `predict`, `evaluate` and the page take) gains over the same model run
operation by operation by torch, which is structurally the release. Made by `python tools/speed.py`; all figures are in
[speed-cpu.json](speed-cpu.json).

Input 1×3×800×1088, random weights, modes timed in interleaved rounds; a ratio is the median over rounds of baseline by
mode, in brackets the interval that holds the true median with at least 95 % (where 5 rounds were made, 94 %: the
smallest and the largest). "Of the ceiling" is multiplications per second by those of the fastest product of two 4096²
matrices in the same number format, by any library at hand, in the same run; a convolution, which reuses what it has
read more than that product does, can exceed it. Measured on: {machine}. This processor has no AMX, and no GPU was
reachable: what is claimed for those is not measured.

## V-39 FPN, backbone and FPN

{main_backbone}

Eager torch already reaches {eager_share} % of this processor's float32 ceiling, so that running the same products at
the ceiling would be {most:.2f} times as fast; the target of 1.8 × was set where eager torch is further from it. The
error is the largest difference of a map by that map's largest value. In bfloat16 it is large because random weights
leave the gates of squeeze-excitation between open and closed; what bfloat16 does to detections is measured below.

## V-39 FPN, whole detector

{main_detector}

{stages}

Peak memory is that of a process that gets ready, compares itself with the plain model and runs: the fast way lies above
eager, since it holds its own packed weights beside the model's and that comparison has run the model too.

What was slow besides convolutions was RoIAlign, whose loop over channels reads numbers far apart: as weighted sums of
rows of a channels-last map it takes a fifth of the time. The box head's product of 1000 × 12544 by 12544 × 1024 gains
from OpenVINO's kernels; torch's library for it does not use this processor's full width. "trunk" is backbone, FPN and
RPN head in one; Mask R-CNN's mask head is run by the same engine.

## Backbones with FPN

{backbones}

## All released detectors

Beside the ratios stand times by that of the R-50-FPN of the same task: here in each mode (medians of separate runs),
and on the seed's V100. {v39} Random weights find a different number of objects with every model, which changes what
mask heads and panoptic merging have to do: beside R-50, the rows of Faster R-CNN say more than the others.

{rows}

{picture}

## Against timm

Bare backbones with the same convolutions (eSE on the last block of a stage alone), float32: ours by the fast way,
timm's `features_only` channels-last and compiled with frozen weights, its fastest setting.

{timm}

## Does bfloat16 cost accuracy?

AP of boxes on `explorer data make aerial aerial --images 300 --seed 1`, the demo models:

{bfloat16}

## What did not win

int8 is not built: the tools that calibrate for OpenVINO and torch (NNCF, torchao) are no dependencies, torch 2.14 ships
none of its own any more, and ONNX Runtime's static quantisation was not tried.

Splitting the 1×1 convolution after OSA's concatenation into one per input, with sums in place, so that nothing is
concatenated, took 1.00 s where concatenation took 0.93 s (V-39 with FPN in eager torch, folded norms, channels-last):
each part reads and writes the sum once more. Writing the layers' outputs straight into one buffer is not offered by
torch's convolutions. Autocast was as fast as weights cast to bfloat16. ONNX Runtime and compiled code come within 15 %
of OpenVINO in float32; compiling takes 11 to 22 s where OpenVINO takes about 3. Static shapes gained nothing over one
network for all sizes in OpenVINO, and padding to buckets would change results, since squeeze-excitation averages over
the padding too.
"""

if __name__ == "__main__":
    main()
