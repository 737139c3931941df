"""Measures both ways of getting detections into FiftyOne, each in a process of its own; prints seconds and memory.

`python tests/browser/speed.py ours|theirs|again FOLDER`, with FiftyOne's environment variables set.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE, CLASSES, OBJECTS, DETECTIONS = 640, 80, 7, 100


def write(folder: Path, images: int) -> None:
    """Writes a data set and two runs: 7 objects and 100 detections an image, four in ten of them on an object."""
    rng = np.random.default_rng(0)
    (folder / "val").mkdir(parents=True)
    (folder / "annotations").mkdir()
    picture = cv2.imencode(".jpg", np.full((SIDE, SIDE, 3), 120, np.uint8))[1].tobytes()
    boxes = [_boxes(rng, OBJECTS) for _ in range(images)]
    kinds = rng.integers(1, CLASSES + 1, (images, OBJECTS))
    for number in range(images):
        (folder / "val" / f"{number:06}.jpg").write_bytes(picture)
    content = {
        "images": [{"id": n + 1, "file_name": f"{n:06}.jpg", "width": SIDE, "height": SIDE} for n in range(images)],
        "categories": [{"id": n + 1, "name": f"class {n}"} for n in range(CLASSES)],
        "annotations": [
            {"id": n * OBJECTS + k + 1, "image_id": n + 1, "category_id": int(kinds[n, k]), "iscrowd": 0}
            | {"bbox": box, "area": box[2] * box[3]}
            for n in range(images)
            for k, box in enumerate(boxes[n].tolist())
        ],
    }
    (folder / "annotations/instances_val.json").write_text(json.dumps(content))
    for run in ("a", "b"):
        (folder / run).mkdir()
        results = [found for n in range(images) for found in _found(rng, n + 1, boxes[n], kinds[n])]
        (folder / run / "coco_instances_results.json").write_text(json.dumps(results))
        (folder / run / "image_ids.json").write_text(json.dumps([n + 1 for n in range(images)]))
        (folder / run / "run.json").write_text(json.dumps({"model": run, "data": f"{folder}:val"}))


def _boxes(rng: np.random.Generator, number: int) -> np.ndarray:
    sizes = np.exp(rng.uniform(2, 5, (number, 2)))
    return np.concatenate([rng.uniform(0, SIDE - sizes), sizes], axis=1)


def _found(rng: np.random.Generator, image: int, boxes: np.ndarray, kinds: np.ndarray) -> list[dict[str, Any]]:
    source = rng.integers(0, OBJECTS, DETECTIONS)
    on_object = rng.random(DETECTIONS) < 0.4
    near = boxes[source] * np.exp(rng.normal(0, 0.05, (DETECTIONS, 4)))
    found = np.where(on_object[:, None], near, _boxes(rng, DETECTIONS))
    names = np.where(on_object, kinds[source], rng.integers(1, CLASSES + 1, DETECTIONS))
    scores = np.round(rng.random(DETECTIONS) ** 2, 6)
    return [
        {"image_id": image, "category_id": kind, "bbox": box, "score": score}
        for kind, box, score in zip(names.tolist(), found.tolist(), scores.tolist(), strict=True)
    ]


def ours(folder: Path) -> dict[str, Any]:
    """What `explorer browse` does before it opens the App."""
    from explorer.browser.build import build
    from explorer.browser.views import save_views

    built = build(f"{folder}:val", [folder / "a", folder / "b"])
    if built.written:
        save_views(built.dataset)
    return {"written": list(built.written), "images": len(built.dataset)}


def theirs(folder: Path) -> dict[str, Any]:
    """FiftyOne's own path; the second run is as the first, so one is evaluated and its time counts twice."""
    import fiftyone as fo

    content = json.loads((folder / "annotations/instances_val.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    labels: dict[str, dict[int, list[Any]]] = {"ground_truth": {}, "a": {}, "b": {}}
    found = {run: json.loads((folder / run / "coco_instances_results.json").read_text()) for run in ("a", "b")}
    start = time.perf_counter()
    for field, entries in (("ground_truth", content["annotations"]), *found.items()):
        for entry in entries:
            box = [value / SIDE for value in entry["bbox"]]
            label = fo.Detection(label=names[entry["category_id"]], bounding_box=box, confidence=entry.get("score"))
            labels[field].setdefault(entry["image_id"], []).append(label)
    samples = [
        fo.Sample(
            filepath=str(folder / "val" / image["file_name"]),
            **{field: fo.Detections(detections=own.get(image["id"], [])) for field, own in labels.items()},
        )
        for image in content["images"]
    ]
    dataset = fo.Dataset()
    dataset.add_samples(samples)
    added_s = time.perf_counter() - start
    start = time.perf_counter()
    dataset.evaluate_detections("a", gt_field="ground_truth", eval_key="a_eval", compute_mAP=True)
    evaluated_s = time.perf_counter() - start
    return {
        "added_s": added_s,
        "evaluated_s": evaluated_s,
        "images": len(dataset),
        "seconds": added_s + 2 * evaluated_s,
    }


def peak_mb() -> float:
    """This program's own peak; `resource.getrusage` counts what its parent held when it started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def main() -> None:
    which, folder = sys.argv[1], Path(sys.argv[2])
    import fiftyone as fo

    fo.list_datasets()  # both find FiftyOne imported and its database answering
    start = time.perf_counter()
    measured = theirs(folder) if which == "theirs" else ours(folder)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()} | measured))  # noqa: T201


if __name__ == "__main__":
    main()
