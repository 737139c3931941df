"""The words and tables of docs/results/speed-cpu.md, from what `tools/speed.py` measured; prose beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from explorer.zoo.registry import ZooEntry, entries

MAIN = "faster_rcnn_V_39_FPN_3x"
BASIS = {"Faster R-CNN": "faster_rcnn_R_50_FPN_3x", "Mask R-CNN": "mask_rcnn_R_50_FPN_3x"}
BASIS["Panoptic FPN"] = "panoptic_fpn_R_50_FPN_3x"
SHORT = ("eager", "fast-fp32", "fast-bf16")
LIGHT = ("Mv2_FPNLite", "V_19_slim_dw_FPNLite", "V_19_dw_FPNLite", "V_19_slim_FPNLite", "V_19_FPNLite", "V_19_FPN")
HEAVY = ("R_50_FPN", "V_39_FPN", "R_101_FPN", "V_57_FPN", "V_99_FPN")
TIMM = {"V-19-dw-eSE": "ese_vovnet19b_dw", "V-39-eSE": "ese_vovnet39b", "V-57-eSE": "ese_vovnet57b"}
PEER = "timm/faster_rcnn_hgnetv2_b1_FPN_3x"
PEERS = {
    "V-19-slim-dw-eSE": ("hgnetv2_b0", "hgnetv2_b1", "mobilenetv4_conv_small", "starnet_s1"),
    "V-19-slim-eSE": ("hgnetv2_b2", "hgnetv2_b3", "repvgg_a0", "starnet_s4"),
    "V-19-eSE": ("hgnetv2_b4", "convnext_tiny"),
}
"""VoVNets, and the backbones of timm's whose multiplications are about as many."""
Document = dict[str, Any]


def rows(task: str) -> list[ZooEntry]:
    """The seed's rows of one task."""
    return [entry for entry in entries() if entry.released and entry.task.startswith(task)]


def page(known: Document, name: str = "speed-cpu") -> str:
    """Returns the results page of one machine: what was measured, and the tables' marks where something was not.

    Args:
        known: what `tools/speed.py` measured, by group.
        name: of its files. The section of what did not help is on the first machine's page only.
    """
    tasks = any(group.startswith(task) for group in known for task in BASIS)
    sections = [
        HEAD.format(title=TITLES[name], name=name, machine=machine_words(known), missing=missing_words(known)),
        MAIN_BACKBONE,
        mode_table(known.get("main backbone", {}).get(MAIN), {}),
        f"{share_words(known)} {ERROR}",
        MAIN_DETECTOR,
        mode_table(known.get("main detector", {}).get(MAIN), known.get("memory", {})),
        stage_table(known.get("main detector", {}).get(MAIN)),
        *PARTS,
        BACKBONES,
        backbone_table(known),
        *((ROWS.format(v39=v39_words(known)), row_table(known), picture(known, name)) if tasks else ()),
        TIMM_WORDS,
        timm_table(known.get("timm", {})),
        *((PEERS_WORDS, peers_table(known["peers"])) if "peers" in known else ()),
        *((bfloat16_words(known["AP"]), bfloat16_table(known["AP"])) if "AP" in known else ()),
        *((INT8, int8_table(known["int8"]), INT8_WORDS) if "int8" in known else ()),
        *((LOST,) if name == "speed-cpu" else ()),
    ]
    blocks = "\n\n".join(sections).split("\n\n")
    return (
        "\n\n".join(
            block if block.startswith(("|", "#")) else fill(block, 120, break_on_hyphens=False) for block in blocks
        )
        + "\n"
    )


def missing_words(known: Document) -> str:
    """What was not measured on this machine."""
    flags = known["main detector"][MAIN]["hardware"]["cpu_flags"]
    return "GPUs" if "amx_bf16" in flags else "processors with AMX, GPUs"


def share_words(known: Document) -> str:
    """How much of the ceiling was left to win in float32."""
    share = eager_share(known)
    return (
        f"Eager torch already reaches {100 * share:.0f} % of this processor's float32 ceiling, so running the same "
        f"products at the ceiling would be {1 / share:.2f} times as fast. The target of 1.8 was set on a processor "
        "where eager torch is further from the ceiling."
    )


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
        f"V-39 has {size['gmac'] / other['gmac']:.2f} times the multiplications of R-50. It takes {eager:.2f} times as "
        f"long in eager torch, and {single:.2f} (float32) and {half:.2f} times (bfloat16) as long on the fast path; "
        "on the V100, both take the same time."
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
        for group, models in known.items():
            if group.startswith(task):
                documents |= models
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


def peers_table(found: Document) -> str:
    """Backbones that people would pick today beside VoVNets of their class."""
    lines: list[tuple[str, ...]] = []
    for ours, theirs in PEERS.items():
        for name in (ours, *theirs):
            own = found.get(ours, {}).get(name)
            if own is None:
                lines.append((name, "–", "–", "–", NOT_MEASURED))
                continue
            cost = f"{own['gmac']:.1f} / {own['parameters_m']:.1f}"
            medians = [f"{1000 * own['median_s'][side]:.0f}" for side in ("eager", "fast")]
            ratio = f"{own['value']:.2f} [{own['low']:.2f}, {own['high']:.2f}]"
            lines.append((name, cost, *medians, "1.00" if name == ours else ratio))
    return as_table(("backbone", "GMAC / M params", "eager, ms", "fast path, ms", "time / VoVNet's"), lines)


def bfloat16_words(rows: Document) -> str:
    """What AP was measured on."""
    cells = ", of the blood-cell model on BCCD's test set" if any(name.endswith("bccd") for name in rows) else ""
    return f"{BFLOAT16}{cells}:"


def bfloat16_table(found: Document) -> str:
    """AP by number format."""
    ways = ["exact", "float32", "bfloat16", *(["int8"] if all("int8" in own for own in found.values()) else [])]
    lines = [(model, *(f"{own[how]:.2f}" for how in ways)) for model, own in found.items()]
    return as_table(("model", "exact", *(f"fast, {way}" for way in ways[1:])), lines)


def picture(known: Document, name: str) -> str:
    """The drawing, where there is something to draw."""
    drawn = any(group in known for group in ("Faster R-CNN, light", "Faster R-CNN, heavy"))
    return f"![Released AP against measured time]({name}.png)" if drawn else "The drawing waits for these figures."


def int8_table(found: Document) -> str:
    """Time and difference of maps in int8 beside the other formats."""
    lines = []
    for model, own in found.items():
        for mode in ("float32", "bfloat16", "int8"):
            ratio = "{:.2f} [{:.2f}, {:.2f}]".format(*own["by_bfloat16"][mode]) if mode != "bfloat16" else "1.00"
            error = f"{own['error'][mode]:.2f}" if mode in own["error"] else "–"
            ap = f"{own['AP'][mode]:.1f}" if mode in own.get("AP", {}) else "–"
            lines.append((f"{model}, {mode}", f"{1000 * own['median_s'][mode]:.0f}", ratio, error, ap))
    return as_table(("trunk", "ms", "speed by bfloat16's", "largest error", "box AP"), lines)


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
TITLES = {"speed-cpu": "Speed on AMD EPYC", "speed-amx": "Speed on Intel Xeon with AMX"}

HEAD = """# {title}

This page compares the fast path (`explorer.engine.fast`, used by `predict`, `evaluate` and the page) with the same
model in eager PyTorch, as in the release. Written by `python tools/speed.py`; all figures are in
[{name}.json]({name}.json).

The input is 1×3×800×1088 and the weights are random. Modes are timed in interleaved rounds. A ratio is the median over
rounds of the baseline's time divided by the mode's time; brackets give an interval that contains the true median with
at least 95 % probability (94 % with 5 rounds: the smallest and the largest value). "Of the ceiling" is the number of
multiplications per second divided by that of the fastest product of two 4096² matrices in the same number format, with
any installed library, in the same run; convolutions can exceed it, because they reuse loaded data more often. Measured
on: {machine}. Not measured: {missing}."""
MAIN_BACKBONE = "## V-39 FPN, backbone and FPN"
ERROR = """The error is the largest difference in a feature map, divided by the largest value of that map. In bfloat16
it is large because the gates of squeeze-excitation are half open with random weights; the effect of bfloat16 on
trained detectors is measured [on the AMX machine](speed-amx.md#does-bfloat16-cost-accuracy)."""
MAIN_DETECTOR = "## V-39 FPN, whole detector"
PARTS = (
    """Peak memory is that of a process that prepares the mode, compares it with the plain model and runs it. OpenVINO
needs more than eager torch, because it holds packed weights in addition to the model's and supports any photo size;
torch's other modes, where measured, need less. A network for a single size, measured on a processor with AMX, takes
182 MB less in float32 and 145 MB less in bfloat16, but one such network would be needed for every photo size.
Releasing the converted network after compilation and returning freed memory to the system made no difference.""",
    """Besides convolutions, RoIAlign was slow, because its loop over channels reads memory with large strides; it is
replaced by weighted sums of rows of a channels-last map. "trunk" is backbone, FPN and RPN head in one network; Mask
R-CNN's mask head runs on the same engine.""",
)
BACKBONES = "## Backbones with FPN"
ROWS = """## All released detectors

The columns after the ratios give times relative to the R-50-FPN of the same task, here in each mode (medians of
separate runs) and on the release's V100. {v39} With random weights every model detects a different number of objects,
which changes the work of mask heads and panoptic merging, so the comparison with R-50 is most reliable for Faster
R-CNN."""
TIMM_WORDS = """## Against timm

Bare backbones with the same convolutions (eSE on the last block of a stage only) in float32: ours on the fast path,
timm's `features_only` models in channels-last format and compiled with frozen weights, their fastest setting."""
PEERS_WORDS = """## Backbones of today

Bare backbones in float32, on the fast path and in eager torch, grouped by similar cost; each group is timed in one run
of interleaved rounds. The last column is the fast path's time divided by that of the VoVNet-V2 at the top of the
group, with its interval as above. [From VoVNet to HGNetV2](hgnetv2.md) compares their blocks."""
BFLOAT16 = """## Does bfloat16 cost accuracy?

AP of boxes on `explorer data make aerial aerial --images 300 --seed 1`"""
INT8 = """## int8

Trunks quantised by NNCF (mixed preset, calibrated on other scenes) and run by OpenVINO, the rest of each in
bfloat16."""
INT8_WORDS = """On processors with AMX, `--dtype auto` selects bfloat16: int8 is faster only on the large model, whose
maps it changes strongly (with random weights), and not on the small ones, whose depthwise convolutions are limited by
memory bandwidth. All layers were quantised here; `--dtype int8` keeps the first convolution, gates and dense heads'
outputs in floating point. ONNX Runtime's static quantisation (convolutions alone, QDQ), run by OpenVINO, was slower
than bfloat16 on both: 0.92 [0.85, 0.95] and 0.66 [0.60, 0.79] of its speed."""
LOST = """## What did not help

Splitting the 1×1 convolution after OSA's concatenation into one per input with in-place sums, which avoids the
concatenation, took 1.00 s instead of 0.93 s (V-39 with FPN in eager torch, folded norms, channels-last), because each
part reads and writes the sum once more. Torch's convolutions cannot write their outputs directly into one buffer.
Autocast was as fast as weights cast to bfloat16. ONNX Runtime and compiled code come within 15 % of OpenVINO in
float32; compiling takes 11 to 22 s where OpenVINO takes about 3. Static shapes were not faster than one OpenVINO
network for all sizes, and padding to a few fixed sizes would change results, because squeeze-excitation averages over
the padding too. For the box head's product of 1000 × 12544 by 12544 × 1024, torch's library does not use the full
vector width of the AMD processor; OpenVINO's does."""
