"""Makes `references.json`: what hotcoco 1.3.0 (MIT) and vernier 0.5.4 (MIT or Apache-2.0) say of real photographs.

Calibration, confusion and F1 are hotcoco's, optimal LRP is vernier's: of the demo's detections on BCCD
(`tests/fixtures/cells.json`) and of those that `tide.json` keeps for coco-tiny. From the project's folder, with
`../shared` beside it, in an environment that has both libraries and need not have ours:

    PYTHONPATH=. python tests/errors/golden/make_references.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import Any

import hotcoco
from vernier.instance import optimal_lrp

HERE = Path(__file__).parent
DATA = HERE.parents[3] / "shared/data"
SIZES_PX = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
Coco = dict[str, Any]


def cases() -> dict[str, tuple[Coco, list[Coco]]]:
    """Annotations and detections by name."""
    rows = json.loads((HERE.parents[1] / "fixtures/cells.json").read_text())["rows"]
    cells = [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, *box, score in rows
    ]
    tide = next(own for own in json.loads((HERE / "tide.json").read_text())["cases"] if own["name"] == "coco-tiny")
    return {
        "BCCD": (read(DATA / "bccd/annotations/test.json"), cells),
        "coco-tiny": (read(DATA / "coco-tiny/annotations/instances_val2017.json"), tide["results"]),
    }


def read(path: Path) -> Coco:
    content: Coco = json.loads(path.read_text())
    return content


def by_hotcoco(truth: Coco, results: list[Coco]) -> Coco:
    """D-ECE in ten equal bins at IoU 0.5 by size, its bins, F1 on 101 recalls, and confusion from a score of 0.5 on."""
    annotations = hotcoco.COCO(truth)
    found = annotations.load_res(results)
    calibrated = {}
    for size, bounds in SIZES_PX.items():
        one = hotcoco.COCOeval(annotations, found, "bbox")
        params = one.params
        params.area_rng, params.area_rng_lbl = [list(bounds)], ["all"]
        one.params = params
        one.evaluate()
        calibrated[size] = one.calibration(n_bins=10, iou_threshold=0.5)
    whole = hotcoco.COCOeval(annotations, found, "bbox")
    whole.run()
    return {
        "d_ece": {size: own["ece"] for size, own in calibrated.items()},
        "bins": [[own["count"], own["avg_confidence"], own["avg_accuracy"]] for own in calibrated["all"]["bins"]],
        "f1": whole.f_scores()["F1_50"],
        "confusion": whole.confusion_matrix(iou_thr=0.5, min_score=0.5)["matrix"].tolist(),
    }


def by_vernier(truth: Coco, results: list[Coco]) -> Coco:
    """Optimal LRP at IoU 0.5 over every score that there is, by class; crowds as pycocotools takes them."""
    scores = sorted({own["score"] for own in results})
    texts = json.dumps(truth).encode(), json.dumps(results).encode()
    report = optimal_lrp(*texts, tp_threshold=0.5, tau_grid=scores, parity_mode="strict")
    columns = ("olrp", "olrp_loc", "olrp_fp", "olrp_fn", "tau")
    return {
        "mean_olrp": report.olrp,
        "classes": {
            str(own.category_id): [None if isnan(value := getattr(own, column)) else value for column in columns]
            for own in report.per_class
        },
    }


def measured() -> Coco:
    """Returns all figures by case and library, shares of 1."""
    figures = {}
    for name, (truth, results) in cases().items():
        figures[name] = {"hotcoco": by_hotcoco(truth, results), "vernier": by_vernier(truth, results)}
    del figures["coco-tiny"]["hotcoco"]["confusion"]  # of 80 classes, and by another rule: see the test
    return figures


def main() -> None:
    """Writes the file."""
    made_by = f"{Path(__file__).name} with hotcoco {version('hotcoco')} and vernier {version('vernier')}"
    content = {"made_by": made_by, "cases": measured()}
    (HERE / "references.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
