"""Generates the tables and figures of docs/results/speed-cpu.md from the measurements of `tools/speed.py`."""

from __future__ import annotations

from typing import Any

from pages import as_numbers, as_table, rendered

from explorer.report.speed import TIE, with_interval
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
    main = known.get("main detector", {}).get(MAIN)
    tasks = any(group.startswith(task) for group in known for task in BASIS)
    return rendered(
        "speed",
        title=TITLES[name],
        name=name,
        machine=machine_words(known),
        missing=missing_words(known),
        main_backbone=mode_table(known.get("main backbone", {}).get(MAIN), {}),
        share=share_words(known),
        main_detector=mode_table(main, known.get("memory", {})),
        stages=stage_table(main),
        backbones=backbone_table(known),
        rows=row_table(known) if tasks else "",
        v39=v39_words(known),
        picture=picture(known, name),
        timm=timm_table(known.get("timm", {})),
        peers=peers_table(known["peers"]) if "peers" in known else "",
        bfloat16=bfloat16_table(known["AP"]) if "AP" in known else "",
        on_cells=any(model.endswith("bccd") for model in known.get("AP", {})),
        formats=formats_table(known["formats"]) if "formats" in known else "",
        one_core=mode_table(known.get("main detector, one core", {}).get(MAIN), {}),
        int8=int8_table(known["int8"]) if "int8" in known else "",
        many=many_table(known["many models"]) if "many models" in known else "",
        many_words=many_words(known["many models"]) if "many models" in known else "",
        first_machine=name == "speed-cpu",
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


def bfloat16_table(found: Document) -> str:
    """AP by number format."""
    ways = ["exact", "float32", "bfloat16", *(["int8"] if all("int8" in own for own in found.values()) else [])]
    lines = [(model, *(f"{own[how]:.2f}" for how in ways)) for model, own in found.items()]
    return as_table(("model", "exact", *(f"fast, {way}" for way in ways[1:])), lines)


def many_table(found: dict[str, list[Document]]) -> str:
    """Memory after every fifth of many models used one after the other."""
    lines = []
    for number, (page, engine) in enumerate(zip(found["page"], found["openvino"], strict=True), start=1):
        if number == 1 or number % 5 == 0:
            kept = f"{page['models_kept']} of {page['kept_mb']:.0f} MB"
            sizes = (page["resident_mb"], engine["used_mb"], engine["resident_mb"])
            lines.append((f"{number}: `{page['model']}`", kept, *(f"{size:,.0f}" for size in sizes)))
    return as_table(("after model", "page keeps", "page, MB", "OpenVINO in use, MB", "let go, MB"), lines)


def many_words(found: dict[str, list[Document]]) -> str:
    """The most that the page held, and what was left of OpenVINO's models."""
    page, engine = found["page"], found["openvino"]
    grown = (engine[-1]["resident_mb"] - engine[0]["resident_mb"]) / (len(engine) - 1)
    return (
        f"The page held {max(row['resident_mb'] for row in page):,.0f} MB at most after a detection, and "
        f"{page[-1]['peak_mb']:,.0f} MB at most within one. With OpenVINO, a model that is let go of leaves "
        f"{grown:.0f} MB on average; the largest weights were {max(row['weights_mb'] for row in engine):,.0f} MB."
    )


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


def formats_table(found: Document) -> str:
    """One row per model and mode: the times and the AP of the same network, and the size of its file."""
    lines = []
    for model, document in found.items():
        for row in document["results"]:
            if row["median_s"] is None:
                lines.append((f"{model}, {row['mode']}", NOT_MEASURED, *["–"] * 4))
                continue
            times = f"{1000 * row['median_s']:.0f} ({1000 * row['p95_s']:.0f})"
            tie = " tie" if row["mode"] != "eager" and abs(row["ratio_to_baseline"] - 1) < TIE else ""
            found_ap = as_numbers(row["accuracy"])
            aps = (with_interval(found_ap[key], found_ap[f"{key}_interval"]) for key in ("ap", "ap_small"))
            size = f"{row['file_mb']:.1f}" if row["file_mb"] else "–"
            lines.append((f"{model}, {row['mode']}", times, ratio_words(row) + tie, *aps, size))
    return as_table(("model and mode", "ms (p95)", "× eager", "box AP", "AP small", "file MB"), lines)


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
