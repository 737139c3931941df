"""Makes `tide.json`: error counts and ΔAP by the paper's authors' own package, `tidecv` 1.0.1 (MIT, of 2020).

The package asks for seaborn, pandas and opencv-python, which no test should need, so its figures are kept instead. To
make them again, from the project's folder and with `../shared` beside it:

    pip install --no-deps --target /tmp/tide tidecv==1.0.1 seaborn appdirs
    PYTHONPATH=/tmp/tide python tests/errors/golden/make_tide.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tidecv import TIDE, Data
from tidecv.errors.qualifiers import Qualifier

HERE = Path(__file__).parent
COCO_TINY = HERE.parents[3] / "shared/data/coco-tiny/annotations/instances_val2017.json"
NAMES = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
    "FalsePos": "false positives",
    "FalseNeg": "false negatives",
}
Coco = dict[str, Any]


def invented_truth(rng: np.random.Generator) -> Coco:
    """30 images with up to 9 objects of 4 classes, many of them overlapping."""
    annotations = []
    for image in range(1, 31):
        for _ in range(rng.integers(10)):
            x, y, w, h = (*rng.uniform(0, 150, 2), *np.exp(rng.uniform(2.5, 5, 2)))
            box = [round(float(value), 1) for value in (x, y, w, h)]
            annotations.append({"image_id": image, "category_id": int(rng.integers(1, 5)), "bbox": box})
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 300, "width": 300} for i in range(1, 31)],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, 5)],
        "annotations": completed(annotations),
    }


def completed(annotations: list[Coco]) -> list[Coco]:
    """Gives boxes what COCO wants; an object's size is its box's, as in tidecv."""
    boxes = [a["bbox"] for a in annotations]
    return [
        {"id": i, "area": w * h, "iscrowd": 0, **annotation}
        for i, (annotation, (_, _, w, h)) in enumerate(zip(annotations, boxes, strict=True), start=1)
    ]


def invented_results(truth: Coco, rng: np.random.Generator) -> list[Coco]:
    """Objects found none to three times, moved, stretched and renamed, and boxes out of nowhere; no score twice."""
    classes = sorted({a["category_id"] for a in truth["annotations"]})
    results: list[Coco] = []
    for annotation in truth["annotations"]:
        for _ in range(rng.choice(4, p=[0.2, 0.5, 0.2, 0.1])):
            x, y, w, h = annotation["bbox"]
            spread = rng.choice([0.03, 0.2, 0.4])
            x, y = x + w * rng.normal(0, spread), y + h * rng.normal(0, spread)
            w, h = w * np.exp(rng.normal(0, spread)), h * np.exp(rng.normal(0, spread))
            category = annotation["category_id"] if rng.random() < 0.7 else int(rng.choice(classes))
            results.append({"image_id": annotation["image_id"], "category_id": category, "bbox": [x, y, w, h]})
    for _ in range(len(truth["annotations"]) // 5):
        box = [*rng.uniform(0, 250, 2), *np.exp(rng.uniform(2.5, 5, 2))]
        image = int(rng.choice([image["id"] for image in truth["images"]]))
        results.append({"image_id": image, "category_id": int(rng.choice(classes)), "bbox": box})
    scores = rng.permutation(np.linspace(0.05, 0.95, len(results)))
    for result, score in zip(results, scores, strict=True):
        result["bbox"] = [round(float(value), 1) for value in result["bbox"]]
        result["score"] = round(float(score), 5)
    return results


def tide(truth: Coco, results: list[Coco], foreground: float, background: float) -> Coco:
    """Returns tidecv's AP, error counts and ΔAP, the latter also of small, medium and large errors."""
    truths, found = Data("truth"), Data("found", max_dets=1000)
    truths.max_dets = 1000
    for image in truth["images"]:
        truths.add_image(image["id"], image["file_name"])
    for a in truth["annotations"]:
        truths.add_ground_truth(a["image_id"], a["category_id"], a["bbox"])
    for r in results:
        found.add_detection(r["image_id"], r["category_id"], r["score"], r["bbox"])
    run = TIDE(foreground, background).evaluate(truths, found)
    return {
        "ap": run.ap,
        "counts": named(run.count_errors()),
        "gains": named(run.fix_main_errors()) | named(run.fix_special_errors()),
        "gains_by_size": {
            name: named(run.fix_main_errors(qual=Qualifier(name, lambda x, a=low, b=high: a <= area(x) < b)))
            for name, low, high in (("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, 1e10))
        },
    }


def area(entry: Coco) -> float:
    return entry["bbox"][2] * entry["bbox"][3]


def named(figures: Coco) -> Coco:
    return {NAMES[kind.short_name]: value for kind, value in figures.items()}


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(7)
    invented = invented_truth(rng)
    coco = json.loads(COCO_TINY.read_text())
    kept = [a | {"area": area(a)} for a in coco["annotations"] if not a["iscrowd"]]
    cases = []
    for name, truth, thresholds in (
        ("invented", invented, (0.5, 0.1)),
        ("invented, other thresholds", invented, (0.7, 0.3)),
        ("coco-tiny", coco | {"annotations": kept}, (0.5, 0.1)),
    ):
        results = invented_results(truth, rng)
        figures = tide(truth, results, *thresholds)
        stored = {"name": name, "thresholds": thresholds, "results": results, "tidecv": figures}
        cases.append(stored | ({} if name == "coco-tiny" else {"truth": truth}))
    content = {"made_by": f"{Path(__file__).name} with tidecv {version('tidecv')}", "cases": cases}
    (HERE / "tide.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
