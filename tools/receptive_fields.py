"""Measures the receptive fields of all backbones and writes docs/results/receptive-fields.{json,md}'s tables.

    python tools/receptive_fields.py          # all backbones: about ten minutes on two cores
    python tools/receptive_fields.py NAME     # one backbone; the other results are kept

The text of the page is in `templates/receptive-fields.md.j2`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

import torch
from pages import RESULTS, as_table, rendered

from explorer.backbones.specs import VARIANTS
from explorer.config import load_config
from explorer.engine.artifacts import provenance
from explorer.engine.building import make_detector
from explorer.engine.config_facts import Config
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.report.fields import field_report
from explorer.writing import plain, write_json

Level = dict[str, Any]
Models = dict[str, dict[str, list[Level]]]
"""By name and by whether squeeze-excitation works: stages and levels, as `explorer receptive-field --json` has them."""

INPUTS, SIZE = 4, (512, 512)
BASE = "faster_rcnn_V_39_FPN_3x"
OTHERS = {"ResNet-50": "faster_rcnn_R_50_FPN_3x", "ResNet-101": "faster_rcnn_R_101_FPN_3x"}
LIGHT = "faster_rcnn_Mv2_FPNLite_3x"
DEMOS = {"V-19-slim-dw": "demo/V-19-slim-dw", "MobileNetV2": "demo/MobileNetV2"}


def detectors() -> dict[str, Detector]:
    """Every backbone with a 256-channel FPN and random weights, then the demo models and their random twins."""
    made = {}
    for name in VARIANTS:
        made[name] = untrained(load_config(BASE, ["MODEL.VOVNET.CONV_BODY", name]), name)
    for name, config in OTHERS.items():
        made[name] = untrained(load_config(config), name)
    made["MobileNetV2"] = untrained(load_config(LIGHT, ["MODEL.FPN.OUT_CHANNELS", "256"]), "MobileNetV2")
    for name, demo in DEMOS.items():
        trained = load_detector(demo, device="cpu")
        made[f"{name}, trained"] = trained
        made[f"{name}, its random twin"] = untrained(trained.cfg, name)
    return made


def untrained(cfg: Config, name: str) -> Detector:
    """A detector with the random weights that training starts from, the same ones each time."""
    torch.manual_seed(0)
    return make_detector(cfg, name, device="cpu")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description="Measure receptive fields and write docs/results/receptive-fields.")
    parser.add_argument("names", nargs="*", help="measure only these backbones and keep the other results")
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
    return rendered("receptive-fields", **words, **{key: side(models, *where) for key, where in NUMBERS.items()})


def table(models: Models, names: list[str], figure: str, kinds: tuple[str, ...]) -> str:
    """Lays out one figure per stage and level; ResNet's and MobileNetV2's res2 to res5 are stages 2 to 5."""
    columns = ["stage 2", "stage 3", "stage 4", "stage 5", "p2", "p3", "p4", "p5", "p6"]
    lines = []
    for name in names:
        for kind in kinds:
            if kind in models[name]:
                cells = [f"{level[figure]:.0f}" for level in models[name][kind]]
                assert len(cells) == len(columns), name
                lines.append((name + ", gates off" * (kind != "gates"), *cells))
    return as_table(("backbone", *columns), lines)


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


if __name__ == "__main__":
    main()
