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
        name: of its files. What was tried and did not win stands on the first machine's page alone.
    """
    tasks = any(group.startswith(task) for group in known for task in BASIS)
    sections = [
        HEAD.format(name=name, machine=machine_words(known), missing=missing_words(known)),
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
    return "\n\n".join(block if block.startswith(("|", "#")) else fill(block, 120) for block in blocks) + "\n"


def missing_words(known: Document) -> str:
    """What this machine has not."""
    flags = known["main detector"][MAIN]["hardware"]["cpu_flags"]
    lacking = ["no GPU was reachable"] if "amx_bf16" in flags else ["this processor has no AMX", "no GPU was reachable"]
    return f"{' and '.join(lacking)}: what is claimed for {'that' if len(lacking) == 1 else 'those'} is not measured"


def share_words(known: Document) -> str:
    """How much of the ceiling was left to win in float32."""
    share = eager_share(known)
    return (
        f"Eager torch already reaches {100 * share:.0f} % of this processor's float32 ceiling, so that running the "
        f"same products at the ceiling would be {1 / share:.2f} times as fast; the target of 1.8 × was set where eager "
        "torch is further from it."
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
HEAD = """# Speed on a CPU

What the fast way (`explorer.fast`, and what `predict`, `evaluate` and the page take) gains over the same model run
operation by operation by torch, which is structurally the release. Made by `python tools/speed.py`; all figures are in
[{name}.json]({name}.json).

Input 1×3×800×1088, random weights, modes timed in interleaved rounds; a ratio is the median over rounds of baseline by
mode, in brackets the interval that holds the true median with at least 95 % (where 5 rounds were made, 94 %: the
smallest and the largest). "Of the ceiling" is multiplications per second by those of the fastest product of two 4096²
matrices in the same number format, by any library at hand, in the same run; a convolution, which reuses what it has
read more than that product does, can exceed it. Measured on: {machine}. Of the rest, {missing}."""
MAIN_BACKBONE = "## V-39 FPN, backbone and FPN"
ERROR = """The error is the largest difference of a map by that map's largest value. In bfloat16 it is large because
random weights leave the gates of squeeze-excitation between open and closed; what bfloat16 does to trained detectors is
measured [on the AMX machine](speed-amx.md#does-bfloat16-cost-accuracy)."""
MAIN_DETECTOR = "## V-39 FPN, whole detector"
PARTS = (
    """Peak memory is that of a process that gets ready, compares itself with the plain model and runs. OpenVINO lies
above eager, since it holds its own packed weights beside the model's, and maps for any size of photo; torch's modes,
where measured, lie below. Tried against it, on a processor with AMX: a network for this one size takes 182 MB less in
float32 and 145 in bfloat16, and would cost one more, kept until the process ends, for every size of photo; letting the
converted network go once it is compiled, and giving freed memory back to the system, change nothing.""",
    """What was slow besides convolutions was RoIAlign, whose loop over channels reads numbers far apart: weighted sums
of rows of a channels-last map take its place. "trunk" is backbone, FPN and RPN head in one; Mask R-CNN's mask head is
run by the same engine.""",
)
BACKBONES = "## Backbones with FPN"
ROWS = """## All released detectors

Beside the ratios stand times by that of the R-50-FPN of the same task: here in each mode (medians of separate runs),
and on the seed's V100. {v39} Random weights find a different number of objects with every model, which changes what
mask heads and panoptic merging have to do: beside R-50, the rows of Faster R-CNN say more than the others."""
TIMM_WORDS = """## Against timm

Bare backbones with the same convolutions (eSE on the last block of a stage alone), float32: ours by the fast way,
timm's `features_only` channels-last and compiled with frozen weights, its fastest setting."""
PEERS_WORDS = """## Backbones of today

Bare backbones in float32, with the fast path and in eager torch, each class of similar cost in one run of interleaved
rounds. The last column is the fast path's time divided by that of the VoVNet-V2 at the top of the class, with its
interval as above. [From VoVNet to HGNetV2](hgnetv2.md) compares their blocks."""
BFLOAT16 = """## Does bfloat16 cost accuracy?

AP of boxes on `explorer data make aerial aerial --images 300 --seed 1`"""
INT8 = """## int8

Trunks quantised by NNCF (mixed preset, calibrated on other scenes) and run by OpenVINO, the rest of each in
bfloat16."""
INT8_WORDS = """Where a processor has AMX, `--dtype auto` takes bfloat16: int8 gains on the large model alone, whose
maps it changes beyond recognition (random weights), and is no faster on the small ones, whose depthwise convolutions
wait for memory. All layers were in integers here; `--dtype int8` leaves the first convolution, gates and dense heads'
outputs in floating point. ONNX Runtime's static quantisation (convolutions alone, QDQ), run by
OpenVINO, was slower than bfloat16 on both: 0.92 [0.85, 0.95] and 0.66 [0.60, 0.79] of its speed."""
LOST = """## What did not win

Splitting the 1×1 convolution after OSA's concatenation into one per input, with sums in place, so that nothing is
concatenated, took 1.00 s where concatenation took 0.93 s (V-39 with FPN in eager torch, folded norms, channels-last):
each part reads and writes the sum once more. Writing the layers' outputs straight into one buffer is not offered by
torch's convolutions. Autocast was as fast as weights cast to bfloat16. ONNX Runtime and compiled code come within 15 %
of OpenVINO in float32; compiling takes 11 to 22 s where OpenVINO takes about 3. Static shapes gained nothing over one
network for all sizes in OpenVINO, and padding to buckets would change results, since squeeze-excitation averages over
the padding too. torch's library for the box head's product of 1000 × 12544 by 12544 × 1024 does not use the AMD
processor's full width; OpenVINO's does."""
