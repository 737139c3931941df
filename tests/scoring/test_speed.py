"""Results are read, matched and scored in a quarter of faster-coco-eval's processor time, and to the same figures."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.results_file import found_in
from explorer.scoring.results_stream import open_results
from explorer.scoring.runs import Run, read_truth

ROUNDS = 3


@pytest.mark.slow
@pytest.mark.parametrize(("images", "objects", "most_s"), [(2000, 40_000, None), (5000, 36_000, 4.0)])
def test_a_quarter_of_faster_coco_evals_time(
    images: int, objects: int, most_s: float | None, big_run: Callable[..., Run], tmp_path: Path
) -> None:
    write(big_run(images=images, objects=objects, detections_per_image=100, classes=80), tmp_path)
    results = tmp_path / "results.json"
    truth, theirs = read_truth(f"{tmp_path}/truth.json:{tmp_path}"), COCO(tmp_path / "truth.json")

    def explorer() -> float:
        return score(match(Run("run", truth, found_in(open_results(results), truth, results), {}))).value()

    def faster_coco_eval() -> float:
        evaluation = COCOeval_faster(theirs, theirs.loadRes(str(results)), "bbox", print_function=lambda *_: None)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return 100 * float(evaluation.stats[0])

    assert explorer() == pytest.approx(faster_coco_eval(), abs=1e-9)
    seconds = np.array([[timed(explorer), timed(faster_coco_eval)] for _ in range(ROUNDS)])
    ratios = seconds[:, 0] / seconds[:, 1]
    ours, other = np.median(seconds, axis=0)
    sys.stdout.write(
        f"{len(truth.image_ids)} images, {100 * images} detections: {ours:.2f} s, faster-coco-eval {other:.2f} s, "
        f"ratio {np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})\n"
    )
    assert np.median(ratios) < 0.25
    assert most_s is None or ours < most_s


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def write(run: Run, folder: Path) -> None:
    """Writes a run as other programs would: annotations, and results in no order."""
    truth, found = run.truth, run.found
    annotations = [
        {"id": own, "image_id": image + 1, "category_id": kind + 1, "bbox": box, "area": area, "iscrowd": int(crowd)}
        for own, image, kind, box, area, crowd in zip(
            *(column.tolist() for column in (truth.ids, truth.images, truth.classes, truth.boxes_xywh)),
            *(column.tolist() for column in (truth.areas_px, truth.crowds)),
            strict=True,
        )
    ]
    records = [
        {"id": own, "file_name": name, "width": 640, "height": 640}
        for own, name in zip(truth.image_ids.tolist(), truth.file_names, strict=True)
    ]
    categories = [{"id": row + 1, "name": name} for row, name in enumerate(truth.class_names)]
    content = {"images": records, "categories": categories, "annotations": annotations}
    (folder / "truth.json").write_text(json.dumps(content))
    columns = (found.images + 1, found.classes + 1, found.boxes_xywh, found.scores)
    results = [
        {"image_id": image, "category_id": kind, "bbox": box, "score": own}
        for image, kind, box, own in zip(*(column.tolist() for column in columns), strict=True)
    ]
    np.random.default_rng(0).shuffle(results)  # type: ignore[arg-type]
    (folder / "results.json").write_text(json.dumps(results))
