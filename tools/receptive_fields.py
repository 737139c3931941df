"""Measures the receptive fields of all backbones and writes docs/results/receptive-fields.{json,md}'s tables.

    python tools/receptive_fields.py          # all of them: some ten minutes on two cores
    python tools/receptive_fields.py NAME     # one again, in the others' company

The prose of the page stands in this file, beside the numbers that it speaks of.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

from explorer.backbones.specs import VARIANTS
from explorer.config import load_config
from explorer.engine.artifacts import provenance
from explorer.engine.detector import Detector, make_detector
from explorer.engine.loading import load_detector
from explorer.report.fields import field_report
from explorer.writing import plain, write_json

Level = dict[str, Any]
Models = dict[str, dict[str, list[Level]]]
"""By name and by whether squeeze-excitation works: stages and levels, as `explorer receptive-field --json` has them."""

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
INPUTS, SIZE = 2, (512, 512)
BASE = "faster_rcnn_V_39_FPN_3x"
OTHERS = {"ResNet-50": "faster_rcnn_R_50_FPN_3x", "ResNet-101": "faster_rcnn_R_101_FPN_3x"}
LIGHT = "faster_rcnn_Mv2_FPNLite_3x"
DEMOS = {"V-19-slim-dw": "demo/V-19-slim-dw", "MobileNetV2": "demo/MobileNetV2"}


def detectors() -> dict[str, Detector]:
    """Every backbone with a 256-channel FPN and random weights, then the demo models and their random twins."""
    made = {}
    for name in VARIANTS:
        made[name] = make_detector(load_config(BASE, ["MODEL.VOVNET.CONV_BODY", name]), name, device="cpu")
    for name, config in OTHERS.items():
        made[name] = make_detector(load_config(config), name, device="cpu")
    wide = ["MODEL.FPN.OUT_CHANNELS", "256"]
    made["MobileNetV2"] = make_detector(load_config(LIGHT, wide), "MobileNetV2", device="cpu")
    for name, demo in DEMOS.items():
        trained = load_detector(demo, device="cpu")
        made[f"{name}, trained"] = trained
        made[f"{name}, its random twin"] = make_detector(trained.cfg, name, device="cpu")
    return made


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description="Measure receptive fields and write docs/results/receptive-fields.")
    parser.add_argument("names", nargs="*", help="measure only these again; the others are as they were")
    names = parser.parse_args().names
    file = RESULTS / "receptive-fields.json"
    models = json.loads(file.read_text())["models"] if names else {}
    for name, detector in detectors().items():
        if names and name not in names:
            continue
        print(name, flush=True)
        models[name] = {"gates": measure(detector, gates=True)}
        if "-19-" in name or name == "V-39-eSE":
            models[name]["gates off"] = measure(detector, gates=False)
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = plain({"inputs": INPUTS, "size": SIZE, "models": models, **provenance()})
    write_json(content, file, indent=1)
    file.with_suffix(".md").write_text(page(content["models"]))


def measure(detector: Detector, *, gates: bool) -> list[Level]:
    """Measures one detector's stages and levels."""
    report = field_report(detector, inputs=INPUTS, size=SIZE, gates=gates)
    return [plain(asdict(level)) for level in report.levels]


def page(models: Models) -> str:
    """Returns the results page."""
    plain_ones = [name for name in models if "," not in name]
    words = {
        "theoretical": table(models, plain_ones, "theoretical_px", ("gates",)),
        "effective": table(models, plain_ones, "effective_px", ("gates", "gates off")),
        "demos": table(models, [name for name in models if "," in name], "effective_px", ("gates", "gates off")),
    }
    blocks = TEXT.format(**words, **{key: side(models, *where) for key, where in NUMBERS.items()}).split("\n\n")
    return (
        "\n\n".join(block if block.startswith("|") else fill(block, 120, break_on_hyphens=False) for block in blocks)
        + "\n"
    )


def table(models: Models, names: list[str], figure: str, kinds: tuple[str, ...]) -> str:
    """Lays out one figure per stage and level; ResNet's and MobileNetV2's res2 to res5 are stages 2 to 5."""
    columns = ["stage 2", "stage 3", "stage 4", "stage 5", "p2", "p3", "p4", "p5", "p6"]
    lines = ["| backbone | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name in names:
        for kind in kinds:
            if kind in models[name]:
                cells = [f"{level[figure]:.0f}" for level in models[name][kind]]
                assert len(cells) == len(columns), name
                lines.append(f"| {name}{', gates off' * (kind != 'gates')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def side(models: Models, name: str, kind: str, level: str, figure: str) -> str:
    """Returns one figure for the prose."""
    (found,) = (own for own in models[name][kind] if own["name"] == level)
    return f"{found[figure]:.0f}"


NUMBERS = {
    "v19_p2": ("V-19-eSE", "gates", "p2", "effective_px"),
    "v19_p2_off": ("V-19-eSE", "gates off", "p2", "effective_px"),
    "v39_p2": ("V-39-eSE", "gates", "p2", "effective_px"),
    "v39_p2_off": ("V-39-eSE", "gates off", "p2", "effective_px"),
    "v1_p2": ("V-39", "gates", "p2", "effective_px"),
    "r50_p2": ("ResNet-50", "gates", "p2", "effective_px"),
    "mobile_p2": ("MobileNetV2", "gates", "p2", "effective_px"),
    "v19_stage2": ("V-19-eSE", "gates", "stage2", "effective_px"),
    "v39_stage2": ("V-39-eSE", "gates", "stage2", "effective_px"),
    "r50_stage2": ("ResNet-50", "gates", "res2", "effective_px"),
    "v39_theory": ("V-39-eSE", "gates", "p2", "theoretical_px"),
    "v99_theory": ("V-99-eSE", "gates", "p2", "theoretical_px"),
    "r50_theory": ("ResNet-50", "gates", "p2", "theoretical_px"),
    "v39_p5": ("V-39-eSE", "gates", "p5", "effective_px"),
    "r50_p5": ("ResNet-50", "gates", "p5", "effective_px"),
    "demo_p2": ("V-19-slim-dw, trained", "gates", "p2", "effective_px"),
    "demo_p2_off": ("V-19-slim-dw, trained", "gates off", "p2", "effective_px"),
    "demo_mobile_p2": ("MobileNetV2, trained", "gates", "p2", "effective_px"),
    "twin_mobile_p2": ("MobileNetV2, its random twin", "gates", "p2", "effective_px"),
    "twin_p2": ("V-19-slim-dw, its random twin", "gates", "p2", "effective_px"),
}
"""Figures in the prose: model, gates, stage or level, figure."""

TEXT = """# Receptive fields of the backbones

The tables give the theoretical receptive field (all pixels that can influence a unit, exact) and the effective
receptive field (the pixels that influence it in practice) of each stage and level, as the side of a square in input
pixels. Written by `python tools/receptive_fields.py`; all figures are in
[receptive-fields.json](receptive-fields.json). Every network has an FPN with 256 channels.

## Theoretical

Theoretical fields are computed exactly by following every operation (`explorer.receptive_field.theoretical`), and the
tests check them by perturbing every row and column of the input. Global operations (eSE) are left out. Levels p2 to
p4 also receive the field of the level above through nearest-neighbour upsampling, so neighbouring units have
differently placed fields; the largest is given.

{theoretical}

## Effective

Effective fields are the side of a square with the area of the pixels that hold 95 % of the energy (squared gradient
of the central unit, Luo et al. 2016), measured on 2 noise images of 512 × 512 px with the initial weights of training
(He normal). The release's weights are not available, so the table shows the effect of the architecture before
training. Repeating it with new random weights changes the figures by some percent. "gates off" leaves
squeeze-excitation out.

{effective}

## Trained and untrained detectors

The table compares two demo detectors (trained on aerial scenes, FPN with 64 channels and group normalisation) with
the same networks before training.

{demos}

## What it means for small objects

The receptive field does not limit the detection of small objects. With any backbone, the theoretical field of a unit
of p2 is much larger than an object of 32 px: {r50_theory} px with ResNet-50, {v39_theory} with V-39, {v99_theory} with
V-99. The effective field is smaller. In stage 2 of the backbone it is {v19_stage2} px (V-19), {v39_stage2} px (V-39)
and {r50_stage2} px (ResNet-50), less than the largest "small" object; all context comes from the higher levels of the
pyramid. How much of it arrives depends on the weights at least as much as on the architecture: before training, the
effective field of p2 of V-39 with eSE is {v39_p2} px, against {v39_p2_off} px with its gates off, {v1_p2} px for V-39
without eSE, {r50_p2} px for ResNet-50 and {mobile_p2} px for MobileNetV2. Gates start near one half and attenuate the
deeper stages, so V-19 and V-39 of VoVNet-V2 start with a smaller effective field at p2 than VoVNet-V1 and ResNet
({v19_p2} px for V-19, {v19_p2_off} px gates off). Training reduces these differences: the effective field of p2 is
{demo_p2} px in the trained V-19-slim-dw ({demo_p2_off} px with gates off, {twin_p2} px before training) and
{demo_mobile_p2} px in the trained MobileNetV2 ({twin_mobile_p2} px before training), in both cases about five times
the side of a small object. At the other end, the effective field of p5 is {v39_p5} px (V-39) and {r50_p5} px
(ResNet-50), although the box head uses p5 for objects from 448 px, so the largest objects are only seen in parts.
Receptive fields alone do not show whether a smaller field at p2 helps small objects; [Small objects under equal
training](small-objects.md) measures detectors. """


if __name__ == "__main__":
    main()
